//! ICMP on the loopback device: the machine answers echo requests; raw sockets see everything of their protocol.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use abi::Errno;
use abi::socket::{IPPROTO_ICMP, IPPROTO_ICMPV6};

use netstack::packet;

use super::send::{Outgoing, make_packet};
use super::{DatagramSocket, Family, Protocol};
use crate::error::{Result, err};
use crate::net::inet::gate;
use crate::net::inet::stack::NetStack;

/// Length of an IPv4 header without options.
const HEADER: usize = 20;
/// Length of an ICMP header.
const ICMP_HEADER: usize = 8;

/// The types of echo request and reply.
const fn echo(v6: bool) -> (u8, u8) {
    if v6 { (128, 129) } else { (8, 0) }
}

/// A ping socket sends: only echo requests, with its own identifier.
pub(super) fn ping(socket: &DatagramSocket, out: &Outgoing, mut bytes: Vec<u8>) -> Result<()> {
    let v6 = out.to.is_ipv6();
    if bytes.len() < ICMP_HEADER || bytes[0] != echo(v6).0 || bytes[1] != 0 {
        return err(Errno::EINVAL);
    }
    bytes[4..6].copy_from_slice(&out.from.port().to_be_bytes());
    fix_checksum(&mut bytes, out.from.ip(), out.to.ip());
    deliver(socket.stack(), out, if v6 { protocol(IPPROTO_ICMPV6) } else { protocol(IPPROTO_ICMP) }, bytes);
    Ok(())
}

/// A raw socket sends; with `included` the packet has an IP header of its own.
pub(super) fn raw(net: &Arc<NetStack>, out: &Outgoing, number: u8, bytes: Vec<u8>, included: bool) -> Result<()> {
    if !included {
        let mut bytes = bytes;
        if number == protocol(IPPROTO_ICMPV6) && out.to.is_ipv6() && bytes.len() >= 4 {
            fix_checksum(&mut bytes, out.from.ip(), out.to.ip());
        }
        deliver(net, out, number, bytes);
        return Ok(());
    }
    let Some(header) = bytes.first_chunk::<HEADER>() else { return err(Errno::EINVAL) };
    let len = usize::from(header[0] & 0xf) * 4;
    if header[0] >> 4 != 4 || len < HEADER || len > bytes.len() {
        return err(Errno::EINVAL);
    }
    let address = |at: usize| header[at..].first_chunk::<4>().map_or_else(|| out.to.ip(), |b| IpAddr::from(*b));
    let from = match address(12) {
        ip if ip.is_unspecified() => out.from.ip(),
        ip => ip,
    };
    let inner = Outgoing {
        from: SocketAddr::new(from, 0),
        to: SocketAddr::new(address(16), 0),
        ttl: header[8],
        tos: header[1],
        device: out.device,
    };
    if net.is_local(inner.to.ip()) {
        deliver(net, &inner, header[9], bytes[len..].to_vec());
    }
    Ok(())
}

/// The message that nobody hears at a port: the beginning of the packet goes back.
pub(super) fn port_unreachable(from: IpAddr, to: IpAddr, original: &[u8]) -> Option<Vec<u8>> {
    let v6 = to.is_ipv6();
    let (protocol, kind, code, most) = if v6 { (packet::ICMPV6, 1, 4, 1232) } else { (packet::ICMP, 3, 3, 548) };
    let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(&original[..original.len().min(most)]);
    packet::finish_icmp(from, to, &mut message);
    gate::build(from, to, protocol, 64, 0, &message)
}

/// A packet arrives: raw sockets and ping sockets get it, and an echo request its answer.
pub(super) fn deliver(net: &Arc<NetStack>, out: &Outgoing, number: u8, bytes: Vec<u8>) {
    let v6 = out.to.is_ipv6();
    show_raw(net, out, number, &bytes);
    let icmp = if v6 { IPPROTO_ICMPV6 } else { IPPROTO_ICMP };
    if number != protocol(icmp) || bytes.len() < ICMP_HEADER {
        return;
    }
    let (request, reply) = echo(v6);
    if bytes[0] == request && bytes[1] == 0 {
        // Whoever asks a group is not answered, as Linux does by default for IPv4.
        if out.to.ip().is_multicast() || checksum_fails(&bytes, out) {
            return;
        }
        let mut answer = bytes;
        answer[0] = reply;
        fix_checksum(&mut answer, out.to.ip(), out.from.ip());
        let back = Outgoing { from: out.to, to: out.from, ttl: 64, tos: out.tos, device: out.device };
        if net.packets.is_watched()
            && let Some(packet) = gate::build(back.from.ip(), back.to.ip(), number, back.ttl, back.tos, &answer)
        {
            net.show_on_loopback(&packet);
        }
        deliver(net, &back, number, answer);
    } else if bytes[0] == reply {
        let id = u16::from_be_bytes([bytes[4], bytes[5]]);
        let to = SocketAddr::new(out.to.ip(), id);
        if let Some(socket) = net.ping.receiver(to, SocketAddr::new(out.from.ip(), 0), out.device) {
            let mut packet = make_packet(out, bytes);
            packet.from.set_port(0);
            socket.deliver(packet);
        }
    }
}

