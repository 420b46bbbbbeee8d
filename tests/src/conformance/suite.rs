//! A built LTP: its list of tests and its programs.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// One entry of runtest/syscalls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The command line.
    pub command: String,
}

/// The entries of a list: a name and a command line each, `#` begins a comment.
#[must_use]
pub fn parse(list: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let line = line.trim();
        let (name, command) = line.split_once(char::is_whitespace)?;
        (!line.starts_with('#')).then(|| Entry { name: name.to_owned(), command: command.trim().to_owned() })
    };
    list.lines().filter_map(entry).collect()
}

/// The list of a built LTP.
pub fn entries(ltp: &Path) -> io::Result<Vec<Entry>> {
    Ok(parse(&fs::read_to_string(ltp.join("runtest/syscalls"))?))
}

/// Puts the programs of a built LTP into one folder: links where that can be, copies elsewhere. An installed LTP has such a
/// folder already.
pub fn programs(ltp: &Path, folder: &Path) -> io::Result<PathBuf> {
    let installed = ltp.join("testcases/bin");
    if installed.is_dir() {
        return Ok(installed);
    }
    fs::create_dir_all(folder)?;
    let mut pending = vec![ltp.join("testcases/kernel/syscalls")];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir)? {
            let (path, kind) = (entry.as_ref().map(fs::DirEntry::path), entry.as_ref().map(fs::DirEntry::file_type));
            let (Ok(path), Ok(Ok(kind))) = (path, kind) else { continue };
            if kind.is_dir() {
                pending.push(path);
            } else if kind.is_file() && path.metadata()?.permissions().mode() & 0o111 != 0 {
                let Some(name) = path.file_name() else { continue };
                let to = folder.join(name);
                if !to.exists() && fs::hard_link(&path, &to).is_err() {
                    fs::copy(&path, &to)?;
                }
            }
        }
    }
    Ok(folder.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::{Entry, parse};

    #[test]
    fn lists_are_names_and_commands() {
        let list = "#DESCRIPTION:Kernel\n\naccept01 accept01\n # x y\ngetrusage03_child  getrusage03 -i 2 \n";
        let wanted = [("accept01", "accept01"), ("getrusage03_child", "getrusage03 -i 2")];
        let wanted = wanted.map(|(name, command)| Entry { name: name.into(), command: command.into() });
        assert_eq!(parse(list), wanted);
    }
}
