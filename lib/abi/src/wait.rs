//! wait4(2), waitid(2): options and the encoding of a status.
#![expect(missing_docs, reason = "the names are Linux's, see wait(2)")]

use crate::names::{flags, numbers};
use crate::signal::Signal;

flags! {
    /// `options` of wait4(2) and waitid(2).
    pub struct WaitOptions: u32 {
        const WNOHANG = 0x1;
        const WSTOPPED = 0x2;
        const WEXITED = 0x4;
        const WCONTINUED = 0x8;
        const WNOWAIT = 0x1000000;
        const __WNOTHREAD = 0x20000000;
        const __WALL = 0x40000000;
        const __WCLONE = 0x80000000;
    }
}

impl WaitOptions {
    /// WSTOPPED under its other name.
    pub const WUNTRACED: Self = Self::WSTOPPED;
}

numbers! {
    /// The name of `idtype` of waitid(2).
    pub fn id_type_name(u32) {
        P_ALL = 0,
        P_PID = 1,
        P_PGID = 2,
        P_PIDFD = 3,
    }
}

/// A status as wait4(2) stores it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct WaitStatus(pub i32);

impl WaitStatus {
    /// The process continued.
    pub const CONTINUED: Self = Self(0xffff);

    /// The process exited; only the low byte of `code` counts.
    #[must_use]
    pub const fn exited(code: i32) -> Self {
        Self((code & 0xff) << 8)
    }

    /// A signal ended the process.
    #[must_use]
    pub const fn signaled(signal: Signal, core: bool) -> Self {
        Self(signal.number() | if core { 0x80 } else { 0 })
    }

    /// A signal stopped the process.
    #[must_use]
    pub const fn stopped(signal: Signal) -> Self {
        Self(signal.number() << 8 | 0x7f)
    }

    /// A ptrace stop with an event (or 0x80 in the signal, for syscall stops told apart).
    #[must_use]
    pub const fn ptrace_stopped(signal: i32, event: u32) -> Self {
        Self((event << 16) as i32 | (signal & 0xff) << 8 | 0x7f)
    }

    /// The exit code, if the process exited.
    #[must_use]
    pub const fn exit_code(self) -> Option<i32> {
        if self.0 & 0x7f == 0 { Some(self.0 >> 8 & 0xff) } else { None }
    }

    /// The signal that ended the process.
    #[must_use]
    pub fn term_signal(self) -> Option<Signal> {
        match self.0 & 0x7f {
            0 | 0x7f => None,
            n => Signal::new(n).ok(),
        }
    }

    /// Whether a core was dumped.
    #[must_use]
    pub fn core_dumped(self) -> bool {
        self.term_signal().is_some() && self.0 & 0x80 != 0
    }
}

impl core::fmt::Debug for WaitStatus {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if let Some(code) = self.exit_code() {
            write!(f, "exited({code})")
        } else if let Some(signal) = self.term_signal() {
            write!(f, "killed({signal}{})", if self.core_dumped() { ", core" } else { "" })
        } else if *self == Self::CONTINUED {
            f.write_str("continued")
        } else {
            write!(f, "stopped({:#x})", self.0 >> 8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_decode_as_the_c_library_does() {
        let killed = WaitStatus::signaled(Signal::SIGSEGV, true);
        assert!(libc::WIFSIGNALED(killed.0) && libc::WCOREDUMP(killed.0));
        assert_eq!(killed.term_signal(), Some(Signal::SIGSEGV));
        assert_eq!(libc::WEXITSTATUS(WaitStatus::exited(-1).0), 255);
        let stopped = WaitStatus::stopped(Signal::SIGTSTP);
        assert!(libc::WIFSTOPPED(stopped.0) && libc::WSTOPSIG(stopped.0) == libc::SIGTSTP);
        assert_eq!((stopped.exit_code(), stopped.term_signal()), (None, None));
        assert!(libc::WIFCONTINUED(WaitStatus::CONTINUED.0));
    }
}
