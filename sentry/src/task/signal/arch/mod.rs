//! What the instruction set decides: signal frames, and how a call is made again.

#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(all(fuzzing, target_arch = "x86_64"))]
pub(crate) use x86_64::fuzzing;
#[cfg(target_arch = "x86_64")]
pub(super) use x86_64::*;
