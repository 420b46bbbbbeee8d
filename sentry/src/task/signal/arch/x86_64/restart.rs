//! The end of a call in the registers: its result, or the call once more.

use abi::syscall_nr;
use platform::{Regs, SyscallArgs};

/// Bytes of `syscall`, and of `int 0x80`.
const INSN_LEN: u64 = 2;

/// The call ends with this value.
pub(in crate::task::signal) fn finish(regs: &mut Regs, args: &SyscallArgs, rax: u64) {
    regs.rax = rax;
    regs.rip = args.ip.0;
    regs.orig_rax = u64::MAX;
}

/// The instruction is executed again with the same call.
pub(in crate::task::signal) fn restart_same(regs: &mut Regs, args: &SyscallArgs) {
    restart_with(regs, args, args.nr);
}

/// The instruction is executed again, and makes restart_syscall(2).
pub(in crate::task::signal) fn restart_block(regs: &mut Regs, args: &SyscallArgs) {
    restart_with(regs, args, syscall_nr::SYS_restart_syscall);
}

fn restart_with(regs: &mut Regs, args: &SyscallArgs, nr: u64) {
    finish(regs, args, nr);
    regs.rip = args.ip.0.wrapping_sub(INSN_LEN);
}

#[cfg(test)]
mod tests {
    use abi::UserAddr;

    use super::*;

    #[test]
    fn a_restart_points_at_the_instruction() {
        let args = SyscallArgs { nr: 0, args: [0; 6], ip: UserAddr(0x1002), compat: false };
        let mut regs = Regs { rax: u64::MAX, ..Regs::default() };
        restart_same(&mut regs, &args);
        assert_eq!((regs.rip, regs.rax, regs.orig_rax), (0x1000, 0, u64::MAX));
        restart_block(&mut regs, &args);
        assert_eq!((regs.rip, regs.rax), (0x1000, 219));
        finish(&mut regs, &args, 7);
        assert_eq!((regs.rip, regs.rax), (0x1002, 7));
    }
}
