//! Sequences of system calls, made by tasks of a container whose code is the fuzzer's input.
//!
//! The kernel is the real one, with a gofer behind its root, a mount over it and everything a container has; only the platform
//! is not: instead of running code it takes one call after the other from the input ([`platform`]). So the fuzzer sees which
//! code of the kernel each input reaches, and mutates with that in mind ([`mutate`], which knows what the calls take, [`calls`]).
//! An input is a container's life: it is made, runs, is destroyed, and must leave nothing behind ([`sandbox`]).

mod calls;
mod memory;
mod mutate;
mod platform;
mod program;
mod sandbox;

pub use mutate::mutate;
pub use sandbox::run;
