//! Signal frames that applications return from.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sentry::fuzzing::sigframe(data));
