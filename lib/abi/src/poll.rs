//! poll(2), select(2): events of descriptors. epoll(7)'s are in [`crate::epoll`].
#![expect(missing_docs, reason = "the names are Linux's, see poll(2)")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::flags;

// The events as 32-bit masks, the form in which readiness travels inside the kernel and to epoll(7).
pub const POLLIN: u32 = 0x1;
pub const POLLPRI: u32 = 0x2;
pub const POLLOUT: u32 = 0x4;
pub const POLLERR: u32 = 0x8;
pub const POLLHUP: u32 = 0x10;
pub const POLLNVAL: u32 = 0x20;
pub const POLLRDNORM: u32 = 0x40;
pub const POLLRDBAND: u32 = 0x80;
pub const POLLWRNORM: u32 = 0x100;
pub const POLLWRBAND: u32 = 0x200;
pub const POLLMSG: u32 = 0x400;
pub const POLLRDHUP: u32 = 0x2000;

flags! {
    /// Events of a descriptor. epoll(7) uses the same bits.
    pub struct PollEvents: u16 {
        const POLLIN = 0x1;
        const POLLPRI = 0x2;
        const POLLOUT = 0x4;
        const POLLERR = 0x8;
        const POLLHUP = 0x10;
        const POLLNVAL = 0x20;
        const POLLRDNORM = 0x40;
        const POLLRDBAND = 0x80;
        const POLLWRNORM = 0x100;
        const POLLWRBAND = 0x200;
        const POLLMSG = 0x400;
        const POLLRDHUP = 0x2000;
    }
}

impl PollEvents {
    /// Reported whether asked for or not.
    pub const ALWAYS: Self = Self::from_bits_retain(0x8 | 0x10);
    /// Reading will not block.
    pub const READABLE: Self = Self::from_bits_retain(0x1 | 0x40);
    /// Writing will not block.
    pub const WRITABLE: Self = Self::from_bits_retain(0x4 | 0x100);
    /// What select(2) counts as readable.
    pub const SELECT_IN: Self = Self::from_bits_retain(0x40 | 0x80 | 0x1 | 0x10 | 0x8 | 0x20);
    /// What select(2) counts as writable.
    pub const SELECT_OUT: Self = Self::from_bits_retain(0x200 | 0x100 | 0x4 | 0x8 | 0x20);
    /// What select(2) counts as exceptional.
    pub const SELECT_EX: Self = Self::from_bits_retain(0x2 | 0x20);
}

/// `struct pollfd`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct PollFd {
    pub fd: i32,
    pub events: PollEvents,
    pub revents: PollEvents,
}

/// Descriptors in an `fd_set`; the kernel itself has no such limit.
pub const FD_SETSIZE: usize = 1024;
