//! The parts of docs/threat-model.md that are made from the code. `UPDATE_DOCS=1` writes them anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use tests::guest::sandbox::find_runtime;
use tests::source::{lines_with_word, rust_files};

use super::support::Outcome;

const CALLS: &str = "<!-- host calls -->\n";
const UNSAFE: &str = "<!-- unsafe -->\n";

/// A table for each process.
fn host_calls(listing: &str) -> String {
    let mut tables = BTreeMap::<&str, Vec<Vec<&str>>>::new();
    for line in listing.lines() {
        let mut fields = line.split('\t');
        let Some(who) = fields.next() else { continue };
        tables.entry(who).or_default().push(fields.collect());
    }
    let mut text = String::new();
    // What all platforms have stands once.
    let on_all = |row: &&Vec<&str>| ["sandbox/ptrace", "sandbox/kvm"].iter().all(|who| tables[*who].contains(*row));
    let common: Vec<_> = tables["sandbox/systrap"].iter().filter(on_all).cloned().collect();
    let mut table = |title: &str, rows: &[Vec<&str>]| {
        let _ = writeln!(text, "### {title}\n\n| call | how | why |\n|---|---|---|");
        for row in rows {
            let [_, name, ways, why] = row[..] else { continue };
            let ways = if ways == "any" { "" } else { ways };
            let ways = if ways.len() > 300 { "a list, see the rule" } else { ways };
            let _ = writeln!(text, "| `{name}` | {} | {why} |", ways.replace('|', "\\|"));
        }
        text.push('\n');
    };
    table("Sandbox, on every platform", &common);
    for (who, title) in [
        ("sandbox/systrap", "Sandbox, on systrap besides"),
        ("sandbox/ptrace", "Sandbox, on ptrace besides"),
        ("sandbox/kvm", "Sandbox, on kvm besides"),
        ("sandbox/name-server", "Sandbox, of a container that asks an engine's name server, besides"),
        ("sandbox/host-network", "Sandbox, with `--network=host` besides"),
        ("gofer", "Gofer"),
    ] {
        let rows: Vec<_> =
            tables[who].iter().filter(|row| !who.starts_with("sandbox") || !common.contains(row)).cloned().collect();
        table(title, &rows);
    }
    text.trim_end().to_owned() + "\n"
}

/// Lines of code with `unsafe`, by crate.
fn unsafe_lines() -> String {
    let mut text = String::from("| crate | lines of code with `unsafe` |\n|---|---|\n");
    for name in ["lib/host", "platform"] {
        let files = rust_files(&tests::workspace().join(name).join("src")).unwrap_or_default();
        let count: usize = files
            .iter()
            .filter_map(|file| fs::read_to_string(file).ok())
            .map(|text| lines_with_word(&text, "unsafe").len())
            .sum();
        let _ = writeln!(text, "| `{name}` | {count} |");
    }
    text + "| all others | 0 |\n"
}

fn replaced(document: &str, marker: &str, text: &str) -> String {
    let (before, rest) = document.split_once(marker).expect("the document has the marker");
    // Up to the next heading of the same level, or the end.
    let after = rest.find("\n## ").map_or("", |at| &rest[at..]);
    format!("{before}{marker}\n{text}{after}")
}

#[test]
fn threat_model_is_up_to_date() -> Outcome {
    let runtime = match find_runtime() {
        Ok(runtime) => runtime,
        Err(why) => {
            println!("skip: {why}");
            return Ok(());
        }
    };
    let listing = Command::new(runtime).args(["debug", "--host-calls"]).output()?;
    let path = tests::workspace().join("docs/threat-model.md");
    let old = fs::read_to_string(&path)?;
    let new = replaced(&old, CALLS, &host_calls(&String::from_utf8(listing.stdout)?));
    let new = replaced(&new, UNSAFE, &unsafe_lines());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, new)?;
    } else {
        assert!(
            new == old,
            "docs/threat-model.md lags behind the code: UPDATE_DOCS=1 cargo test -p tests --test jail document"
        );
    }
    Ok(())
}
