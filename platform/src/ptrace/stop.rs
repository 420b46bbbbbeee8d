//! What the stops of a stub mean for the application.

use abi::UserAddr;
use host::ptrace::{self, StopSignal};

use super::tracee::Tracee;
use crate::event::{Access, Event, Exception, SyscallArgs};
use crate::stub::{KICK, host_error};
use crate::traits::PlatformError;

/// Why a stub stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It entered a system call.
    Syscall,
    /// A signal is about to be delivered.
    Signal(i32),
    /// `PTRACE_EVENT_STOP`.
    Trap,
}

impl Stop {
    /// From what wait4(2) calls a signal.
    pub(super) const fn of_signal(signal: i32) -> Self {
        if signal == libc::SIGTRAP | 0x80 { Self::Syscall } else { Self::Signal(signal) }
    }
}

const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
const SI_KERNEL: i32 = 0x80;
const SEGV_MAPERR: i32 = 1;
const SEGV_ACCERR: i32 = 2;
const SEGV_PKUERR: i32 = 4;
const SYS_SECCOMP: i32 = 1;
const VSYSCALL: std::ops::Range<u64> = 0xffff_ffff_ff60_0000..0xffff_ffff_ff60_1000;

/// The event behind a stop in application code; none if it was not the application's doing.
pub(super) fn event(tracee: &Tracee, stop: Stop) -> Result<Option<Event>, PlatformError> {
    match stop {
        Stop::Syscall => syscall(tracee).map(Some),
        Stop::Trap | Stop::Signal(KICK) => Ok(None),
        Stop::Signal(libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP | libc::SIGSYS) => {
            exception(tracee)
        }
        // Sent by somebody outside of the sandbox: not a matter of the application.
        Stop::Signal(_) => Ok(None),
    }
}

fn syscall(tracee: &Tracee) -> Result<Event, PlatformError> {
    let entry = ptrace::syscall_entry(tracee.tid()).map_err(|errno| failed("PTRACE_GET_SYSCALL_INFO", errno))?;
    Ok(Event::Syscall(SyscallArgs {
        nr: entry.nr,
        args: entry.args,
        ip: UserAddr(entry.ip),
        compat: entry.arch != AUDIT_ARCH_X86_64,
    }))
}

fn exception(tracee: &Tracee) -> Result<Option<Event>, PlatformError> {
    let info = ptrace::stop_signal(tracee.tid()).map_err(|errno| failed("PTRACE_GETSIGINFO", errno))?;
    let addr = UserAddr(info.addr);
    match info {
        // kill(2) and its like from outside.
        StopSignal { code, .. } if code <= 0 => Ok(None),
        StopSignal { signo: libc::SIGSYS, code: SYS_SECCOMP, .. } => vsyscall(tracee, addr),
        StopSignal { signo: libc::SIGSEGV, code: SEGV_MAPERR | SEGV_ACCERR | SEGV_PKUERR, .. } => {
            let access = if tracee.regs()?.rip == addr.0 { Access::Execute } else { Access::Unknown };
            Ok(Some(Event::Fault { addr, access }))
        }
        StopSignal { signo, code, .. } => {
            let addr = if code == SI_KERNEL { UserAddr::NULL } else { addr };
            Ok(Some(Event::Exception(Exception { signo, code, addr })))
        }
    }
}

/// The kernel emulates calls into the vsyscall page unless a filter objects, as ours does. By then it has returned to the
/// caller; we go back to the entry, so that this looks like the fault that it is.
fn vsyscall(tracee: &Tracee, entry: UserAddr) -> Result<Option<Event>, PlatformError> {
    if !VSYSCALL.contains(&entry.0) {
        return Err(host_error("call from a stub", abi::Errno::EPERM));
    }
    let mut regs = tracee.regs()?;
    regs.rip = entry.0;
    regs.rsp = regs.rsp.wrapping_sub(8);
    regs.orig_rax = u64::MAX;
    tracee.set_regs(&regs);
    Ok(Some(Event::Fault { addr: entry, access: Access::Execute }))
}

const fn failed(what: &'static str, errno: abi::Errno) -> PlatformError {
    match errno {
        abi::Errno::ESRCH => PlatformError::StubDied,
        errno => host_error(what, errno),
    }
}
