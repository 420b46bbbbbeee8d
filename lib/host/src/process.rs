//! What a process of ours says about itself to the host.

use std::io;

use nix::sys::resource::{Resource, setrlimit};

/// Ends the process at once: what would be tidied up on the way goes with it, and takes calls that a filter may forbid.
pub fn end(status: u8) -> ! {
    // SAFETY: _exit takes a number and does not return; nothing runs after it that could miss a destructor.
    unsafe { libc::_exit(status.into()) }
}

/// The first half of [`forbid_dumps`], for a process that has more to start whose limits are not its own.
pub fn hide() -> io::Result<()> {
    Ok(nix::sys::prctl::set_dumpable(false)?)
}

/// No core file of this process is written, and only root may look into it: what is in its memory belongs to a container.
/// Descriptors and namespaces in its `/proc` are then root's to read as well. A program that it executes starts afresh.
pub fn forbid_dumps() -> io::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    hide()
}
