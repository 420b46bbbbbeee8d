//! Control messages that applications send with packets.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sentry::fuzzing::control_messages(data));
