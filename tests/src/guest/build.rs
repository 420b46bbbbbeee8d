//! Compiles guest programs, statically, so that they need nothing of the root they run in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// A guest program.
#[derive(Debug)]
pub struct Program {
    /// The name of its source without `.c`.
    pub name: String,
    /// The executable.
    pub path: PathBuf,
}

/// Compiles every `tests/guest/*.c` whose name one of `wanted` is part of (all, if that is empty) into `bin`.
pub fn build_all(bin: &Path, wanted: &[String]) -> io::Result<Vec<Program>> {
    let sources = crate::workspace().join("tests/guest");
    fs::create_dir_all(bin)?;
    let header = modified(&sources.join("check.h"))?;
    let mut programs = Vec::new();
    for entry in fs::read_dir(&sources)? {
        let source = entry?.path();
        let Some(name) = source.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".c")) else {
            continue;
        };
        if !wanted.is_empty() && !wanted.iter().any(|w| name.contains(w.as_str())) {
            continue;
        }
        let path = bin.join(name);
        if modified(&path).is_ok_and(|built| built > header && modified(&source).is_ok_and(|m| built > m)) {
            programs.push(Program { name: name.to_owned(), path });
            continue;
        }
        compile(&source, &path)?;
        programs.push(Program { name: name.to_owned(), path });
    }
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(programs)
}

fn compile(source: &Path, to: &Path) -> io::Result<()> {
    // a program that is running cannot be overwritten, but replaced
    let temporary = to.with_extension("new");
    // relative to the sources, so that failed checks name no machine's paths
    let output = Command::new("gcc")
        .current_dir(source.parent().unwrap_or_else(|| Path::new(".")))
        .args(["-std=gnu11", "-O1", "-g", "-static", "-pthread", "-Wall", "-Wextra", "-Werror"])
        // wrong arguments are what many cases are about
        .args(["-Wno-nonnull", "-Wno-stringop-overread", "-Wno-stringop-overflow", "-o"])
        .arg(&temporary)
        .arg(source.file_name().unwrap_or_default())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    fs::rename(temporary, to)
}

fn modified(path: &Path) -> io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}
