//! The jail from outside: what the processes of a running container could do to the host, rules of filters that nothing
//! needs, and the command line against hostile bundles.
//!
//! Needs root, `runsc-rs` built and a static busybox; says so and passes where one is missing.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is one")]

mod attack;
mod escapes;
mod posture;
mod rules;
#[path = "../oci/support.rs"]
#[expect(dead_code, unreachable_pub, reason = "shared with the tests of the command line, which use all of it")]
mod support;
