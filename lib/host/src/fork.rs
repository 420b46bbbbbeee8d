//! fork(2) for a process that has one thread.

use std::io;
use std::os::unix::fs::MetadataExt;

use nix::unistd::{ForkResult, Pid};

/// Which side of the fork we are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The new process.
    Child,
    /// The old one, and the pid of the new one.
    Parent(Pid),
}

/// Forks. Refused while there are other threads: the child would inherit their locks, held for ever.
pub fn fork_single_threaded() -> io::Result<Side> {
    // A directory's link count is two more than the number of directories in it, one for each thread here.
    if std::fs::metadata("/proc/self/task")?.nlink() != 3 {
        return Err(io::Error::other("cannot fork: there is more than one thread"));
    }
    // SAFETY: this is the only thread, so the child's copy of memory is consistent and no lock is held by anybody else.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Child => Ok(Side::Child),
        ForkResult::Parent { child } => Ok(Side::Parent(child)),
    }
}
