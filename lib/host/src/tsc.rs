//! The time stamp counter, and what a clock of the host says at the same moment.

use std::arch::x86_64::{__cpuid, _mm_lfence, _rdtsc};

use abi::Errno;

use crate::clock::Clock;

/// One moment on both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The counter.
    pub tsc: u64,
    /// The clock, in nanoseconds.
    pub ns: i64,
    /// Ticks between the readings of the counter before and after that of the clock.
    pub width: u64,
}

/// The counter now.
#[must_use]
#[inline]
pub fn now() -> u64 {
    // SAFETY: every x86-64 CPU has both instructions; CR4.TSD is not set on Linux unless asked for.
    unsafe {
        _mm_lfence();
        _rdtsc()
    }
}

/// Whether the CPU says that the counter runs at one rate in all its states (invariant TSC).
#[must_use]
pub fn is_invariant() -> bool {
    __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & 1 << 8 != 0
}

/// Reads counter and clock together, `tries` times, and returns the closest pair.
pub fn sample(clock: Clock, tries: u32) -> Result<Sample, Errno> {
    let mut best: Option<Sample> = None;
    for _ in 0..tries.max(1) {
        let before = now();
        let ns = clock.now()?;
        let width = now().wrapping_sub(before);
        if best.is_none_or(|best| width < best.width) {
            best = Some(Sample { tsc: before.wrapping_add(width / 2), ns, width });
        }
    }
    best.ok_or(Errno::EIO)
}
