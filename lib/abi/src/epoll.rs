//! epoll(7), eventfd(2), timerfd_create(2), signalfd(2).
#![expect(missing_docs, reason = "the names are Linux's, see the man pages")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::{flags, numbers};

flags! {
    /// `events` of [`EpollEvent`].
    pub struct EpollEvents: u32 {
        const EPOLLIN = 0x1;
        const EPOLLPRI = 0x2;
        const EPOLLOUT = 0x4;
        const EPOLLERR = 0x8;
        const EPOLLHUP = 0x10;
        const EPOLLNVAL = 0x20;
        const EPOLLRDNORM = 0x40;
        const EPOLLRDBAND = 0x80;
        const EPOLLWRNORM = 0x100;
        const EPOLLWRBAND = 0x200;
        const EPOLLMSG = 0x400;
        const EPOLLRDHUP = 0x2000;
        const EPOLLEXCLUSIVE = 0x10000000;
        const EPOLLWAKEUP = 0x20000000;
        const EPOLLONESHOT = 0x40000000;
        const EPOLLET = 0x80000000;
    }
}

impl EpollEvents {
    /// How the descriptor is watched, as against what for.
    pub const PRIVATE_BITS: Self = Self::from_bits_retain(0xf000_0000);
    /// What may accompany EPOLLEXCLUSIVE.
    pub const EXCLUSIVE_OK_BITS: Self =
        Self::from_bits_retain(0x1 | 0x4 | 0x8 | 0x10 | 0x2000_0000 | 0x8000_0000 | 0x1000_0000);
}

/// The bits of [`EpollEvents::PRIVATE_BITS`] as plain numbers.
pub const EPOLLEXCLUSIVE: u32 = 1 << 28;
pub const EPOLLWAKEUP: u32 = 1 << 29;
pub const EPOLLONESHOT: u32 = 1 << 30;
pub const EPOLLET: u32 = 1 << 31;

/// `struct epoll_event`, packed on x86-64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, packed)]
pub struct EpollEvent {
    pub events: u32,
    pub data: u64,
}

numbers! {
    /// The name of `op` of epoll_ctl(2).
    pub fn epoll_ctl_name(u32) {
        EPOLL_CTL_ADD = 1,
        EPOLL_CTL_DEL = 2,
        EPOLL_CTL_MOD = 3,
    }
}

/// epoll_create1(2): the descriptor closes on exec.
pub const EPOLL_CLOEXEC: u32 = 0o2000000;
/// Deepest nesting of epoll instances.
pub const EP_MAX_NESTS: usize = 4;
/// Most events one epoll_wait(2) may ask for.
pub const EP_MAX_EVENTS: i32 = i32::MAX / 16;

flags! {
    /// `flags` of eventfd2(2).
    pub struct EventfdFlags: u32 {
        const EFD_SEMAPHORE = 0x1;
        const EFD_NONBLOCK = 0x800;
        const EFD_CLOEXEC = 0x80000;
    }
}

flags! {
    /// `flags` of timerfd_create(2).
    pub struct TimerfdFlags: u32 {
        const TFD_NONBLOCK = 0x800;
        const TFD_CLOEXEC = 0x80000;
    }
}

flags! {
    /// `flags` of timerfd_settime(2).
    pub struct TimerfdSetFlags: u32 {
        const TFD_TIMER_ABSTIME = 0x1;
        const TFD_TIMER_CANCEL_ON_SET = 0x2;
    }
}

flags! {
    /// `flags` of signalfd4(2).
    pub struct SignalfdFlags: u32 {
        const SFD_NONBLOCK = 0x800;
        const SFD_CLOEXEC = 0x80000;
    }
}

/// `struct signalfd_siginfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SignalfdSiginfo {
    pub ssi_signo: u32,
    pub ssi_errno: i32,
    pub ssi_code: i32,
    pub ssi_pid: u32,
    pub ssi_uid: u32,
    pub ssi_fd: i32,
    pub ssi_tid: u32,
    pub ssi_band: u32,
    pub ssi_overrun: u32,
    pub ssi_trapno: u32,
    pub ssi_status: i32,
    pub ssi_int: i32,
    pub ssi_ptr: u64,
    pub ssi_utime: u64,
    pub ssi_stime: u64,
    pub ssi_addr: u64,
    pub ssi_addr_lsb: u16,
    pub _pad2: u16,
    pub ssi_syscall: i32,
    pub ssi_call_addr: u64,
    pub ssi_arch: u32,
    pub _pad: [u8; 28],
}

impl Default for SignalfdSiginfo {
    fn default() -> Self {
        zerocopy::FromZeros::new_zeroed()
    }
}

/// `struct epoll_params` of EPIOCSPARAMS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct EpollParams {
    pub busy_poll_usecs: u32,
    pub busy_poll_budget: u16,
    pub prefer_busy_poll: u8,
    pub _pad: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_the_c_library() {
        assert_eq!(size_of::<EpollEvent>(), 12);
        assert_eq!(size_of::<SignalfdSiginfo>(), size_of::<libc::signalfd_siginfo>());
        assert_eq!(
            core::mem::offset_of!(SignalfdSiginfo, ssi_call_addr),
            core::mem::offset_of!(libc::signalfd_siginfo, ssi_call_addr)
        );
    }
}
