//! IP packets as bytes: reading headers that strangers wrote, writing our own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// UDP.
pub const UDP: u8 = 17;
/// IPPROTO_UDPLITE.
pub const UDPLITE: u8 = 136;
/// TCP.
pub const TCP: u8 = 6;
/// ICMP.
pub const ICMP: u8 = 1;
/// ICMPv6.
pub const ICMPV6: u8 = 58;

/// An IP packet, its header read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Who sent it.
    pub from: IpAddr,
    /// To whom.
    pub to: IpAddr,
    /// What it carries.
    pub protocol: u8,
    /// Time to live, hop limit.
    pub ttl: u8,
    /// Type of service, traffic class.
    pub tos: u8,
    /// What is behind the header.
    pub payload: &'a [u8],
}

/// Reads an IP packet; `None` for what is malformed, a fragment, or has extension headers in front of its payload.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    match bytes.first()? >> 4 {
        4 => {
            let head = bytes.first_chunk::<20>()?;
            let len = usize::from(head[0] & 0xf) * 4;
            let total = usize::from(u16::from_be_bytes([head[2], head[3]]));
            // The offset and "more fragments".
            let fragment = u16::from_be_bytes([head[6], head[7]]) & 0x3fff != 0;
            if len < 20 || fragment {
                return None;
            }
            let payload = bytes.get(len..total)?;
            let address = |at: usize| Some(IpAddr::from(*head.get(at..)?.first_chunk::<4>()?));
            Some(Packet {
                from: address(12)?,
                to: address(16)?,
                protocol: head[9],
                ttl: head[8],
                tos: head[1],
                payload,
            })
        }
        6 => {
            let head = bytes.first_chunk::<40>()?;
            let len = usize::from(u16::from_be_bytes([head[4], head[5]]));
            let payload = bytes.get(40..40_usize.checked_add(len)?)?;
            let address = |at: usize| Some(IpAddr::from(*head.get(at..)?.first_chunk::<16>()?));
            Some(Packet {
                from: address(8)?,
                to: address(24)?,
                protocol: head[6],
                ttl: head[7],
                tos: head[0] << 4 | head[1] >> 4,
                payload,
            })
        }
        _ => None,
    }
}

/// The IP packet in an Ethernet frame.
#[must_use]
pub fn in_frame(frame: &[u8]) -> Option<&[u8]> {
    let kind = u16::from_be_bytes(*frame.get(12..14)?.first_chunk()?);
    (kind == 0x0800 || kind == 0x86dd).then(|| frame.get(14..))?
}

/// Whether an IPv4 packet is a piece of a TCP segment, which has no ports or not all of its bytes.
#[must_use]
pub fn is_tcp_fragment(bytes: &[u8]) -> bool {
    bytes
        .first_chunk::<20>()
        .is_some_and(|head| head[0] >> 4 == 4 && head[9] == TCP && u16::from_be_bytes([head[6], head[7]]) & 0x3fff != 0)
}

/// The ports of a TCP segment, to and from.
#[must_use]
pub fn ports(packet: &Packet<'_>) -> Option<(u16, u16)> {
    let head = packet.payload.first_chunk::<20>().filter(|_| packet.protocol == TCP)?;
    Some((u16::from_be_bytes([head[2], head[3]]), u16::from_be_bytes([head[0], head[1]])))
}

/// A frame whose TCP segment acknowledges something else. Its checksum is not right any more.
pub(crate) fn with_acknowledgement(frame: &[u8], number: u32) -> Option<Vec<u8>> {
    let first = *frame.get(14)?;
    let at = 14 + if first >> 4 == 4 { usize::from(first & 0xf) * 4 } else { 40 } + 8;
    let mut bytes = frame.to_vec();
    bytes.get_mut(at..at + 4)?.copy_from_slice(&number.to_be_bytes());
    Some(bytes)
}

/// A connection that somebody asks for: to and from, if the packet is a TCP SYN.
#[must_use]
pub fn opening(packet: &Packet<'_>) -> Option<(u16, u16)> {
    if packet.protocol != TCP {
        return None;
    }
    let head = packet.payload.first_chunk::<20>()?;
    // SYN without ACK, RST or FIN.
    (head[13] & 0x17 == 0x02).then(|| (u16::from_be_bytes([head[2], head[3]]), u16::from_be_bytes([head[0], head[1]])))
}

/// Writes an IP packet around a payload. `None` if the addresses are of two families, or it is too long.
#[must_use]
pub fn build(packet: &Packet<'_>) -> Option<Vec<u8>> {
    match (packet.from, packet.to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let total = u16::try_from(20 + packet.payload.len()).ok()?;
            let mut bytes = vec![0x45, packet.tos];
            bytes.extend(total.to_be_bytes());
            bytes.extend([0, 0, 0, 0, packet.ttl, packet.protocol, 0, 0]);
            bytes.extend(from.octets());
            bytes.extend(to.octets());
            let sum = checksum(0, &bytes);
            bytes[10..12].copy_from_slice(&sum.to_be_bytes());
            bytes.extend_from_slice(packet.payload);
            Some(bytes)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let len = u16::try_from(packet.payload.len()).ok()?;
            let mut bytes = vec![0x60 | packet.tos >> 4, packet.tos << 4, 0, 0];
            bytes.extend(len.to_be_bytes());
            bytes.extend([packet.protocol, packet.ttl]);
            bytes.extend(from.octets());
            bytes.extend(to.octets());
            bytes.extend_from_slice(packet.payload);
            Some(bytes)
        }
        _ => None,
    }
}

