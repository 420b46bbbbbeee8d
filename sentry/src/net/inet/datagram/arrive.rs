//! Packets from outside: who gets them, and the errors they report.

use std::net::SocketAddr;
use std::sync::Arc;

use abi::Errno;
use abi::socket::{SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6, SockExtendedErr};
use netstack::packet::{self, Packet};

use super::inbox::QueuedError;
use super::send::{Outgoing, make_packet};
use super::{bind_is_many, icmp};
use crate::net::inet::device::LOOPBACK_INDEX;
use crate::net::inet::stack::{Counters, NetStack};

/// A packet with UDP or ICMP in it came in by a device.
pub(in crate::net) fn arrive(net: &Arc<NetStack>, packet: &Packet<'_>, device: u32) {
    let out = |from: u16, to: u16| Outgoing {
        from: SocketAddr::new(packet.from, from),
        to: SocketAddr::new(packet.to, to),
        ttl: packet.ttl,
        tos: packet.tos,
        device,
    };
    if packet.protocol == packet::UDP {
        if let Some((to, from, payload)) = packet::parse_udp(packet.payload) {
            udp(net, packet, &out(from, to), payload);
        }
        return;
    }
    if packet.protocol == packet::UDPLITE {
        if let Some((to, from, payload)) = packet::parse_udplite(packet.payload)
            && let Some(receiver) = net.udplite.receiver(out(from, to).to, out(from, to).from, device)
        {
            receiver.deliver(make_packet(&out(from, to), payload.to_vec()));
        }
        return;
    }
    if device == LOOPBACK_INDEX {
        // Of the machine itself; from outside it is the engine that answers.
        icmp::deliver(net, &out(0, 0), packet.protocol, packet.payload.to_vec());
        return;
    }
    icmp::show_raw(net, &out(0, 0), packet.protocol, packet.payload);
    let Some(head) = packet.payload.first_chunk::<8>() else { return };
    let v6 = packet.to.is_ipv6();
    if head[0] == if v6 { 129 } else { 0 } {
        let id = u16::from_be_bytes([head[4], head[5]]);
        let out = out(0, id);
        if let Some(socket) = net.ping.receiver(out.to, out.from, device) {
            socket.deliver(make_packet(&Outgoing { from: out.from, to: out.to, ..out }, packet.payload.to_vec()));
        }
    } else if let Some(errno) = error_of(v6, head[0], head[1]) {
        report(net, packet, (head[0], head[1]), errno);
    }
}

/// The answer of a server that is not in the sandbox, for who asked it.
pub(in crate::net::inet) fn answer(net: &Arc<NetStack>, from: SocketAddr, to: SocketAddr, device: u32, bytes: Vec<u8>) {
    if let Some(receiver) = net.udp.receiver(to, from, device) {
        Counters::count(&net.counters.udp_in);
        receiver.deliver(make_packet(&Outgoing { from, to, ttl: 64, tos: 0, device }, bytes));
    }
}

fn udp(net: &Arc<NetStack>, packet: &Packet<'_>, out: &Outgoing, payload: &[u8]) {
    if bind_is_many(net, out.to.ip()) {
        for receiver in net.udp.receivers(out.to, out.from, out.device) {
            if !out.to.ip().is_multicast() || receiver.ip.hears_group(out.to.ip(), out.device) {
                Counters::count(&net.counters.udp_in);
                receiver.deliver(make_packet(out, payload.to_vec()));
            }
        }
        return;
    }
    if let Some(receiver) = net.udp.receiver(out.to, out.from, out.device) {
        Counters::count(&net.counters.udp_in);
        receiver.deliver(make_packet(out, payload.to_vec()));
        return;
    }
    Counters::count(&net.counters.udp_no_port);
    if out.device != LOOPBACK_INDEX {
        refuse(net, packet);
    }
}

/// Port unreachable: the beginning of the packet goes back.
fn refuse(net: &NetStack, packet: &Packet<'_>) {
    let Some(gate) = net.gate() else { return };
    let Some(original) = packet::build(packet) else { return };
    if let Some(bytes) = icmp::port_unreachable(packet.to, packet.from, &original) {
        let _ = gate.send_packet(&bytes);
    }
}

/// What an ICMP error means to a program.
fn error_of(v6: bool, kind: u8, code: u8) -> Option<Errno> {
    match (v6, kind, code) {
        (false, 3, 0 | 5 | 6) => Some(Errno::ENETUNREACH),
        (false, 3, 1 | 7) => Some(Errno::EHOSTUNREACH),
        (false, 3, 3) | (true, 1, 4) => Some(Errno::ECONNREFUSED),
        (false, 3, 2) => Some(Errno::ENOPROTOOPT),
        (false, 3, 4) | (true, 2, _) => Some(Errno::EMSGSIZE),
        (false, 3, _) | (true, 1, 1) => Some(Errno::EACCES),
        (false, 11, _) | (true, 3, _) => Some(Errno::EHOSTUNREACH),
        (true, 1, _) => Some(Errno::ENETUNREACH),
        _ => None,
    }
}

/// Tells the socket whose packet led to an error.
fn report(net: &NetStack, packet: &Packet<'_>, (kind, code): (u8, u8), errno: Errno) {
    let v6 = packet.to.is_ipv6();
    let Some(quoted) = packet.payload.get(8..) else { return };
    // The quoted packet is cut off, so that its own length is not to be trusted.
    let Some((from, to, inner)) = quoted_header(quoted) else { return };
    let ports = match inner {
        (packet::UDP, rest) => rest.first_chunk::<4>(),
        _ => None,
    };
    let Some(ports) = ports else { return };
    let own = SocketAddr::new(from, u16::from_be_bytes([ports[0], ports[1]]));
    let peer = SocketAddr::new(to, u16::from_be_bytes([ports[2], ports[3]]));
    let Some(socket) = net.udp.receiver(own, peer, 0) else { return };
    let queues = socket.ip.queues_errors(v6);
    if queues {
        let error = SockExtendedErr {
            ee_errno: errno.raw().cast_unsigned(),
            ee_origin: if v6 { SO_EE_ORIGIN_ICMP6 } else { SO_EE_ORIGIN_ICMP },
            ee_type: kind,
            ee_code: code,
            ..SockExtendedErr::default()
        };
        let payload = inner.1.get(8..).unwrap_or_default().to_vec();
        socket.queue_error(QueuedError { to: peer, bytes: payload, error, offender: packet.from });
    }
    let connected = socket.state.lock().remote == Some(peer);
    // Only a refusal is certain; the rest may pass.
    if socket.protocol.has_ports() && (queues || (connected && errno == Errno::ECONNREFUSED)) {
        socket.set_error(errno);
    }
}

/// Source, destination, protocol and the rest of a packet that may be cut off.
#[expect(clippy::type_complexity, reason = "read once, at the one place that asks")]
fn quoted_header(bytes: &[u8]) -> Option<(std::net::IpAddr, std::net::IpAddr, (u8, &[u8]))> {
    let v4 = |at: usize| Some(std::net::IpAddr::from(*bytes.get(at..)?.first_chunk::<4>()?));
    let v6 = |at: usize| Some(std::net::IpAddr::from(*bytes.get(at..)?.first_chunk::<16>()?));
    match bytes.first()? >> 4 {
        4 => {
            let len = usize::from(bytes[0] & 0xf) * 4;
            Some((v4(12)?, v4(16)?, (*bytes.get(9)?, bytes.get(len..)?)))
        }
        6 => Some((v6(8)?, v6(24)?, (*bytes.get(6)?, bytes.get(40..)?))),
        _ => None,
    }
}
