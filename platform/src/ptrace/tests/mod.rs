//! Small programs run in stubs.

mod events;
mod harness;
mod lifetime;
mod speed;
mod threads;
