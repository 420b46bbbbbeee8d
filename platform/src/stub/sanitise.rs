//! Makes registers valid before they are loaded, so that the host neither refuses them nor gives more than Linux would.

use abi::TASK_SIZE;

use crate::regs::{Regs, USER_CS, USER_DS};

/// Selector of 32-bit user code on Linux, which a far jump reaches without our help.
const USER32_CS: u64 = 0x23;
/// CF PF AF ZF SF TF DF OF RF AC: what an application may change of eflags.
const CHANGEABLE_FLAGS: u64 = 0x5_0dd5;
/// Interrupts on, and the bit that is always one.
const FIXED_FLAGS: u64 = 0x202;

/// Applies to registers that come from a signal frame or were computed by the sentry.
pub(crate) fn all(regs: &mut Regs) {
    regs.cs = if regs.cs == USER32_CS { USER32_CS } else { USER_CS };
    regs.ss = USER_DS;
    for selector in [&mut regs.ds, &mut regs.es, &mut regs.fs, &mut regs.gs] {
        *selector &= 0xffff;
        if *selector & 3 != 3 {
            *selector = 0;
        }
    }
    regs.eflags = regs.eflags & CHANGEABLE_FLAGS | FIXED_FLAGS;
    regs.orig_rax = u64::MAX;
    bases(regs);
}

/// Applies to registers as the application has them too: with `wrfsbase` it can set what ptrace refuses to load.
pub(crate) fn bases(regs: &mut Regs) {
    for base in [&mut regs.fs_base, &mut regs.gs_base] {
        if *base >= TASK_SIZE {
            *base = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_registers_become_user_registers() {
        let words = [u64::MAX; 27];
        let mut regs = Regs::from_words(words);
        all(&mut regs);
        assert_eq!((regs.cs, regs.ss), (USER_CS, USER_DS));
        assert_eq!(regs.eflags & 0x3000, 0, "no I/O privilege");
        assert_eq!((regs.fs_base, regs.gs_base), (0, 0));
        assert_eq!(regs.ds, 0xffff);
        assert_eq!(regs.rip, u64::MAX, "an address is the CPU's to refuse");
    }
}
