//! Small programs run in stubs, on each platform.

mod events;
pub(crate) mod harness;
mod kvm;
mod lifetime;
mod speed;
mod threads;
