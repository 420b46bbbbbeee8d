//! How application code runs: the traits, and the ways to do it.
//!
//! A [`Platform`] makes [`AddressSpace`]s and [`Context`]s. A sentry thread owns one context per task, runs application
//! code with [`Context::run`] and gets an [`Event`] back: pull, not push. What is mapped where is decided by the sentry's
//! memory manager, which tells the platform in batches ([`MapOp`]); a platform never decides anything about memory.
//!
//! Neighbours: `lib/host` below; `sentry::mm` and `sentry::task` above, which see only the traits.
//! Everything a stub process reports is hostile and is checked here, once.

mod cpu;
mod event;
pub mod fake;
pub mod kvm;
pub mod ptrace;
mod regs;
pub mod rewrite;
mod stub;
pub mod systrap;
#[cfg(test)]
mod tests;
mod traits;

pub use cpu::CpuMeter;
pub use event::{Access, Event, Exception, SyscallArgs};
pub use regs::{FpuState, Regs};
pub use traits::{AddressSpace, Context, Interrupter, MapOp, Platform, PlatformError, Prot, Resume, Sharing};
