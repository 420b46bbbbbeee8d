//! Registers of a tracee that is stopped: PTRACE_GETREGS and its kin, regsets, the user area.

use std::sync::Arc;

use abi::ptrace::{USER_AREA_SIZE, USER_DEBUGREG_OFFSET, UserRegs};
use abi::sigframe::{
    EFLAGS_ID, FIX_EFLAGS, FXSAVE_SIZE, MXCSR_MASK_DEFAULT, XFEATURE_FP, XFEATURE_SSE, XSTATE_HEADER_OFFSET,
    XSTATE_MIN_SIZE,
};
use abi::{Errno, TASK_SIZE};
use platform::{FpuState, Regs};
use zerocopy::IntoBytes;

use crate::error::{Result, err};
use crate::task::{CurrentTask, Task};

/// A set of registers that PTRACE_GETREGSET names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegSet {
    /// NT_PRSTATUS, PTRACE_GETREGS: general registers.
    General,
    /// NT_PRFPREG, PTRACE_GETFPREGS: x87 and SSE as FXSAVE stores them.
    Fx,
    /// NT_X86_XSTATE: all vector registers as XSAVE stores them.
    Xstate,
}

/// Where MXCSR, and the bits it may have, stand in the FXSAVE area.
const MXCSR: usize = 24;
const MXCSR_MASK: usize = 28;
/// Bytes of a register.
const WORD: usize = 8;

impl CurrentTask {
    /// All bytes of a set.
    pub fn ptrace_get_regs(&self, target: &Arc<Task>, set: RegSet) -> Result<Vec<u8>> {
        self.with_stop(target, |stop| {
            Ok(match set {
                RegSet::General => shown(&stop.regs).as_bytes().to_vec(),
                RegSet::Fx => stop.fpu.bytes().iter().copied().take(FXSAVE_SIZE).collect(),
                RegSet::Xstate => stop.fpu.bytes().to_vec(),
            })
        })
    }

    /// Replaces the first bytes of a set.
    pub fn ptrace_set_regs(&self, target: &Arc<Task>, set: RegSet, bytes: &[u8]) -> Result<()> {
        self.with_stop(target, |stop| {
            match set {
                RegSet::General => {
                    let mut regs = stop.regs;
                    for (index, word) in bytes.chunks_exact(WORD).enumerate() {
                        let word = word.try_into().map_or(0, u64::from_le_bytes);
                        put(&mut regs, index, word)?;
                    }
                    stop.regs = regs;
                    stop.regs_changed = true;
                }
                RegSet::Fx | RegSet::Xstate => {
                    stop.fpu = changed(&stop.fpu, set, bytes)?;
                    stop.fpu_changed = true;
                }
            }
            Ok(())
        })
    }

    /// PTRACE_PEEKUSER.
    pub fn ptrace_peek_user(&self, target: &Arc<Task>, offset: u64) -> Result<u64> {
        let index = user_word(offset)?;
        self.with_stop(target, |stop| Ok(shown(&stop.regs).to_words().get(index).copied().unwrap_or(0)))
    }

    /// PTRACE_POKEUSER. The debug registers can be zeroed only: nobody would look at them.
    pub fn ptrace_poke_user(&self, target: &Arc<Task>, offset: u64, word: u64) -> Result<()> {
        let index = user_word(offset)?;
        self.with_stop(target, |stop| {
            if offset >= USER_DEBUGREG_OFFSET {
                return if word == 0 { Ok(()) } else { err(Errno::ENOSPC) };
            }
            put(&mut stop.regs, index, word)?;
            stop.regs_changed = true;
            Ok(())
        })
    }
}

/// The word of the user area at an offset; EIO if there is none.
fn user_word(offset: u64) -> Result<usize> {
    if !offset.is_multiple_of(8) || offset >= USER_AREA_SIZE {
        return err(Errno::EIO);
    }
    usize::try_from(offset / 8).map_err(|_| Errno::EIO.into())
}

/// As an array of words, and back.
trait Words {
    fn to_words(&self) -> [u64; 27];
}

impl Words for UserRegs {
    fn to_words(&self) -> [u64; 27] {
        let mut words = [0; 27];
        for (word, bytes) in words.iter_mut().zip(self.as_bytes().chunks_exact(WORD)) {
            *word = bytes.try_into().map_or(0, u64::from_le_bytes);
        }
        words
    }
}

