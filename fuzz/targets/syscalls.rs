//! System calls of a container.
#![no_main]

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    fuzz::syscalls::mutate(data, size, most, seed, libfuzzer_sys::fuzzer_mutate)
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::syscalls::run(data));
