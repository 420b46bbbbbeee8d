//! `siginfo_t`: what a signal carries, and the `si_code` values that say which part of it is in use.
#![expect(missing_docs, reason = "the names are Linux's, see sigaction(2)")]

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::signal::Signal;

pub const SI_USER: i32 = 0;
pub const SI_KERNEL: i32 = 128;
pub const SI_QUEUE: i32 = -1;
pub const SI_TIMER: i32 = -2;
pub const SI_MESGQ: i32 = -3;
pub const SI_ASYNCIO: i32 = -4;
pub const SI_SIGIO: i32 = -5;
pub const SI_TKILL: i32 = -6;
pub const SI_DETHREAD: i32 = -7;
pub const SEGV_MAPERR: i32 = 1;
pub const SEGV_ACCERR: i32 = 2;
pub const SEGV_BNDERR: i32 = 3;
pub const SEGV_PKUERR: i32 = 4;
pub const BUS_ADRALN: i32 = 1;
pub const BUS_ADRERR: i32 = 2;
pub const BUS_OBJERR: i32 = 3;
pub const BUS_MCEERR_AR: i32 = 4;
pub const BUS_MCEERR_AO: i32 = 5;
pub const FPE_INTDIV: i32 = 1;
pub const FPE_INTOVF: i32 = 2;
pub const FPE_FLTDIV: i32 = 3;
pub const FPE_FLTOVF: i32 = 4;
pub const FPE_FLTUND: i32 = 5;
pub const FPE_FLTRES: i32 = 6;
pub const FPE_FLTINV: i32 = 7;
pub const FPE_FLTSUB: i32 = 8;
pub const ILL_ILLOPC: i32 = 1;
pub const ILL_ILLOPN: i32 = 2;
pub const ILL_ILLADR: i32 = 3;
pub const ILL_ILLTRP: i32 = 4;
pub const ILL_PRVOPC: i32 = 5;
pub const ILL_PRVREG: i32 = 6;
pub const ILL_COPROC: i32 = 7;
pub const ILL_BADSTK: i32 = 8;
pub const TRAP_BRKPT: i32 = 1;
pub const TRAP_TRACE: i32 = 2;
pub const TRAP_BRANCH: i32 = 3;
pub const TRAP_HWBKPT: i32 = 4;
pub const TRAP_UNK: i32 = 5;
pub const CLD_EXITED: i32 = 1;
pub const CLD_KILLED: i32 = 2;
pub const CLD_DUMPED: i32 = 3;
pub const CLD_TRAPPED: i32 = 4;
pub const CLD_STOPPED: i32 = 5;
pub const CLD_CONTINUED: i32 = 6;
pub const POLL_IN: i32 = 1;
pub const POLL_OUT: i32 = 2;
pub const POLL_MSG: i32 = 3;
pub const POLL_ERR: i32 = 4;
pub const POLL_PRI: i32 = 5;
pub const POLL_HUP: i32 = 6;
pub const SYS_SECCOMP: i32 = 1;
pub const SYS_USER_DISPATCH: i32 = 2;

/// `siginfo_t`, 128 bytes. `fields` is a union; the accessors name its parts.
#[derive(Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SigInfo {
    pub si_signo: i32,
    pub si_errno: i32,
    pub si_code: i32,
    pub _pad: i32,
    pub fields: [u64; 14],
}