fn shown(regs: &Regs) -> UserRegs {
    let words = regs.to_words();
    zerocopy::FromBytes::read_from_bytes(words.as_bytes()).unwrap_or_default()
}

/// Changes one register as Linux allows it; EIO for what it does not.
fn put(regs: &mut Regs, index: usize, word: u64) -> Result<()> {
    /// What a tracer may change of eflags.
    const FLAGS: u64 = FIX_EFLAGS & !EFLAGS_ID;
    let mut words = regs.to_words();
    let Some(place) = words.get_mut(index) else {
        // The rest of the user area is not there to be written.
        return err(Errno::EIO);
    };
    let mut new = word;
    match index {
        // cs and ss: user mode.
        17 | 20 if word & 0xffff & 3 != 3 => return err(Errno::EIO),
        // ds, es, fs, gs: nothing, or user mode.
        23..=26 if word & 0xffff != 0 && word & 3 != 3 => return err(Errno::EIO),
        17 | 20 | 23..=26 => new = word & 0xffff,
        18 => new = *place & !FLAGS | word & FLAGS,
        // fs_base and gs_base.
        21 | 22 if word >= TASK_SIZE => return err(Errno::EIO),
        _ => {}
    }
    *place = new;
    *regs = Regs::from_words(words);
    Ok(())
}

/// A state with some bytes replaced; EINVAL or EFAULT for what the processor would refuse.
fn changed(own: &FpuState, set: RegSet, bytes: &[u8]) -> Result<FpuState> {
    let mut state = own.clone();
    let whole = own.bytes().len();
    match set {
        RegSet::Xstate if bytes.len() < XSTATE_MIN_SIZE.min(whole) || bytes.len() > whole => return err(Errno::EFAULT),
        RegSet::Fx if bytes.len() != FXSAVE_SIZE => return err(Errno::EINVAL),
        _ => {}
    }
    // What the kernel says about the area is not the tracer's to change.
    let software = abi::sigframe::FPX_SW_OFFSET..FXSAVE_SIZE;
    let kept: Vec<u8> = own.bytes().get(software.clone()).unwrap_or_default().to_vec();
    for (to, from) in state.bytes_mut().iter_mut().zip(bytes) {
        *to = *from;
    }
    if let Some(place) = state.bytes_mut().get_mut(software) {
        place.copy_from_slice(&kept);
    }
    let word =
        |bytes: &[u8], at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
    let mask = match word(own.bytes(), MXCSR_MASK) {
        0 => MXCSR_MASK_DEFAULT,
        mask => mask,
    };
    if word(state.bytes(), MXCSR) & !mask != 0 {
        return err(Errno::EINVAL);
    }
    if set == RegSet::Xstate {
        let header = state.bytes().get(XSTATE_HEADER_OFFSET + 8..XSTATE_MIN_SIZE).unwrap_or_default();
        if header.iter().any(|byte| *byte != 0) {
            return err(Errno::EINVAL);
        }
    } else if let Some(header) = state.bytes_mut().get_mut(XSTATE_HEADER_OFFSET) {
        // x87 and SSE are in use now.
        *header |= u8::try_from(XFEATURE_FP | XFEATURE_SSE).unwrap_or(3);
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_bases_and_flags_cannot_be_privileged() {
        let mut regs = Regs::start(0x1000, 0x2000);
        assert!(put(&mut regs, 17, 0x10).is_err() && put(&mut regs, 21, TASK_SIZE).is_err());
        assert!(put(&mut regs, 27, 0).is_err());
        put(&mut regs, 18, u64::MAX).unwrap();
        assert_eq!(regs.eflags & 0x3000, 0);
        put(&mut regs, 10, 7).unwrap();
        assert_eq!(regs.rax, 7);
    }

    #[test]
    fn reserved_bits_of_mxcsr_are_refused() {
        let own = FpuState::from_bytes(&[0; 832]);
        let mut bytes = [0; FXSAVE_SIZE];
        bytes[MXCSR..MXCSR + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(changed(&own, RegSet::Fx, &bytes).is_err());
        bytes[MXCSR..MXCSR + 4].copy_from_slice(&0x1f80u32.to_le_bytes());
        assert!(changed(&own, RegSet::Fx, &bytes).is_ok());
        assert!(changed(&own, RegSet::Fx, &bytes[..8]).is_err());
    }
}
