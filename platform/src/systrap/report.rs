//! What a thread's reports mean for the application.

use abi::UserAddr;

use super::frame::Info;
use crate::event::{Access, Event, Exception, SyscallArgs};
use crate::regs::Regs;
use crate::stub::KICK;

const SI_KERNEL: i32 = 0x80;
const SEGV_MAPERR: i32 = 1;
const SEGV_ACCERR: i32 = 2;
const SEGV_PKUERR: i32 = 4;
const SYS_SECCOMP: i32 = 1;
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
const VSYSCALL: std::ops::Range<u64> = 0xffff_ffff_ff60_0000..0xffff_ffff_ff60_1000;
/// Number of the page fault exception, and bits of its error code.
const PAGE_FAULT: u64 = 14;
const ERROR_WRITE: u64 = 2;
const ERROR_FETCH: u64 = 16;

/// The event behind a signal; none if it was not the application's doing. For a call, `regs` become what Linux has while
/// one is made.
pub(super) fn event(signal: i32, info: &Info, regs: &mut Regs) -> Option<Event> {
    let addr = UserAddr(info.addr);
    match signal {
        KICK => None,
        // kill(2) and its like from outside.
        _ if info.code <= 0 => None,
        libc::SIGSYS if info.code == SYS_SECCOMP => Some(call(info, regs)),
        libc::SIGSEGV if matches!(info.code, SEGV_MAPERR | SEGV_ACCERR | SEGV_PKUERR) => {
            let access = match info.error {
                _ if info.trap != PAGE_FAULT => Access::Unknown,
                error if error & ERROR_FETCH != 0 || regs.rip == addr.0 => Access::Execute,
                error if error & ERROR_WRITE != 0 => Access::Write,
                _ => Access::Read,
            };
            Some(Event::Fault { addr, access })
        }
        libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP | libc::SIGSYS => {
            let addr = if info.code == SI_KERNEL { UserAddr::NULL } else { addr };
            Some(Event::Exception(Exception { signo: signal, code: info.code, addr }))
        }
        _ => None,
    }
}

fn call(info: &Info, regs: &mut Regs) -> Event {
    if VSYSCALL.contains(&info.addr) {
        // The kernel has returned to the caller by now; we go back to the entry, so that this looks like the fault that it
        // is without a kernel that emulates it.
        regs.rip = info.addr;
        regs.rsp = regs.rsp.wrapping_sub(8);
        return Event::Fault { addr: UserAddr(info.addr), access: Access::Execute };
    }
    let nr = i64::from(regs.rax as i32).cast_unsigned();
    let compat = info.arch != AUDIT_ARCH_X86_64;
    let args = match compat {
        false => [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9],
        true => [regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi, regs.rbp].map(|word| word & 0xffff_ffff),
    };
    in_call(regs, nr);
    Event::Syscall(SyscallArgs { nr, args, ip: UserAddr(info.addr), compat })
}

/// As registers are while a call is made.
pub(super) fn in_call(regs: &mut Regs, nr: u64) {
    regs.orig_rax = nr;
    regs.rax = i64::from(-libc::ENOSYS).cast_unsigned();
}
