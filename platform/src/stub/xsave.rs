//! The vector state of stubs: what it looks like on this host, and how any bytes become one that the host accepts.

use crate::regs::FpuState;
use crate::traits::PlatformError;

/// More than any XSAVE area of today.
pub(crate) const LARGEST: usize = 1 << 15;
/// The legacy area and the XSAVE header.
const SMALLEST: usize = 576;

const CONTROL_WORD: usize = 0;
const MXCSR: usize = 24;
const MXCSR_MASK: usize = 28;
/// Words that hardware does not use: the kernel's, in a signal frame; XCR0 for us, as ptrace(2) has it.
pub(crate) const SOFTWARE: std::ops::Range<usize> = 464..512;
const PRESENT: usize = 512;
const REST_OF_HEADER: std::ops::Range<usize> = 520..SMALLEST;

/// x87 and SSE, which every area has.
const LEGACY: u64 = 3;
/// Everything but the state that a program must ask for first (AMX tiles).
pub(crate) const COMMON: u64 = 0x2ff;

/// The XSAVE area of this host.
#[derive(Debug)]
pub(crate) struct XsaveFormat {
    initial: FpuState,
    features: u64,
    mxcsr_mask: u32,
}

impl XsaveFormat {
    /// Learns it from an area with these features, as a stub has it.
    pub(crate) fn new(area: &[u8], features: u64) -> Result<Self, PlatformError> {
        let len = area.len();
        if !(SMALLEST..LARGEST).contains(&len) {
            return Err(PlatformError::Unavailable(format!("an XSAVE area of {len} bytes")));
        }
        let mxcsr_mask = Some(word(area, MXCSR_MASK)).filter(|mask| *mask != 0).unwrap_or(0xffbf);
        let mut initial = vec![0; len];
        put(&mut initial, CONTROL_WORD, &0x37f_u16.to_le_bytes());
        put(&mut initial, MXCSR, &0x1f80_u32.to_le_bytes());
        put(&mut initial, MXCSR_MASK, &mxcsr_mask.to_le_bytes());
        put(&mut initial, SOFTWARE.start, &features.to_le_bytes());
        Ok(Self { initial: FpuState::from_bytes(&initial), features, mxcsr_mask })
    }

    /// The state of a fresh program.
    pub(crate) fn initial(&self) -> &FpuState {
        &self.initial
    }

    /// All components that there are.
    pub(crate) fn features(&self) -> u64 {
        self.features
    }

    /// As much of a state as is valid, with no other components than `features`.
    pub(crate) fn valid(&self, state: &FpuState, features: u64) -> Vec<u8> {
        let mut area = self.initial.bytes().to_vec();
        let given = state.bytes();
        let len = given.len().min(area.len());
        area[..len].copy_from_slice(&given[..len]);
        let present = match given.get(PRESENT..PRESENT + 8).and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) => u64::from_le_bytes(bytes) & features,
            None => LEGACY,
        };
        put(&mut area, PRESENT, &present.to_le_bytes());
        area[REST_OF_HEADER].fill(0);
        let mxcsr = word(&area, MXCSR) & self.mxcsr_mask;
        put(&mut area, MXCSR, &mxcsr.to_le_bytes());
        area
    }
}

/// The features that ptrace(2) leaves in an area.
pub(crate) fn features_of(area: &[u8]) -> u64 {
    u64::from(word(area, SOFTWARE.start)) | u64::from(word(area, SOFTWARE.start + 4)) << 32
}

/// A word of an area; 0 beyond its end.
fn word(area: &[u8], at: usize) -> u32 {
    area.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// Overwrites some bytes. Areas are never shorter than [`SMALLEST`], and no field lies beyond that.
fn put(area: &mut [u8], at: usize, bytes: &[u8]) {
    area[at..at + bytes.len()].copy_from_slice(bytes);
}
