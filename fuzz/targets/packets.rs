//! Frames and packets from outside.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(packet) = netstack::packet::parse(data) {
        let _ = netstack::packet::parse_udp(packet.payload);
    }
    let _ = netstack::packet::parse_udp(data);
});
