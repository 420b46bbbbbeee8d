//! Frames and packets from outside, and what a filter of the application's makes of them.
#![no_main]

use netstack::packet;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for bytes in [Some(data), packet::in_frame(data)].into_iter().flatten() {
        let _ = packet::is_tcp_fragment(bytes);
        if let Some(packet) = packet::parse(bytes) {
            let _ = (packet::opening(&packet), packet::ports(&packet));
            let _ = (packet::parse_udp(packet.payload), packet::parse_udplite(packet.payload));
            let again = packet::build(&packet).expect("what was read can be written");
            assert_eq!(packet::parse(&again), Some(packet));
        }
    }
    let _ = packet::parse_udp(data);
    sentry::fuzzing::packet_filter(data);
});
