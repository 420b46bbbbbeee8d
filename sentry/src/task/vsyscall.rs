//! The vsyscall page: three calls at fixed addresses that old programs jump to. It is not mapped; the fault is answered.

use abi::syscall_nr::{SYS_getcpu, SYS_gettimeofday, SYS_time};
use abi::{PAGE_SIZE, UserAddr};
use platform::{Resume, SyscallArgs};

use super::CurrentTask;
use crate::user::UserPtr;

/// Where the page is.
const VSYSCALL_BASE: u64 = 0xffff_ffff_ff60_0000;

/// Whether an address lies in the page.
pub(super) fn contains(addr: UserAddr) -> bool {
    addr.page_down().0 == VSYSCALL_BASE && addr.0 - VSYSCALL_BASE < PAGE_SIZE
}

impl CurrentTask {
    /// Makes the call that the application jumped to and returns to its caller. `None` if it did not jump to one of the
    /// three entries (a load from the page, for example), or has no stack.
    pub(super) fn emulate_vsyscall(&mut self, addr: UserAddr) -> Option<Resume> {
        let nr = match addr.0 - VSYSCALL_BASE {
            0x000 => SYS_gettimeofday,
            0x400 => SYS_time,
            0x800 => SYS_getcpu,
            _ => return None,
        };
        let regs = *self.context.regs().ok()?;
        if regs.rip != addr.0 {
            return None;
        }
        let caller: u64 = self.mm.read(UserPtr::new(UserAddr(regs.rsp))).ok()?;
        let args = SyscallArgs {
            nr,
            args: [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9],
            ip: UserAddr(caller),
            compat: false,
        };
        let handler = self.task.kernel.syscalls.get(nr)?.handler;
        let result = handler(self, &args).unwrap_or_else(|e| super::run::error_value(e.errno()));
        let regs = self.context.regs().ok()?;
        regs.rax = result;
        regs.rip = caller;
        regs.rsp = regs.rsp.wrapping_add(8);
        Some(Resume::Regs)
    }
}