/// Copies for raw sockets; those of IPv4 see the IP header too.
pub(super) fn show_raw(net: &NetStack, out: &Outgoing, number: u8, bytes: &[u8]) {
    let family = if out.to.is_ipv6() { Family::V6 } else { Family::V4 };
    for socket in net.raw.all() {
        if socket.family != family || socket.protocol != Protocol::Raw(number) || !socket.wants(out, number, bytes) {
            continue;
        }
        let whole = if family == Family::V4 { with_header(out, number, bytes) } else { bytes.to_vec() };
        let mut packet = make_packet(out, whole);
        packet.from.set_port(0);
        socket.deliver(packet);
    }
}

impl DatagramSocket {
    /// Whether a raw socket is bound and connected so that it hears a packet, and does not filter its type.
    fn wants(&self, out: &Outgoing, number: u8, bytes: &[u8]) -> bool {
        let state = self.state.lock();
        let bound = state.source.unwrap_or(state.bound);
        let hears = (bound.is_unspecified() || bound == out.to.ip())
            && state.remote.is_none_or(|remote| remote.ip() == out.from.ip());
        drop(state);
        let icmp = number == protocol(IPPROTO_ICMP) || number == protocol(IPPROTO_ICMPV6);
        let filter = self.icmp_filter.lock();
        let kind = bytes.first().copied().unwrap_or(0);
        let filtered = icmp && filter[usize::from(kind / 32)] >> (kind % 32) & 1 != 0;
        hears && !filtered
    }
}

fn with_header(out: &Outgoing, number: u8, bytes: &[u8]) -> Vec<u8> {
    let total = u16::try_from(HEADER + bytes.len()).unwrap_or(u16::MAX);
    let mut packet = vec![0x45, out.tos];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0, 0x40, 0, out.ttl, number, 0, 0]);
    for ip in [out.from.ip(), out.to.ip()] {
        match ip {
            IpAddr::V4(v4) => packet.extend(v4.octets()),
            IpAddr::V6(_) => packet.extend([0; 4]),
        }
    }
    let sum = checksum(0, &packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend_from_slice(bytes);
    packet
}

/// The Internet checksum over `bytes`, begun with `sum`.
fn checksum(sum: u32, bytes: &[u8]) -> u16 {
    let mut sum = bytes.chunks(2).fold(u64::from(sum), |sum, pair| {
        sum + u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))
    });
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

/// What ICMPv6 adds to the sum: addresses, length and protocol.
fn pseudo_header(from: IpAddr, to: IpAddr, len: usize) -> u32 {
    let (IpAddr::V6(from), IpAddr::V6(to)) = (from, to) else { return 0 };
    let words = from.segments().into_iter().chain(to.segments());
    let sum: u32 = words.map(u32::from).sum();
    sum + u32::try_from(len).unwrap_or(0) + u32::from(protocol(IPPROTO_ICMPV6))
}

fn fix_checksum(bytes: &mut [u8], from: IpAddr, to: IpAddr) {
    bytes[2..4].fill(0);
    let sum = checksum(pseudo_header(from, to, bytes.len()), bytes);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
}

fn checksum_fails(bytes: &[u8], out: &Outgoing) -> bool {
    checksum(pseudo_header(out.from.ip(), out.to.ip(), bytes.len()), bytes) != 0
}

/// A protocol number as packets carry it.
fn protocol(number: i32) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_sums_up_to_zero_with_its_checksum() {
        let local = "127.0.0.1".parse().expect("an address");
        let mut bytes = vec![8, 0, 0, 0, 1, 2, 3, 4, 5];
        fix_checksum(&mut bytes, local, local);
        assert_eq!(checksum(0, &bytes), 0);
        let six = "::1".parse().expect("an address");
        fix_checksum(&mut bytes, six, six);
        assert_eq!(checksum(pseudo_header(six, six, bytes.len()), &bytes), 0);
    }
}
