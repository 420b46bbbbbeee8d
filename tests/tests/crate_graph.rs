//! The rules of the tree: who may use whom, where `unsafe` may stand, how files open and how long they are.
//!
//! The graph is read from section 2 of docs/architecture.md, so that the document cannot lag behind the code.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is one")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::source::{lines_with_word, rust_files};
use tests::workspace;

type Outcome = Result<(), Box<dyn Error>>;

/// The crates in which `unsafe` may stand.
const UNSAFE_CRATES: [&str; 2] = ["host", "platform"];
/// No file has more lines.
const MAX_LINES: usize = 1000;
/// Nine files in ten have no more lines.
const P90_LINES: usize = 450;
/// Every second file has no more lines.
const MEDIAN_LINES: usize = 150;

struct Package {
    name: String,
    dir: PathBuf,
    /// Normal and build dependencies, by name.
    dependencies: BTreeSet<String>,
}

#[test]
fn crates_use_only_whom_the_architecture_allows() -> Outcome {
    let packages = packages()?;
    let allowed = allowed_graph()?;
    let ours: BTreeSet<&str> = packages.iter().map(|p| p.name.as_str()).collect();
    let mut wrong = Vec::new();
    for package in &packages {
        let is_lib = package.dir.parent().is_some_and(|d| d.ends_with("lib"));
        let own = allowed.get(&package.name);
        let of_libs = allowed.get("lib/*").filter(|_| is_lib);
        if own.is_none() && of_libs.is_none() && package.name != "tests" {
            wrong.push(format!("{}: docs/architecture.md section 2 does not name this crate", package.name));
        }
        let may = own.or(of_libs).cloned().unwrap_or_default();
        // `abi` stands below everything, so its list names crates of others and is complete.
        let closed = package.name == "abi";
        for dependency in &package.dependencies {
            if (closed || ours.contains(dependency.as_str())) && !may.contains(dependency) {
                wrong.push(format!(
                    "{} -> {dependency}: not in the list of docs/architecture.md section 2",
                    package.name
                ));
            }
        }
    }
    report("dependencies that the architecture does not allow", &wrong);
    Ok(())
}

#[test]
fn unsafe_stands_only_where_it_may() -> Outcome {
    let mut wrong = Vec::new();
    for package in packages()?.iter().filter(|p| !UNSAFE_CRATES.contains(&p.name.as_str())) {
        for file in rust_files(&package.dir)? {
            for line in lines_with_word(&fs::read_to_string(&file)?, "unsafe") {
                wrong.push(format!("{}:{line}: move what needs `unsafe` to lib/host or platform", shown(&file)));
            }
        }
        for root in ["src/lib.rs", "src/main.rs"].map(|f| package.dir.join(f)).iter().filter(|f| f.exists()) {
            if !fs::read_to_string(root)?.contains("#![forbid(unsafe_code)]") {
                wrong.push(format!("{}: add `#![forbid(unsafe_code)]`", shown(root)));
            }
        }
    }
    report("unsafe code outside lib/host and platform", &wrong);
    Ok(())
}

#[test]
fn every_module_says_what_it_is() -> Outcome {
    let mut wrong = Vec::new();
    for file in all_files()? {
        if !fs::read_to_string(&file)?.starts_with("//!") {
            wrong.push(format!("{}: open with `//!`: what this is, its neighbours, its locks", shown(&file)));
        }
    }
    report("files that do not open with a module comment", &wrong);
    Ok(())
}

#[test]
fn files_stay_small() -> Outcome {
    let mut lines: Vec<(usize, PathBuf)> = Vec::new();
    for file in all_files()? {
        lines.push((fs::read_to_string(&file)?.lines().count(), file));
    }
    lines.sort();
    let at = |share: usize| lines.get(lines.len() * share / 100).map_or(0, |l| l.0);
    let mut wrong: Vec<String> = lines
        .iter()
        .filter(|(n, _)| *n > MAX_LINES)
        .map(|(n, file)| format!("{}: {n} lines; split it, one concept a file", shown(file)))
        .collect();
    if at(90) > P90_LINES {
        wrong.push(format!(
            "one file in ten has more than {} lines, {P90_LINES} is the limit; the longest are:",
            at(90)
        ));
        wrong.extend(lines.iter().rev().take(10).map(|(n, file)| format!("  {n:5} {}", shown(file))));
    }
    if at(50) > MEDIAN_LINES {
        wrong.push(format!("every second file has more than {} lines, {MEDIAN_LINES} is the limit", at(50)));
    }
    report("files that are too long", &wrong);
    Ok(())
}

/// Fails with every finding, one a line, so that one run shows all there is to do.
#[track_caller]
fn report(what: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{what}: {}\n{}", findings.len(), findings.join("\n"));
}

fn shown(path: &Path) -> String {
    path.strip_prefix(workspace()).unwrap_or(path).display().to_string()
}

fn all_files() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for package in packages()? {
        files.extend(rust_files(&package.dir)?);
    }
    Ok(files)
}

/// The workspace's packages as Cargo sees them.
fn packages() -> Result<Vec<Package>, Box<dyn Error>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(workspace())
        .output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let list = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    list.iter().map(package).collect()
}

fn package(value: &Value) -> Result<Package, Box<dyn Error>> {
    let manifest = PathBuf::from(value["manifest_path"].as_str().ok_or("a package without a manifest")?);
    let dependencies = value["dependencies"].as_array().ok_or("a package without a list of dependencies")?;
    Ok(Package {
        name: value["name"].as_str().ok_or("a package without a name")?.to_owned(),
        dir: manifest.parent().ok_or("a manifest without a folder")?.to_path_buf(),
        dependencies: dependencies
            .iter()
            .filter(|d| d["kind"].as_str() != Some("dev"))
            .filter_map(|d| d["name"].as_str().map(str::to_owned))
            .collect(),
    })
}

/// `` `crate -> crate, crate` `` in section 2 of the architecture; remarks in brackets do not count.
fn allowed_graph() -> Result<BTreeMap<String, BTreeSet<String>>, Box<dyn Error>> {
    let text = fs::read_to_string(workspace().join("docs/architecture.md"))?;
    let section = text.split("\n## ").find(|s| s.starts_with("2. ")).ok_or("docs/architecture.md has no section 2")?;
    let mut graph = BTreeMap::new();
    for arrow in section.split('`').filter(|s| s.contains(" -> ")) {
        let (from, to) = arrow.split_once(" -> ").ok_or("an arrow without ends")?;
        let names = to.split(',').map(|name| name.split('(').next().unwrap_or(name).trim().to_owned());
        graph.insert(from.trim().to_owned(), names.collect());
    }
    if graph.len() < 6 { Err("section 2 of docs/architecture.md lists no graph".into()) } else { Ok(graph) }
}
