//! rt_sigreturn(2) and sigaltstack(2).

use abi::Errno;
use abi::siginfo::SigInfo;
use abi::signal::{MINSIGSTKSZ, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK, Signal, Stack};

use super::arch;
use crate::error::{Result, SysResult, err};
use crate::task::CurrentTask;

impl CurrentTask {
    /// rt_sigreturn(2): goes on where a handler interrupted. A frame that cannot be read is a SIGSEGV.
    pub fn sigreturn(&mut self) -> SysResult {
        if self.restore_frame().is_err() {
            self.force_signal(SigInfo::kernel(Signal::SIGSEGV));
        }
        self.resume_with_regs();
        Ok(0)
    }

    fn restore_frame(&mut self) -> Result<()> {
        let own = self.context.fpu()?;
        let restored = arch::read_frame(&self.mm, self.context.regs()?, &own)?;
        self.context.set_fpu(restored.fpu.as_ref())?;
        self.set_blocked(restored.mask);
        // As on Linux, a stack that is refused is not an error here.
        let _ = self.set_altstack(restored.altstack);
        Ok(())
    }

    /// sigaltstack(2): the stack as it is. Its flags say whether the thread runs on it.
    pub fn altstack(&mut self) -> Result<Stack> {
        let stack = self.own_signals.altstack;
        let sp = self.context.regs()?.rsp;
        Ok(Stack { ss_flags: sas_flags(&stack, sp) | (stack.ss_flags & SS_AUTODISARM), ..stack })
    }

    /// sigaltstack(2): another stack. EPERM while the thread runs on the one that is set, ENOMEM if it is too small.
    pub fn set_altstack(&mut self, new: Stack) -> Result<()> {
        let old = self.own_signals.altstack;
        let sp = self.context.regs()?.rsp;
        self.own_signals.altstack = replace(&old, new, sp)?;
        Ok(())
    }
}

/// SS_DISABLE, SS_ONSTACK or neither.
fn sas_flags(stack: &Stack, sp: u64) -> u32 {
    if stack.ss_size == 0 {
        SS_DISABLE
    } else if on_stack(stack, sp) {
        SS_ONSTACK
    } else {
        0
    }
}

fn on_stack(stack: &Stack, sp: u64) -> bool {
    stack.ss_flags & SS_AUTODISARM == 0 && stack.contains(sp)
}

/// What the stack becomes when an application that runs at `sp` asks for `new`.
fn replace(old: &Stack, new: Stack, sp: u64) -> Result<Stack> {
    if on_stack(old, sp) {
        return err(Errno::EPERM);
    }
    let new = Stack { _pad: 0, ..new };
    match new.ss_flags & !SS_AUTODISARM {
        SS_DISABLE => Ok(Stack { ss_flags: new.ss_flags, ..Stack::DISABLED }),
        0 | SS_ONSTACK if new.ss_size < MINSIGSTKSZ => err(Errno::ENOMEM),
        0 | SS_ONSTACK => Ok(new),
        _ => err(Errno::EINVAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: Stack = Stack { ss_sp: 0x1000, ss_flags: 0, _pad: 0, ss_size: 0x1000 };

    #[test]
    fn a_stack_in_use_stays_and_bad_ones_are_refused() {
        assert!(replace(&STACK, Stack::DISABLED, 0x1800).is_err_and(|e| e.is(Errno::EPERM)));
        assert!(replace(&STACK, Stack::DISABLED, 0x3000).is_ok_and(|s| s.ss_size == 0));
        let small = Stack { ss_size: 2047, ..STACK };
        assert!(replace(&Stack::DISABLED, small, 0).is_err_and(|e| e.is(Errno::ENOMEM)));
        let odd = Stack { ss_flags: 4, ..STACK };
        assert!(replace(&Stack::DISABLED, odd, 0).is_err_and(|e| e.is(Errno::EINVAL)));
        let auto = Stack { ss_flags: SS_AUTODISARM, ..STACK };
        assert!(replace(&auto, STACK, 0x1800).is_ok());
        assert_eq!(sas_flags(&STACK, 0x1800), SS_ONSTACK);
        assert_eq!(sas_flags(&STACK, 0x1000), 0);
    }
}
