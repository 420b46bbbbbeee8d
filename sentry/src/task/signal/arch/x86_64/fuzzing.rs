//! An entry for the fuzzer: the vector state and the registers of a signal frame.

use abi::sigframe::{FXSAVE_SIZE, SigContext};
use platform::{FpuState, Regs};
use zerocopy::FromBytes;

use super::{fpu, sigreturn};

pub(crate) fn run(bytes: &[u8]) {
    let Some((length, bytes)) = bytes.split_first() else { return };
    let own = FpuState::from_bytes(&vec![0; [512, 576, 832, 1088, 2696][usize::from(*length) % 5]]);
    if let Some(fxsave) = bytes.get(..FXSAVE_SIZE) {
        let found = fpu::extended_size(fxsave, &own);
        let (size, features) = found.unwrap_or((FXSAVE_SIZE, 0));
        if let Some(image) = bytes.get(..size)
            && let Some(mut state) = fpu::adopt(image, features, &own)
        {
            assert_eq!(state.bytes().len(), own.bytes().len());
            fpu::label(&mut state);
            let _ = fpu::frame_len(&state);
        }
    }
    if let Ok((context, _)) = SigContext::read_from_prefix(bytes) {
        let mut regs = Regs::default();
        sigreturn::restore_regs(&mut regs, &context);
        assert_eq!((regs.cs & 3, regs.ss & 3, regs.eflags & 0x3000), (3, 3, 0), "never more than a program may have");
    }
}