/// A UDP header and its payload, with checksum.
#[must_use]
pub fn udp(from: (IpAddr, u16), to: (IpAddr, u16), payload: &[u8]) -> Option<Vec<u8>> {
    let len = u16::try_from(8 + payload.len()).ok()?;
    let mut bytes = from.1.to_be_bytes().to_vec();
    bytes.extend(to.1.to_be_bytes());
    bytes.extend(len.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend_from_slice(payload);
    let sum = match checksum(pseudo_header(from.0, to.0, UDP, bytes.len()), &bytes) {
        // Zero would mean that there is none.
        0 => 0xffff,
        sum => sum,
    };
    bytes[6..8].copy_from_slice(&sum.to_be_bytes());
    Some(bytes)
}

/// What is in a UDP packet: ports, to and from, and the payload.
#[must_use]
pub fn parse_udp(bytes: &[u8]) -> Option<(u16, u16, &[u8])> {
    let head = bytes.first_chunk::<8>()?;
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let payload = bytes.get(8..usize::from(word(4)))?;
    Some((word(2), word(0), payload))
}

/// A UDP-Lite packet, whose checksum covers `covered` bytes, or all.
#[must_use]
pub fn udplite(from: (IpAddr, u16), to: (IpAddr, u16), payload: &[u8], covered: u16) -> Option<Vec<u8>> {
    let len = u16::try_from(8 + payload.len()).ok()?;
    let covered = if covered >= len { 0 } else { covered };
    let mut bytes = from.1.to_be_bytes().to_vec();
    bytes.extend(to.1.to_be_bytes());
    bytes.extend(covered.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend_from_slice(payload);
    let summed = if covered == 0 { bytes.len() } else { covered.into() };
    let sum = match checksum(pseudo_header(from.0, to.0, UDPLITE, bytes.len()), &bytes[..summed]) {
        // Zero would mean that there is none.
        0 => 0xffff,
        sum => sum,
    };
    bytes[6..8].copy_from_slice(&sum.to_be_bytes());
    Some(bytes)
}

/// What is in a UDP-Lite packet: ports, to and from, and the payload.
#[must_use]
pub fn parse_udplite(bytes: &[u8]) -> Option<(u16, u16, &[u8])> {
    let (head, payload) = bytes.split_first_chunk::<8>()?;
    Some((u16::from_be_bytes([head[2], head[3]]), u16::from_be_bytes([head[0], head[1]]), payload))
}

/// Sets the checksum of an ICMP message.
pub fn finish_icmp(from: IpAddr, to: IpAddr, bytes: &mut [u8]) {
    if bytes.len() < 4 {
        return;
    }
    bytes[2..4].fill(0);
    let start = if to.is_ipv6() { pseudo_header(from, to, ICMPV6, bytes.len()) } else { 0 };
    let sum = checksum(start, bytes);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
}

/// The Internet checksum over `bytes`, begun with `sum`.
pub(crate) fn checksum(sum: u32, bytes: &[u8]) -> u16 {
    let mut sum = bytes.chunks(2).fold(u64::from(sum), |sum, pair| {
        sum + u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))
    });
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

pub(crate) fn pseudo_header(from: IpAddr, to: IpAddr, protocol: u8, len: usize) -> u32 {
    let words = |ip: IpAddr| -> u32 {
        match ip {
            IpAddr::V4(v4) => v4_sum(v4),
            IpAddr::V6(v6) => v6_sum(v6),
        }
    };
    words(from) + words(to) + u32::from(protocol) + u32::try_from(len).unwrap_or(0)
}

fn v4_sum(ip: Ipv4Addr) -> u32 {
    (ip.to_bits() >> 16) + (ip.to_bits() & 0xffff)
}

fn v6_sum(ip: Ipv6Addr) -> u32 {
    ip.segments().into_iter().map(u32::from).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_packet_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(packet) = parse(&bytes) {
                let _ = (opening(&packet), ports(&packet), parse_udp(packet.payload));
            }
            let _ = (in_frame(&bytes), is_tcp_fragment(&bytes));
        }

        #[test]
        fn what_is_built_can_be_read(payload in prop::collection::vec(any::<u8>(), 0..200), v6: bool, ttl: u8, tos: u8) {
            let ip = |n: u8| if v6 { IpAddr::from([n; 16]) } else { IpAddr::from([n; 4]) };
            let inner = udp((ip(1), 5), (ip(2), 6), &payload).expect("it is short");
            let packet = Packet { from: ip(1), to: ip(2), protocol: UDP, ttl, tos, payload: &inner };
            let bytes = build(&packet).expect("one family");
            prop_assert_eq!(parse(&bytes), Some(packet));
            prop_assert_eq!(parse_udp(&inner), Some((6, 5, &payload[..])));
        }
    }
}
