//! The OCI command line end to end: life cycle, exec, terminals, errors, and that nothing is ever left behind.
//!
//! Needs root, `runsc-rs` built (see [`tests::guest::sandbox::find_runtime`]) and a static busybox; says so and passes
//! where one is missing.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is one")]

mod errors;
mod exec;
mod hooks;
mod leftovers;
mod lifecycle;
mod limits;
mod pause;
mod pods;
mod seccomp;
mod support;
mod terminal;
