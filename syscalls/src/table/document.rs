//! `docs/syscalls.md`, written from the table. `UPDATE_DOCS=1 cargo test -p syscalls document` writes it anew.

use std::fmt::Write;

use sentry::syscall::{Support, Syscall};

/// The document.
fn markdown(table: &[Syscall]) -> String {
    let count = |wanted: fn(&Support) -> bool| table.iter().filter(|call| wanted(&call.support)).count();
    let full = count(|s| matches!(s, Support::Full));
    let partial = count(|s| matches!(s, Support::Partial(_)));
    let absent = count(|s| matches!(s, Support::Absent(_)));
    let mut out = format!(
        "# System calls of x86-64\n\nGenerated from `syscalls/src/table/x86_64.rs`: {full} full, {partial} partial, {absent} absent.\n\n\
         | number | name | support | note |\n|---|---|---|---|\n"
    );
    for call in table {
        let (word, note) = match call.support {
            Support::Full => ("full", ""),
            Support::Partial(note) => ("partial", note),
            Support::Absent(note) => ("absent", note),
        };
        let _ = writeln!(out, "| {} | {} | {word} | {note} |", call.nr, call.name);
    }
    out
}

#[test]
fn the_document_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/syscalls.md");
    let generated = markdown(super::x86_64::TABLE);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &generated).expect("docs/ can be written");
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == generated, "docs/syscalls.md is out of date: UPDATE_DOCS=1 cargo test -p syscalls document");
}

#[test]
fn numbers_rise_and_names_differ() {
    let table = super::x86_64::TABLE;
    assert!(table.windows(2).all(|pair| pair[0].nr < pair[1].nr));
    let mut names: Vec<_> = table.iter().map(|call| call.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), table.len());
}
