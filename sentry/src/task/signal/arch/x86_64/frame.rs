//! Building a frame: where it goes, what is in it, and the registers a handler starts with.

use abi::sigframe::{
    EFLAGS_DF, EFLAGS_RF, EFLAGS_TF, FP_XSTATE_MAGIC2, RED_ZONE, RtSigFrame, SigContext, UC_FP_XSTATE,
    UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS, UContext, USER_CS, USER_DS, XSTATE_ALIGN,
};
use abi::siginfo::SigInfo;
use abi::signal::{SS_AUTODISARM, SaFlags, SigAction, SigSet, Signal, Stack};
use abi::{Errno, UserAddr};
use platform::{FpuState, Regs};
use zerocopy::IntoBytes;

use super::fpu;
use crate::error::{Result, err};
use crate::mm::MemoryManager;
use crate::user::UserPtr;

/// What the processor said about the last fault of a thread, shown in later frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::task::signal) struct FaultRegs {
    pub(in crate::task::signal) trapno: u64,
    pub(in crate::task::signal) err: u64,
    pub(in crate::task::signal) cr2: u64,
}

/// A signal that is to be handled.
#[derive(Debug)]
pub(in crate::task::signal) struct Entry<'a> {
    pub(in crate::task::signal) info: &'a SigInfo,
    pub(in crate::task::signal) action: &'a SigAction,
    /// The mask to come back to.
    pub(in crate::task::signal) mask: SigSet,
    pub(in crate::task::signal) altstack: Stack,
    pub(in crate::task::signal) fault: FaultRegs,
}

/// Where the parts of a frame are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    frame: u64,
    fpstate: u64,
}

/// Writes the frame; returns where. It fails if there is no room or no memory, or the action has no restorer.
pub(in crate::task::signal) fn write_frame(
    mm: &MemoryManager,
    regs: &Regs,
    mut fpu: FpuState,
    entry: &Entry<'_>,
) -> Result<UserAddr> {
    if !entry.action.flags.contains(SaFlags::SA_RESTORER) {
        return err(Errno::EFAULT);
    }
    let place = place(regs.rsp, entry.action.flags, &entry.altstack, fpu::frame_len(&fpu)).ok_or(Errno::EFAULT)?;
    fpu::label(&mut fpu);
    mm.write_bytes(UserAddr(place.fpstate), fpu.bytes())?;
    if fpu::has_header(&fpu) {
        let after = place.fpstate.wrapping_add(fpu.bytes().len() as u64);
        mm.write_bytes(UserAddr(after), FP_XSTATE_MAGIC2.as_bytes())?;
    }
    let frame = compose(regs, place, fpu::has_header(&fpu), entry);
    mm.write(UserPtr::new(UserAddr(place.frame)), &frame)?;
    Ok(UserAddr(place.frame))
}

/// Makes the registers those of a handler that starts on `frame`.
pub(in crate::task::signal) fn enter(regs: &mut Regs, frame: UserAddr, signal: Signal, handler: u64) {
    let uc = frame.0.wrapping_add(core::mem::offset_of!(RtSigFrame, uc) as u64);
    let info = frame.0.wrapping_add(core::mem::offset_of!(RtSigFrame, info) as u64);
    regs.rdi = u64::from(signal.number().unsigned_abs());
    regs.rsi = info;
    regs.rdx = uc;
    regs.rax = 0;
    regs.rip = handler;
    regs.rsp = frame.0;
    regs.cs = u64::from(USER_CS);
    regs.ss = u64::from(USER_DS);
    regs.eflags &= !(EFLAGS_DF | EFLAGS_RF | EFLAGS_TF);
    regs.orig_rax = u64::MAX;
}

/// Finds the place: below the red zone, or on the alternate stack; `None` if that has no room for it.
fn place(sp: u64, flags: SaFlags, altstack: &Stack, fpu_len: usize) -> Option<Place> {
    let on_altstack = altstack.contains(sp);
    // With SS_AUTODISARM a handler runs with the stack switched off, so being on it means nothing.
    let nested = on_altstack && altstack.ss_flags & SS_AUTODISARM == 0;
    let mut at = sp.wrapping_sub(RED_ZONE);
    let entering = flags.contains(SaFlags::SA_ONSTACK) && altstack.ss_size != 0 && !nested;
    if entering {
        at = altstack.ss_sp.wrapping_add(altstack.ss_size);
    }
    let fpstate = at.wrapping_sub(fpu_len as u64) & !(XSTATE_ALIGN - 1);
    let frame = (fpstate.wrapping_sub(size_of::<RtSigFrame>() as u64) & !15).wrapping_sub(8);
    if (nested || entering) && !altstack.contains(frame) {
        return None;
    }
    Some(Place { frame, fpstate })
}

