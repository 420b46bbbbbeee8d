//! The vector state of stubs: what it looks like on this host, and how any bytes become one that the host accepts.

use abi::Errno;

use super::tracee::Tracee;
use crate::regs::FpuState;
use crate::traits::PlatformError;

/// More than any XSAVE area of today.
const LARGEST: usize = 1 << 15;
/// The legacy area and the XSAVE header.
const SMALLEST: usize = 576;

const CONTROL_WORD: usize = 0;
const MXCSR: usize = 24;
const MXCSR_MASK: usize = 28;
const FEATURES: usize = 464;
const PRESENT: usize = 512;
const REST_OF_HEADER: std::ops::Range<usize> = 520..SMALLEST;

/// x87 and SSE, which every area has.
const LEGACY: u64 = 3;
/// Everything but the state that a program must ask for first (AMX tiles).
const COMMON: u64 = 0x2ff;

/// The XSAVE area of this host.
#[derive(Debug)]
pub(super) struct FpuFormat {
    initial: FpuState,
    features: u64,
    mxcsr_mask: u32,
}

impl FpuFormat {
    /// Learns it from any stub.
    pub(super) fn of(tracee: &Tracee) -> Result<Self, PlatformError> {
        let mut area = vec![0; LARGEST];
        let len = tracee.xstate(&mut area)?;
        if !(SMALLEST..LARGEST).contains(&len) {
            return Err(PlatformError::Unavailable(format!("an XSAVE area of {len} bytes")));
        }
        let word = |at: usize| u32::from_le_bytes([area[at], area[at + 1], area[at + 2], area[at + 3]]);
        let features = u64::from(word(FEATURES)) | u64::from(word(FEATURES + 4)) << 32;
        let mxcsr_mask = Some(word(MXCSR_MASK)).filter(|mask| *mask != 0).unwrap_or(0xffbf);
        let mut initial = vec![0; len];
        put(&mut initial, CONTROL_WORD, &0x37f_u16.to_le_bytes());
        put(&mut initial, MXCSR, &0x1f80_u32.to_le_bytes());
        put(&mut initial, MXCSR_MASK, &mxcsr_mask.to_le_bytes());
        put(&mut initial, FEATURES, &features.to_le_bytes());
        Ok(Self { initial: FpuState::from_bytes(&initial), features, mxcsr_mask })
    }

    /// The state of a fresh program.
    pub(super) fn initial(&self) -> &FpuState {
        &self.initial
    }

    /// Reads the state of a stopped stub.
    pub(super) fn save(&self, tracee: &Tracee) -> Result<FpuState, PlatformError> {
        let mut state = self.initial.clone();
        tracee.xstate(state.bytes_mut())?;
        Ok(state)
    }

    /// Loads a state into a stopped stub, as much of it as is valid.
    pub(super) fn load(&self, tracee: &Tracee, state: &FpuState) -> Result<(), PlatformError> {
        for features in [self.features, COMMON] {
            match tracee.set_xstate(&self.valid(state, features)) {
                Err(PlatformError::Host { errno: Errno::EINVAL, .. }) => {}
                done => return done,
            }
        }
        tracee.set_xstate(self.initial.bytes())
    }

    fn valid(&self, state: &FpuState, features: u64) -> Vec<u8> {
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
        let mxcsr = u32::from_le_bytes([area[MXCSR], area[MXCSR + 1], area[MXCSR + 2], area[MXCSR + 3]]);
        put(&mut area, MXCSR, &(mxcsr & self.mxcsr_mask).to_le_bytes());
        area
    }
}

/// Overwrites some bytes. Areas are never shorter than [`SMALLEST`], and no field lies beyond that.
fn put(area: &mut [u8], at: usize, bytes: &[u8]) {
    area[at..at + bytes.len()].copy_from_slice(bytes);
}
