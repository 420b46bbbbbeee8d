//! The jail from outside: what the processes of a running container could do to the host, rules of filters that nothing
//! needs, and the command line against hostile bundles.
//!
//! Needs root, `runsc-rs` built and a static busybox; says so and passes where one is missing.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is one")]

mod attack;
mod document;
mod escapes;
mod faults;
mod posture;
mod rules;
#[path = "../oci/support.rs"]
mod support;