/// Two 32-bit values in memory order.
const fn pair(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

impl SigInfo {
    /// A signal with a code and nothing else.
    #[must_use]
    pub fn new(signal: Signal, code: i32) -> Self {
        Self { si_signo: signal.number(), si_code: code, ..Self::default() }
    }

    /// Raised by the kernel without further detail (SI_KERNEL).
    #[must_use]
    pub fn kernel(signal: Signal) -> Self {
        Self::new(signal, SI_KERNEL)
    }

    /// kill(2) (SI_USER), tgkill(2) (SI_TKILL): who sent it, as the receiver's namespaces number them.
    #[must_use]
    pub fn user(signal: Signal, code: i32, pid: i32, uid: u32) -> Self {
        let mut info = Self::new(signal, code);
        info.fields[0] = pair(pid.cast_unsigned(), uid);
        info
    }

    /// sigqueue(3) (SI_QUEUE), mq_notify(3) (SI_MESGQ): sender and value.
    #[must_use]
    pub fn queued(signal: Signal, code: i32, pid: i32, uid: u32, value: u64) -> Self {
        let mut info = Self::user(signal, code, pid, uid);
        info.fields[1] = value;
        info
    }

    /// A POSIX timer expired (SI_TIMER).
    #[must_use]
    pub fn timer(signal: Signal, timer_id: i32, overrun: i32, value: u64) -> Self {
        let mut info = Self::new(signal, SI_TIMER);
        info.fields[0] = pair(timer_id.cast_unsigned(), overrun.cast_unsigned());
        info.fields[1] = value;
        info
    }

    /// A fault at an address: SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP.
    #[must_use]
    pub fn fault(signal: Signal, code: i32, addr: u64) -> Self {
        let mut info = Self::new(signal, code);
        info.fields[0] = addr;
        info
    }

    /// A child changed state (CLD_*). `status` is the exit status or the signal; times are in clock ticks.
    #[must_use]
    pub fn child(code: i32, pid: i32, uid: u32, status: i32, utime: i64, stime: i64) -> Self {
        let mut info = Self::user(Signal::SIGCHLD, code, pid, uid);
        info.fields[1] = pair(status.cast_unsigned(), 0);
        info.fields[2] = utime.cast_unsigned();
        info.fields[3] = stime.cast_unsigned();
        info
    }

    /// A descriptor became ready for its owner (SIGIO, POLL_*).
    #[must_use]
    pub fn poll(signal: Signal, code: i32, band: i64, fd: i32) -> Self {
        let mut info = Self::new(signal, code);
        info.fields[0] = band.cast_unsigned();
        info.fields[1] = pair(fd.cast_unsigned(), 0);
        info
    }

    /// seccomp's RET_TRAP (SYS_SECCOMP) or syscall user dispatch.
    #[must_use]
    pub fn sys(code: i32, call_addr: u64, syscall: i32, arch: u32, errno: i32) -> Self {
        let mut info = Self::new(Signal::SIGSYS, code);
        info.si_errno = errno;
        info.fields[0] = call_addr;
        info.fields[1] = pair(syscall.cast_unsigned(), arch);
        info
    }

    /// The signal; `None` if the number is none.
    #[must_use]
    pub fn signal(&self) -> Option<Signal> {
        Signal::new(self.si_signo).ok()
    }

    /// Sender's or child's pid.
    #[must_use]
    pub const fn pid(&self) -> i32 {
        self.low(0)
    }

    /// Sender's or child's real uid.
    #[must_use]
    pub const fn uid(&self) -> u32 {
        (self.fields[0] >> 32) as u32
    }

    /// Sets [`SigInfo::pid`].
    pub const fn set_pid(&mut self, pid: i32) {
        self.fields[0] = pair(pid.cast_unsigned(), self.uid());
    }

    /// `si_value`.
    #[must_use]
    pub const fn value(&self) -> u64 {
        self.fields[1]
    }

    /// Faulting address.
    #[must_use]
    pub const fn addr(&self) -> u64 {
        self.fields[0]
    }

    /// A child's exit status or signal.
    #[must_use]
    pub const fn status(&self) -> i32 {
        self.low(1)
    }

    /// A child's user time, in clock ticks.
    #[must_use]
    pub const fn utime(&self) -> i64 {
        self.fields[2].cast_signed()
    }

    /// A child's system time, in clock ticks.
    #[must_use]
    pub const fn stime(&self) -> i64 {
        self.fields[3].cast_signed()
    }

    /// A POSIX timer's number.
    #[must_use]
    pub const fn timer_id(&self) -> i32 {
        self.low(0)
    }

    /// Expirations a POSIX timer's signal missed.
    #[must_use]
    pub const fn overrun(&self) -> i32 {
        (self.fields[0] >> 32) as i32
    }

    /// Sets [`SigInfo::overrun`].
    pub const fn set_overrun(&mut self, overrun: i32) {
        self.fields[0] = pair(self.fields[0] as u32, overrun.cast_unsigned());
    }

    /// `si_band`: the events of a descriptor.
    #[must_use]
    pub const fn band(&self) -> i64 {
        self.fields[0].cast_signed()
    }

    /// `si_fd`: the descriptor.
    #[must_use]
    pub const fn fd(&self) -> i32 {
        self.low(1)
    }

    /// SIGSYS: the address after the call.
    #[must_use]
    pub const fn call_addr(&self) -> u64 {
        self.fields[0]
    }

    /// SIGSYS: the call's number.
    #[must_use]
    pub const fn syscall(&self) -> i32 {
        self.low(1)
    }

    /// SIGSYS: the call's AUDIT_ARCH_* value.
    #[must_use]
    pub const fn arch(&self) -> u32 {
        (self.fields[1] >> 32) as u32
    }

    /// Whether an application may not send this code to others: it would pass for the kernel's or for kill's.
    #[must_use]
    pub const fn is_privileged_code(&self) -> bool {
        self.si_code >= 0 || self.si_code == SI_TKILL
    }

    const fn low(&self, index: usize) -> i32 {
        self.fields[index] as u32 as i32
    }
}

impl fmt::Debug for SigInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("SigInfo");
        match self.signal() {
            Some(signal) => out.field("si_signo", &signal),
            None => out.field("si_signo", &self.si_signo),
        };
        out.field("si_code", &self.si_code);
        match self.signal() {
            Some(Signal::SIGCHLD) if self.si_code > 0 => {
                out.field("pid", &self.pid()).field("status", &self.status());
            }
            Some(Signal::SIGSEGV | Signal::SIGBUS | Signal::SIGILL | Signal::SIGFPE | Signal::SIGTRAP)
                if self.si_code > 0 =>
            {
                out.field("addr", &format_args!("{:#x}", self.addr()));
            }
            _ => {
                out.field("pid", &self.pid()).field("uid", &self.uid());
            }
        }
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use core::mem::offset_of;

    use super::*;

    #[test]
    fn fields_stand_where_the_c_library_looks() {
        assert_eq!((size_of::<SigInfo>(), offset_of!(SigInfo, fields)), (size_of::<libc::siginfo_t>(), 16));
        let child = SigInfo::child(CLD_EXITED, 77, 1000, 3, 5, 6);
        let bytes = child.as_bytes();
        assert_eq!(&bytes[16..28], [77i32, 1000, 3].map(i32::to_ne_bytes).as_flattened());
        assert_eq!((child.utime(), child.stime(), child.status()), (5, 6, 3));
        let sys = SigInfo::sys(SYS_SECCOMP, 0x1234, 39, 0xc000_003e, 7);
        assert_eq!(&sys.as_bytes()[24..32], [39u32, 0xc000_003e].map(u32::to_ne_bytes).as_flattened());
        let mut timer = SigInfo::timer(Signal::SIGALRM, -1, 2, 9);
        timer.set_overrun(-3);
        assert_eq!((timer.timer_id(), timer.overrun(), timer.value()), (-1, -3, 9));
    }
}
