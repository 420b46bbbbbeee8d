//! Readiness of host descriptors, epoll(7): for files of the host that are given into the sandbox (stdin, stdout, terminals).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Which of `events` (POLL* bits) hold for a descriptor now.
#[must_use]
pub fn now(fd: BorrowedFd<'_>, events: u32) -> u32 {
    let asked = PollFlags::from_bits_truncate(i16::try_from(events & 0x7fff).unwrap_or(0));
    let mut list = [PollFd::new(fd, asked)];
    match poll(&mut list, PollTimeout::ZERO) {
        Ok(_) => list[0].revents().map_or(0, |found| u32::try_from(found.bits()).unwrap_or(0)),
        Err(_) => 0,
    }
}

/// Waits until something can be read from a descriptor, or it is gone.
pub fn wait_readable(fd: BorrowedFd<'_>) {
    // An interrupted wait is looked at as one that ended.
    let _ = poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::NONE);
}

/// A set of descriptors that one thread waits for: each is armed for one event at a time, or watched all the time.
#[derive(Debug)]
pub struct Readiness {
    epoll: OwnedFd,
}

impl Readiness {
    /// An empty set.
    pub fn new() -> io::Result<Self> {
        // SAFETY: the call takes a flag and returns a descriptor that nobody else owns, or -1.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just opened and is owned by nobody else.
        Ok(Self { epoll: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Waits for one of `events` on `fd`, once; told as `token`. EPERM for files that are always ready.
    pub fn arm(&self, fd: BorrowedFd<'_>, events: u32, token: u64) -> io::Result<()> {
        let events = events | libc::EPOLLONESHOT.cast_unsigned();
        match self.control(libc::EPOLL_CTL_MOD, fd, events, token) {
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => self.control(libc::EPOLL_CTL_ADD, fd, events, token),
            other => other,
        }
    }

    /// Tells of everything that happens on `fd` from now on, and of what holds now, as `token`.
    pub fn watch(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let events = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLPRI | libc::EPOLLET;
        self.control(libc::EPOLL_CTL_ADD, fd, events.cast_unsigned(), token)
    }

    /// Forgets a descriptor.
    pub fn forget(&self, fd: BorrowedFd<'_>) {
        let _ = self.control(libc::EPOLL_CTL_DEL, fd, 0, 0);
    }

    /// Waits until something happened; fills `found` with tokens and events.
    pub fn wait(&self, found: &mut Vec<(u64, u32)>) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 16];
        // SAFETY: the buffer is live, exclusively borrowed and holds as many events as the call is told.
        let n = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), 16, -1) };
        let n = match usize::try_from(n) {
            Ok(n) => n,
            Err(_) => match io::Error::last_os_error() {
                e if e.kind() == io::ErrorKind::Interrupted => 0,
                e => return Err(e),
            },
        };
        found.clear();
        found.extend(events[..n].iter().map(|event| (event.u64, event.events)));
        Ok(())
    }

    fn control(&self, op: i32, fd: BorrowedFd<'_>, events: u32, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: token };
        // SAFETY: the event is live for the call; the descriptors are open.
        let result = unsafe { libc::epoll_ctl(self.epoll.as_fd().as_raw_fd(), op, fd.as_raw_fd(), &raw mut event) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// Reads or writes without waiting, whatever the descriptor's flags are: they are shared with others and left alone.
/// EAGAIN if nothing can be moved now.
pub mod nowait {
    use std::os::fd::{AsRawFd, BorrowedFd};

    use abi::Errno;

    use crate::mem::HostSlice;

    /// The most that a pipe which is ready to be written takes without waiting.
    const PIPE_BUF: usize = 4096;

    /// Reads at the descriptor's own position.
    pub fn read(fd: BorrowedFd<'_>, into: &HostSlice<'_>) -> Result<usize, Errno> {
        match into.read_nowait(fd) {
            // Terminals and some pipes do not know RWF_NOWAIT: look, then read.
            Err(Errno::EOPNOTSUPP) => {
                if super::now(fd, 1) == 0 {
                    return Err(Errno::EAGAIN);
                }
                into.read_fd(fd, None)
            }
            other => other,
        }
    }

    /// Writes at the descriptor's own position (or at its end, with O_APPEND).
    pub fn write(fd: BorrowedFd<'_>, from: HostSlice<'_>) -> Result<usize, Errno> {
        if super::now(fd, 4) == 0 {
            return Err(Errno::EAGAIN);
        }
        let _ = fd.as_raw_fd();
        from.first(PIPE_BUF).write_fd(fd, None)
    }
}
