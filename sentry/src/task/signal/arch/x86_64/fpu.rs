//! Floating-point and vector state in a signal frame: an XSAVE image that says how long it is, and a magic number after it.

use abi::sigframe::{
    FP_XSTATE_MAGIC1, FP_XSTATE_MAGIC2_SIZE, FPX_SW_OFFSET, FXSAVE_SIZE, FpxSwBytes, MXCSR_MASK_DEFAULT, XFEATURE_FP,
    XFEATURE_SSE, XSTATE_HEADER_OFFSET, XSTATE_MIN_SIZE,
};
use platform::FpuState;
use zerocopy::{FromBytes, IntoBytes};

/// FP and SSE, which every image has.
const LEGACY: u64 = XFEATURE_FP | XFEATURE_SSE;
const MXCSR_OFFSET: usize = 24;
const MXCSR_MASK_OFFSET: usize = 28;

/// Bytes an image of this state takes in a frame.
pub(super) fn frame_len(state: &FpuState) -> usize {
    let len = state.bytes().len();
    if has_header(state) { len + FP_XSTATE_MAGIC2_SIZE } else { len }
}

/// Whether the state goes beyond FXSAVE.
pub(super) fn has_header(state: &FpuState) -> bool {
    state.bytes().len() >= XSTATE_MIN_SIZE
}

/// Completes the image for the application: which features it has and how long it is.
pub(super) fn label(state: &mut FpuState) {
    let sw = if has_header(state) {
        let header = u64_at(state.bytes(), XSTATE_HEADER_OFFSET) | LEGACY;
        put(state.bytes_mut(), XSTATE_HEADER_OFFSET, header.as_bytes());
        let size = u32::try_from(state.bytes().len()).unwrap_or(u32::MAX);
        FpxSwBytes {
            magic1: FP_XSTATE_MAGIC1,
            extended_size: size.saturating_add(FP_XSTATE_MAGIC2_SIZE as u32),
            xfeatures: features(state),
            xstate_size: size,
            ..FpxSwBytes::default()
        }
    } else {
        FpxSwBytes::default()
    };
    put(state.bytes_mut(), FPX_SW_OFFSET, sw.as_bytes());
}

/// How many bytes of the application's image count, by what its first 512 bytes and the bytes after the end say. `None`: only
/// those 512, because the rest is not there or not ours. `own` is a state of this task.
pub(super) fn extended_size(fxsave: &[u8], own: &FpuState) -> Option<(usize, u64)> {
    let sw = FpxSwBytes::read_from_prefix(fxsave.get(FPX_SW_OFFSET..)?).ok()?.0;
    let size = usize::try_from(sw.xstate_size).ok()?;
    let fits = (XSTATE_MIN_SIZE..=own.bytes().len()).contains(&size) && sw.xstate_size <= sw.extended_size;
    (sw.magic1 == FP_XSTATE_MAGIC1 && fits).then_some((size, sw.xfeatures))
}

/// The application's image as a state to load. `own` is the state the task has now; it says which features there are.
/// `None` if the processor would refuse the image, which Linux answers with SIGSEGV.
pub(super) fn adopt(image: &[u8], xfeatures: u64, own: &FpuState) -> Option<FpuState> {
    let mut state = FpuState::from_bytes(&vec![0; own.bytes().len()]);
    let len = image.len().min(own.bytes().len());
    put(state.bytes_mut(), 0, image.get(..len)?);
    // What the kernel keeps there is not the application's to choose.
    put(state.bytes_mut(), FPX_SW_OFFSET, own.bytes().get(FPX_SW_OFFSET..FXSAVE_SIZE)?);
    let mask = match u32_at(own.bytes(), MXCSR_MASK_OFFSET) {
        0 => MXCSR_MASK_DEFAULT,
        mask => mask,
    };
    if u32_at(state.bytes(), MXCSR_OFFSET) & !mask != 0 {
        return None;
    }
    if has_header(own) {
        let header = if image.len() >= XSTATE_MIN_SIZE {
            let reserved = image.get(XSTATE_HEADER_OFFSET + 8..XSTATE_MIN_SIZE)?;
            if reserved.iter().any(|b| *b != 0) {
                return None;
            }
            u64_at(image, XSTATE_HEADER_OFFSET) & xfeatures & features(own)
        } else {
            LEGACY
        };
        put(state.bytes_mut(), XSTATE_HEADER_OFFSET, header.as_bytes());
    }
    Some(state)
}

