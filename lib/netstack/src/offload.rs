//! What stands in front of each frame on a packet socket with `PACKET_VNET_HDR`, `struct virtio_net_hdr`: work that one side
//! leaves to the other.
//!
//! Frames come in that the host has put together from many (up to 64 KiB), or whose checksums were not computed because they
//! never left the machine; they leave the same way. The host wrote the header, but who sent the frame says what is in it.

use std::net::IpAddr;

use crate::packet::{self, Packet, TCP, UDP};

/// Bytes of the header.
pub const HEADER: usize = 10;
/// Bytes of an Ethernet header.
pub(crate) const ETHERNET: usize = 14;

/// The checksum is to be completed: it has that of the pseudo header.
const NEEDS_CHECKSUM: u8 = 1;
/// The device has verified it.
const VERIFIED: u8 = 2;
const SEGMENTS_V4: u8 = 1;
const SEGMENTS_V6: u8 = 4;
const DATAGRAMS: u8 = 5;
/// Which may have this flag: the first segment alone says that the window was reduced.
const ECN: u8 = 0x80;

/// The most datagrams in a frame (UDP_MAX_SEGMENTS).
const MAX_DATAGRAMS: usize = 128;

/// What the host says of a frame that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offload {
    /// The checksums of its payload are right, or nobody has computed them.
    pub trusted: bool,
    /// It has several datagrams, with so many bytes in each.
    pub datagrams: Option<usize>,
}

impl Offload {
    /// A frame about which nothing is said.
    pub const NONE: Self = Self { trusted: false, datagrams: None };

    /// Reads the header in front of a frame. `None` if it is too short, or is of a kind that we do not know.
    #[must_use]
    pub fn split(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, frame) = bytes.split_first_chunk::<HEADER>()?;
        let size = usize::from(u16::from_ne_bytes([head[4], head[5]]));
        let datagrams = match head[1] & !ECN {
            // Segments that were put together are as good as one.
            0 | SEGMENTS_V4 | SEGMENTS_V6 => None,
            DATAGRAMS if size > 0 => Some(size),
            _ => return None,
        };
        Some((Self { trusted: head[0] & (NEEDS_CHECKSUM | VERIFIED) != 0, datagrams }, frame))
    }
}

/// Writes the header in front of a frame that leaves, and leaves the checksum of a TCP segment to the host. `segment` is how
/// many bytes of payload each of its segments is to have, if it has to be cut.
pub(crate) fn finish(bytes: &mut [u8], segment: Option<u16>) {
    let Some((header, frame)) = bytes.split_first_chunk_mut::<HEADER>() else { return };
    header.fill(0);
    let Some((start, sum, v6)) = tcp(frame) else { return };
    let field = start + 16;
    let Some(check) = frame.get_mut(field..field + 2) else { return };
    check.copy_from_slice(&sum.to_be_bytes());
    header[0] = NEEDS_CHECKSUM;
    let word = |n: usize| u16::try_from(n).unwrap_or(0).to_ne_bytes();
    header[6..8].copy_from_slice(&word(start));
    header[8..10].copy_from_slice(&word(16));
    if let Some(size) = segment {
        header[1] = if v6 { SEGMENTS_V6 } else { SEGMENTS_V4 };
        let head = start + usize::from(frame.get(start + 12).map_or(0, |byte| byte >> 4)) * 4;
        header[2..4].copy_from_slice(&word(head));
        header[4..6].copy_from_slice(&size.to_ne_bytes());
    }
}

/// Where the TCP header of a frame begins, the sum of its pseudo header, and whether it is IPv6.
fn tcp(frame: &[u8]) -> Option<(usize, u16, bool)> {
    let packet = packet::parse(packet::in_frame(frame)?).filter(|packet| packet.protocol == TCP)?;
    if packet.payload.len() < 20 {
        return None;
    }
    let start = frame.len().checked_sub(packet.payload.len())?;
    let sum = !packet::checksum(packet::pseudo_header(packet.from, packet.to, TCP, packet.payload.len()), &[]);
    Some((start, sum, packet.to.is_ipv6()))
}

/// Whether the checksum of a received packet is right; what has none is.
pub(crate) fn is_intact(packet: &Packet<'_>) -> bool {
    let bytes = packet.payload;
    let field = match packet.protocol {
        TCP => 16,
        UDP => 6,
        _ => return true,
    };
    let bytes = if packet.protocol == UDP {
        // There may be something behind it.
        let len = bytes.get(4..6).map_or(0, |len| usize::from(u16::from_be_bytes([len[0], len[1]])));
        bytes.get(..len).unwrap_or_default()
    } else {
        bytes
    };
    let Some(sum) = bytes.get(field..field + 2) else { return false };
    let without = packet.protocol == UDP && sum == [0, 0] && packet.to.is_ipv4();
    without || packet::checksum(packet::pseudo_header(packet.from, packet.to, packet.protocol, bytes.len()), bytes) == 0
}

/// Cuts a frame with several datagrams into frames of one.
pub(crate) fn datagrams(frame: &[u8], size: usize) -> Vec<Vec<u8>> {
    let whole = packet::in_frame(frame).and_then(packet::parse).filter(|packet| packet.protocol == UDP);
    let Some((whole, (to, from, payload))) =
        whole.and_then(|packet| Some((packet, packet::parse_udp(packet.payload)?)))
    else {
        return Vec::new();
    };
    let pieces = payload.chunks(size).take(MAX_DATAGRAMS).filter_map(|piece| {
        let inner = packet::udp((whole.from, from), (whole.to, to), piece)?;
        let bytes = packet::build(&Packet { payload: &inner, ..whole })?;
        Some([frame.get(..ETHERNET)?, &bytes].concat())
    });
    pieces.collect()
}

/// The longest frame to be cut into segments: as many whole ones as a device takes at once.
pub(crate) fn longest(mtu: usize, ip: IpAddr) -> usize {
    let head = if ip.is_ipv4() { 40 } else { 60 };
    let segment = mtu.saturating_sub(head).max(1);
    // The host cuts what has 64 KiB or more by itself, all headers counted.
    let room = 65_535 - ETHERNET - head;
    ETHERNET + head + if segment < room { room / segment * segment } else { room }
}
