//! Processes by descriptor, pidfd_open(2): no race with a pid that is used again.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

/// A process.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// The process that has this pid now.
    pub fn open(pid: Pid) -> io::Result<Self> {
        // SAFETY: makes a descriptor, touches no memory.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("a descriptor is an int")) }))
    }

    /// Sends a signal; 0 only checks. ESRCH once it has been waited for.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        // SAFETY: the null siginfo makes the kernel fill it in; no memory of ours is touched.
        let done = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signal,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Whether it has exited within that time. It may still be a zombie then.
    pub fn exited_within(&self, timeout: PollTimeout) -> io::Result<bool> {
        loop {
            match poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(ready) => return Ok(ready > 0),
                Err(nix::errno::Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl From<OwnedFd> for PidFd {
    /// A descriptor that CLONE_PIDFD made.
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