/// The features that a state of this task can hold. The platform leaves XCR0 in the bytes that hardware does not use, as
/// ptrace's regset does; without it, what is in use must do.
fn features(state: &FpuState) -> u64 {
    match u64_at(state.bytes(), FPX_SW_OFFSET) {
        0 => u64_at(state.bytes(), XSTATE_HEADER_OFFSET) | LEGACY,
        // A label of ours is there already.
        v if v & 0xffff_ffff == u64::from(FP_XSTATE_MAGIC1) => u64_at(state.bytes(), FPX_SW_OFFSET + 8),
        xcr0 => xcr0,
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|b| u64::read_from_prefix(b).ok()).map_or(0, |(v, _)| v)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|b| u32::read_from_prefix(b).ok()).map_or(0, |(v, _)| v)
}

/// Copies `from` to `at`, as far as there is room.
fn put(bytes: &mut [u8], at: usize, from: &[u8]) {
    for (to, from) in bytes.iter_mut().skip(at).zip(from) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x87, SSE and AVX.
    const XCR0: u64 = 7;
    const LEN: usize = 832;

    fn own() -> FpuState {
        let mut state = FpuState::from_bytes(&[0; LEN]);
        put(state.bytes_mut(), MXCSR_OFFSET, 0x1f80u32.as_bytes());
        put(state.bytes_mut(), FPX_SW_OFFSET, XCR0.as_bytes());
        put(state.bytes_mut(), XSTATE_HEADER_OFFSET, 4u64.as_bytes());
        put(state.bytes_mut(), 600, &[7; 16]);
        state
    }

    #[test]
    fn a_labelled_image_is_adopted_as_it_was() {
        let mut image = own();
        label(&mut image);
        assert_eq!(frame_len(&image), LEN + 4);
        assert_eq!(extended_size(&image.bytes()[..512], &own()), Some((LEN, XCR0)));
        let adopted = adopt(image.bytes(), XCR0, &own()).expect("a good image");
        assert_eq!(u64_at(adopted.bytes(), XSTATE_HEADER_OFFSET), 7);
        assert_eq!(adopted.bytes()[600..616], [7; 16]);
        assert_eq!(u64_at(adopted.bytes(), FPX_SW_OFFSET), XCR0);
    }

    #[test]
    fn sizes_that_do_not_fit_leave_the_legacy_part() {
        let mut image = own();
        label(&mut image);
        for size in [0u32, 575, LEN as u32 + 1, u32::MAX] {
            let mut bad = image.clone();
            put(bad.bytes_mut(), FPX_SW_OFFSET + 16, size.as_bytes());
            assert_eq!(extended_size(&bad.bytes()[..512], &own()), None);
        }
        let legacy = adopt(&image.bytes()[..512], 0, &own()).expect("a good image");
        assert_eq!(u64_at(legacy.bytes(), XSTATE_HEADER_OFFSET), LEGACY);
        assert_eq!(legacy.bytes()[600..616], [0; 16]);
    }

    #[test]
    fn what_the_processor_would_refuse_is_refused() {
        let mut image = own();
        label(&mut image);
        let mut mxcsr = image.clone();
        put(mxcsr.bytes_mut(), MXCSR_OFFSET, u32::MAX.as_bytes());
        assert!(adopt(mxcsr.bytes(), XCR0, &own()).is_none());
        let mut compacted = image.clone();
        put(compacted.bytes_mut(), XSTATE_HEADER_OFFSET + 8, (1u64 << 63).as_bytes());
        assert!(adopt(compacted.bytes(), XCR0, &own()).is_none());
        put(image.bytes_mut(), XSTATE_HEADER_OFFSET, u64::MAX.as_bytes());
        let adopted = adopt(image.bytes(), u64::MAX, &own()).expect("unknown features are left out");
        assert_eq!(u64_at(adopted.bytes(), XSTATE_HEADER_OFFSET), XCR0);
    }
}