fn compose(regs: &Regs, place: Place, extended: bool, entry: &Entry<'_>) -> RtSigFrame {
    let mut uc_flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
    if extended {
        uc_flags |= UC_FP_XSTATE;
    }
    RtSigFrame {
        pretcode: entry.action.restorer,
        uc: UContext {
            uc_flags,
            uc_link: 0,
            uc_stack: entry.altstack,
            uc_mcontext: context(regs, place.fpstate, entry),
            uc_sigmask: entry.mask,
        },
        info: *entry.info,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "segment registers have 16 bits")]
fn context(regs: &Regs, fpstate: u64, entry: &Entry<'_>) -> SigContext {
    SigContext {
        r8: regs.r8,
        r9: regs.r9,
        r10: regs.r10,
        r11: regs.r11,
        r12: regs.r12,
        r13: regs.r13,
        r14: regs.r14,
        r15: regs.r15,
        rdi: regs.rdi,
        rsi: regs.rsi,
        rbp: regs.rbp,
        rbx: regs.rbx,
        rdx: regs.rdx,
        rax: regs.rax,
        rcx: regs.rcx,
        rsp: regs.rsp,
        rip: regs.rip,
        eflags: regs.eflags,
        cs: regs.cs as u16,
        gs: 0,
        fs: 0,
        ss: regs.ss as u16,
        err: entry.fault.err,
        trapno: entry.fault.trapno,
        oldmask: entry.mask.0,
        cr2: entry.fault.cr2,
        fpstate,
        _reserved1: [0; 8],
    }
}

#[cfg(test)]
mod tests {
    use super::super::sigreturn::restore_regs;
    use super::*;

    const ALT: Stack = Stack { ss_sp: 0x10_0000, ss_flags: 0, _pad: 0, ss_size: 0x4000 };

    #[test]
    fn a_frame_leaves_the_red_zone_and_is_aligned_as_a_call_leaves_it() {
        for sp in [0x7fff_0000_1000, 0x7fff_0000_1008, 0x7fff_0000_0fff] {
            let place = place(sp, SaFlags::empty(), &Stack::DISABLED, 836).expect("there is room");
            assert_eq!((place.frame % 16, place.fpstate % 64), (8, 0));
            assert!(place.fpstate + 836 <= sp - 128);
            assert!(place.frame + size_of::<RtSigFrame>() as u64 <= place.fpstate);
        }
    }

    #[test]
    fn an_alternate_stack_is_entered_once_and_never_left_downwards() {
        let on = SaFlags::SA_ONSTACK;
        let place_at = |sp, flags, stack: &Stack| place(sp, flags, stack, 836);
        let first = place_at(0x7fff_0000, on, &ALT).expect("there is room");
        assert!(ALT.contains(first.frame));
        assert!(place_at(0x7fff_0000, SaFlags::empty(), &ALT).is_some_and(|p| !ALT.contains(p.frame)));
        // A second signal goes below the first one, not over it.
        let second = place_at(first.frame, on, &ALT).expect("there is room");
        assert!(second.fpstate < first.frame);
        assert_eq!(place_at(ALT.ss_sp + 0x200, on, &ALT), None);
        let disarmed = Stack { ss_flags: SS_AUTODISARM, ..ALT };
        assert_eq!(place_at(ALT.ss_sp + 0x200, on, &disarmed), Some(first));
        let small = Stack { ss_size: 0x400, ..ALT };
        assert_eq!(place_at(0x7fff_0000, on, &small), None);
    }

    #[test]
    fn registers_survive_the_round_trip() {
        let mut regs = Regs::start(0x40_1000, 0x7fff_0000_1000);
        (regs.rax, regs.rdi, regs.r15, regs.rcx) = (1, 2, 3, 4);
        regs.eflags = 0x246 | EFLAGS_DF;
        let before = regs;
        let info = SigInfo::kernel(Signal::SIGSEGV);
        let action = SigAction { handler: 0x5000, restorer: 0x6000, ..SigAction::default() };
        let fault = FaultRegs { trapno: 14, err: 6, cr2: 0x1234 };
        let mask = Signal::SIGHUP.bit();
        let entry = Entry { info: &info, action: &action, mask, altstack: Stack::DISABLED, fault };
        let place = place(regs.rsp, SaFlags::empty(), &Stack::DISABLED, 512).expect("there is room");
        let frame = compose(&regs, place, false, &entry);
        assert_eq!((frame.uc.uc_flags, frame.uc.uc_mcontext.cr2, frame.pretcode), (6, 0x1234, 0x6000));
        enter(&mut regs, UserAddr(place.frame), Signal::SIGSEGV, action.handler);
        assert_eq!((regs.rdi, regs.rsi, regs.rdx), (11, place.frame + 8 + 304, place.frame + 8));
        assert_eq!(regs.eflags & EFLAGS_DF, 0);
        restore_regs(&mut regs, &frame.uc.uc_mcontext);
        assert_eq!(regs, before);
    }
}
