//! Small programs run in stubs, on each platform.

mod events;
mod harness;
mod lifetime;
mod speed;
mod threads;
