//! Netlink datagrams of applications.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sentry::fuzzing::netlink(data));
