//! Reading a frame back: rt_sigreturn(2). Every byte of it is the application's.

use abi::UserAddr;
use abi::sigframe::{
    FIX_EFLAGS, FP_XSTATE_MAGIC2, FP_XSTATE_MAGIC2_SIZE, FXSAVE_SIZE, RtSigFrame, SigContext, USER_CS, USER_DS,
};
use abi::signal::{SigSet, Stack};
use platform::{FpuState, Regs};

use super::fpu;
use crate::error::{Result, err};
use crate::mm::MemoryManager;
use crate::user::UserPtr;

/// What a frame restores besides the registers.
#[derive(Debug)]
pub(in crate::task::signal) struct Restored {
    pub(in crate::task::signal) mask: SigSet,
    pub(in crate::task::signal) altstack: Stack,
    /// `None`: the state of a fresh program.
    pub(in crate::task::signal) fpu: Option<FpuState>,
}

/// Reads the frame that the stack pointer is on (its return address has been popped) and loads the registers from it. `own`
/// is the task's floating-point state now. EFAULT: the frame is bad, and the registers are as they were.
pub(in crate::task::signal) fn read_frame(mm: &MemoryManager, regs: &mut Regs, own: &FpuState) -> Result<Restored> {
    let at = UserAddr(regs.rsp.wrapping_sub(8));
    let frame: RtSigFrame = mm.read(UserPtr::new(at))?;
    let fpu = read_fpu(mm, UserAddr(frame.uc.uc_mcontext.fpstate), own)?;
    restore_regs(regs, &frame.uc.uc_mcontext);
    Ok(Restored { mask: frame.uc.uc_sigmask.blockable(), altstack: frame.uc.uc_stack, fpu })
}

/// Loads the registers; those that an application may not choose stay or are what they must be.
pub(super) fn restore_regs(regs: &mut Regs, from: &SigContext) {
    regs.r8 = from.r8;
    regs.r9 = from.r9;
    regs.r10 = from.r10;
    regs.r11 = from.r11;
    regs.r12 = from.r12;
    regs.r13 = from.r13;
    regs.r14 = from.r14;
    regs.r15 = from.r15;
    regs.rdi = from.rdi;
    regs.rsi = from.rsi;
    regs.rbp = from.rbp;
    regs.rbx = from.rbx;
    regs.rdx = from.rdx;
    regs.rax = from.rax;
    regs.rcx = from.rcx;
    regs.rsp = from.rsp;
    regs.rip = from.rip;
    regs.eflags = (regs.eflags & !FIX_EFLAGS) | (from.eflags & FIX_EFLAGS);
    // Only 64-bit code runs here.
    regs.cs = u64::from(USER_CS);
    regs.ss = u64::from(USER_DS);
    regs.orig_rax = u64::MAX;
}

fn read_fpu(mm: &MemoryManager, at: UserAddr, own: &FpuState) -> Result<Option<FpuState>> {
    if at.is_null() {
        return Ok(None);
    }
    let mut image = vec![0; FXSAVE_SIZE];
    mm.read_bytes(at, &mut image)?;
    let mut features = 0;
    if let Some((size, xfeatures)) = fpu::extended_size(&image, own) {
        let end = at.checked_add(size as u64)?;
        let mut magic = [0; FP_XSTATE_MAGIC2_SIZE];
        if mm.read_bytes(end, &mut magic).is_ok() && u32::from_ne_bytes(magic) == FP_XSTATE_MAGIC2 {
            image.resize(size, 0);
            mm.read_bytes(at, &mut image)?;
            features = xfeatures;
        }
    }
    match fpu::adopt(&image, features, own) {
        Some(state) => Ok(Some(state)),
        None => err(abi::Errno::EFAULT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_cannot_choose_segments_or_privileged_flags() {
        let mut regs = Regs::start(0x1000, 0x2000);
        let hostile = SigContext { cs: 0x10, ss: 0x18, eflags: u64::MAX, rip: u64::MAX, ..SigContext::default() };
        restore_regs(&mut regs, &hostile);
        assert_eq!((regs.cs, regs.ss), (0x33, 0x2b));
        assert_eq!(regs.eflags, 0x202 | FIX_EFLAGS);
        assert_eq!((regs.fs_base, regs.gs_base, regs.orig_rax), (0, 0, u64::MAX));
    }
}
