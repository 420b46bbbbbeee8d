//! Counters that one side adds to and the other waits for, eventfd(2).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use abi::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::errno::cvt;

/// A new counter, at 0.
pub fn new() -> Result<OwnedFd, Errno> {
    // SAFETY: no memory is involved.
    let fd = cvt(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) })?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Waits until it is not 0, for so long at most. Returns whether it is.
#[must_use]
pub fn wait(counter: BorrowedFd<'_>, timeout: Duration) -> bool {
    let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
    poll(&mut [PollFd::new(counter, PollFlags::POLLIN)], timeout).is_ok_and(|ready| ready > 0)
}

/// Its value, once it is not 0; sets it to 0.
pub fn take(counter: BorrowedFd<'_>) -> Result<u64, Errno> {
    let mut value = 0_u64;
    // SAFETY: the buffer is live and has the eight bytes that the call writes.
    cvt(unsafe { libc::read(counter.as_raw_fd(), (&raw mut value).cast(), 8) })?;
    Ok(value)
}
