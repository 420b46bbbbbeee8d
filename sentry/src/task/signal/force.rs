//! Signals that a thread raises for itself by what it does: faults. They cannot be blocked or ignored.

use abi::sigframe::{
    PF_INSTR, PF_PROT, PF_USER, PF_WRITE, TRAP_AC, TRAP_BP, TRAP_DB, TRAP_DE, TRAP_GP, TRAP_PF, TRAP_UD, TRAP_XF,
};
use abi::siginfo::{FPE_INTDIV, SEGV_ACCERR, SigInfo, TRAP_TRACE};
use abi::signal::Signal;
use abi::{PAGE_SIZE, UserAddr};
use platform::{Access, Exception};

use super::Account;
use super::arch::{self, FaultRegs};
use crate::task::CurrentTask;

impl CurrentTask {
    /// Raises a signal that the thread must take: if it is blocked or ignored, its action becomes the default.
    pub fn force_signal(&mut self, info: SigInfo) {
        self.force(info, false);
    }

    /// As [`Self::force_signal`], and no handler runs.
    pub(in crate::task) fn force_fatal(&mut self, info: SigInfo) {
        self.force(info, true);
    }

    /// As [`Self::force_signal`]; `fatal`: even a handler does not run.
    pub(super) fn force(&mut self, info: SigInfo, fatal: bool) {
        let Some(signal) = info.signal() else { return };
        let group = &self.group().signals;
        group.open_for_forced(&self.signals, signal, fatal);
        // The kernel's own signals are never refused.
        let _ = group.send(Some(&self.signals), info, &Account::kernel(), None);
        group.recalculate(&self.signals);
    }

    /// An access to memory failed: `info` is SIGSEGV or SIGBUS as the memory manager has it.
    pub fn fault_signal(&mut self, addr: UserAddr, access: Access, info: SigInfo) {
        let mut err = PF_USER;
        err |= match access {
            Access::Write => PF_WRITE,
            Access::Execute => PF_INSTR,
            Access::Unknown if self.was_writing(addr) => PF_WRITE,
            Access::Read | Access::Unknown => 0,
        };
        if info.si_signo == Signal::SIGSEGV.number() && info.si_code == SEGV_ACCERR {
            err |= PF_PROT;
        }
        self.own_signals.fault = FaultRegs { trapno: TRAP_PF, err, cr2: addr.0 };
        self.force_signal(info);
    }

    /// Looks at the instruction that failed.
    fn was_writing(&mut self, addr: UserAddr) -> bool {
        let Ok(regs) = self.context.regs() else { return false };
        let mut code = [0; arch::MAX_INSN];
        // At the end of a page there may be less.
        let rest = usize::try_from(PAGE_SIZE - UserAddr(regs.rip).page_offset()).unwrap_or(0);
        let len =
            if self.mm.read_bytes(UserAddr(regs.rip), &mut code).is_ok() { code.len() } else { rest.min(code.len()) };
        let Some(part) = code.get_mut(..len) else { return false };
        self.mm.read_bytes(UserAddr(regs.rip), part).is_ok() && arch::is_write(part, addr.0, regs)
    }

    /// The processor raised another exception.
    pub fn exception_signal(&mut self, exception: &Exception) {
        let Ok(signal) = Signal::new(exception.signo) else { return };
        self.own_signals.fault.trapno = match signal {
            Signal::SIGFPE if exception.code == FPE_INTDIV => TRAP_DE,
            Signal::SIGFPE => TRAP_XF,
            Signal::SIGILL => TRAP_UD,
            Signal::SIGTRAP if exception.code == TRAP_TRACE => TRAP_DB,
            Signal::SIGTRAP => TRAP_BP,
            Signal::SIGBUS => TRAP_AC,
            _ => TRAP_GP,
        };
        self.own_signals.fault.err = 0;
        self.force_signal(SigInfo::fault(signal, exception.code, exception.addr.0));
    }
}
