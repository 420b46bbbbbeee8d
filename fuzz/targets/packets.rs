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
    let mut engine = netstack::Engine::new(&netstack::Config {
        mac: [2, 0, 0, 0, 0, 1],
        mtu: 1500,
        addresses: vec![("10.0.0.1".parse().expect("an address"), 24), ("fd77::1".parse().expect("an address"), 64)],
        routes: Vec::new(),
        seed: 1,
    });
    // What stands in front of a frame is the host's, what is in the frame anybody's.
    if let Some((offload, frame)) = netstack::Offload::split(data) {
        engine.receive(frame, offload, |_, _| netstack::Listening::Nobody);
        engine.poll();
        while let Some(frame) = engine.transmit() {
            engine.sent(frame);
        }
        while engine.receive_packet().is_some() {}
    }
});
