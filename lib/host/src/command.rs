//! Programs of the host started with files at chosen numbers.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use nix::fcntl::{FcntlArg, fcntl};

/// Starts it with these files at these numbers, which are above 2 and differ.
pub fn spawn_with_files(mut command: Command, files: Vec<(RawFd, OwnedFd)>) -> io::Result<Child> {
    let highest = files.iter().map(|(number, _)| *number).max().unwrap_or(2);
    if files.iter().any(|(number, _)| *number <= 2) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // Moved away from all targets first, so that no copy closes what is still to be copied.
    let mut moved: Vec<(RawFd, OwnedFd)> = Vec::with_capacity(files.len());
    for (number, file) in files {
        let copy = fcntl(&file, FcntlArg::F_DUPFD_CLOEXEC(highest + 1))?;
        // SAFETY: fcntl has just made this descriptor, and nobody else knows of it.
        moved.push((number, unsafe { std::os::fd::FromRawFd::from_raw_fd(copy) }));
    }
    let pairs: Vec<(RawFd, RawFd)> = moved.iter().map(|(number, file)| (*number, file.as_raw_fd())).collect();
    let place = move || {
        for (number, from) in &pairs {
            // SAFETY: dup2 touches no memory; `number` is a descriptor of the new process alone, where nobody owns what stood
            // there: everything but 0 to 2 is close-on-exec.
            if unsafe { libc::dup2(*from, *number) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes only dup2 calls, which are async-signal-safe, and allocates nothing.
    unsafe { command.pre_exec(place) };
    let child = command.spawn();
    drop(moved);
    child
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::Stdio;

    use super::*;

    #[test]
    fn program_finds_its_file() {
        let (mut ours, theirs) = io::pipe().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo hello >&5"]).stdin(Stdio::null());
        let mut child = spawn_with_files(command, vec![(5, theirs.into())]).unwrap();
        let mut text = String::new();
        ours.read_to_string(&mut text).unwrap();
        child.wait().unwrap();
        assert_eq!(text, "hello\n");
    }
}
