//! Pages that a stub shares with the sandbox.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| platform::systrap::fuzzing::run(data));
