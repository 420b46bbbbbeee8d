//! Frames from the wire for the protocol engine: it answers for two addresses, and somebody listens on even ports.
//! Each frame has its length in front of it, and headers that lead somewhere if the length is odd.
#![no_main]

use std::net::{IpAddr, SocketAddr};

use netstack::{Config, Engine, Listening, StreamOptions};

const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OPTIONS: StreamOptions =
    StreamOptions { send_buffer: 4096, receive_buffer: 4096, nagle: true, keep_alive: Some(1) };

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let addresses = [("10.0.0.1", 24), ("fd00::1", 64)];
    let mut engine = Engine::new(&Config {
        mac: OWN,
        mtu: 1500,
        addresses: addresses.map(|(ip, prefix)| (ip.parse::<IpAddr>().expect("an address"), prefix)).to_vec(),
        routes: Vec::new(),
        seed: 7,
    });
    let mut rest = data;
    while let Some((len, bytes)) = rest.split_first() {
        let (body, next) = bytes.split_at(bytes.len().min(usize::from(*len) * 2));
        rest = next;
        let frame = if len % 2 == 1 { framed(body) } else { body.to_vec() };
        engine.receive(&frame, |to: SocketAddr, _| match to.port() % 4 {
            0 => Listening::Accepts(OPTIONS),
            2 => Listening::Full,
            _ => Listening::Nobody,
        });
        let _ = engine.poll();
        while engine.transmit().is_some() {}
        while engine.receive_packet().is_some() {}
        while let Some((handle, ..)) = engine.accept() {
            let _ = (engine.state(handle), engine.readable(handle));
        }
        let _ = engine.changed();
    }
});

/// The body as the payload of an IP packet for the engine: the first byte is the protocol.
fn framed(body: &[u8]) -> Vec<u8> {
    let Some((protocol, payload)) = body.split_first() else { return Vec::new() };
    let ip = |text: &str| text.parse().expect("an address");
    let v6 = protocol & 0x80 != 0;
    let (from, to) = if v6 { (ip("fd00::2"), ip("fd00::1")) } else { (ip("10.0.0.2"), ip("10.0.0.1")) };
    let protocol = match protocol & 0x7f {
        0..32 => netstack::packet::TCP,
        32..64 => netstack::packet::UDP,
        64..96 if v6 => netstack::packet::ICMPV6,
        64..96 => netstack::packet::ICMP,
        other => other,
    };
    let packet = netstack::packet::Packet { from, to, protocol, ttl: 64, tos: 0, payload };
    let mut frame = OWN.to_vec();
    frame.extend([2, 0, 0, 0, 0, 2]);
    frame.extend(if v6 { [0x86, 0xdd] } else { [8, 0] });
    frame.extend(netstack::packet::build(&packet).unwrap_or_default());
    frame
}
