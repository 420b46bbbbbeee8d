//! Who looks at frames: the packet sockets of a namespace, and what they are shown.
//!
//! Frames of a device to the outside pass the gate anyway. On `lo` nothing is a frame, so that one is made of what goes over
//! it while somebody looks, and only then. Called without the gate's lock and without a socket's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use abi::sockaddr::ARPHRD_ETHER;
use abi::socket::{
    ETH_P_802_2, ETH_P_ALL, ETH_P_IP, ETH_P_IPV6, PACKET_BROADCAST, PACKET_HOST, PACKET_MULTICAST, PACKET_OTHERHOST,
    PACKET_OUTGOING,
};

use super::PacketSocket;
use crate::net::inet::device::{Device, LOOPBACK_INDEX};
use crate::net::inet::stack::NetStack;
use crate::net::members::Members;

/// Bytes of an Ethernet header; `lo` has one of zeros.
pub(super) const ETHERNET: usize = 14;
/// The smallest number in a header that is a protocol rather than a length.
const FIRST_PROTOCOL: u16 = 0x600;

/// The packet sockets of a namespace.
#[derive(Debug, Default)]
pub struct Taps {
    pub(super) sockets: Members<PacketSocket>,
    /// How many of them have a protocol.
    pub(super) looking: AtomicUsize,
}

/// A frame that somebody may look at.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) device: u32,
    pub(super) hardware: u16,
    /// ETH_P_*, from the header.
    pub(super) protocol: u16,
    /// PACKET_*.
    pub(super) kind: u8,
    pub(super) at: SystemTime,
}

impl Taps {
    /// All packet sockets.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<PacketSocket>> {
        self.sockets.all()
    }

    /// Whether anybody looks.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.looking.load(Ordering::Relaxed) > 0
    }

    /// Shows a frame that went through a device. Who sent it does not see it.
    pub(crate) fn show(&self, device: &Device, outgoing: bool, bytes: Vec<u8>, sender: Option<&PacketSocket>) {
        let Some(protocol) = protocol_of(&bytes) else { return };
        let kind = if outgoing { PACKET_OUTGOING } else { arrived_as(device, &bytes) };
        let frame = Frame {
            bytes: Arc::new(bytes),
            device: device.index,
            hardware: device.hardware(),
            protocol,
            kind,
            at: SystemTime::now(),
        };
        for socket in self.sockets.all() {
            if sender.is_none_or(|sender| !std::ptr::eq(sender, Arc::as_ptr(&socket))) {
                socket.look_at(&frame);
            }
        }
    }
}

impl NetStack {
    /// Shows an IP packet that goes over `lo`, out and in again.
    pub(in crate::net) fn show_on_loopback(&self, packet: &[u8]) {
        let Some(lo) = self.with_links(|links| links.device(LOOPBACK_INDEX).cloned()) else { return };
        let protocol = if packet.first().is_some_and(|first| first >> 4 == 6) { ETH_P_IPV6 } else { ETH_P_IP };
        let mut frame = vec![0; ETHERNET - 2];
        frame.extend(protocol.to_be_bytes());
        frame.extend(packet);
        self.packets.show(&lo, true, frame.clone(), None);
        self.packets.show(&lo, false, frame, None);
    }
}

/// What a frame carries; `None` if it is too short for a header.
pub(super) fn protocol_of(bytes: &[u8]) -> Option<u16> {
    let protocol = u16::from_be_bytes(*bytes.get(ETHERNET - 2..)?.first_chunk()?);
    Some(if protocol < FIRST_PROTOCOL { ETH_P_802_2 } else { protocol })
}

fn arrived_as(device: &Device, bytes: &[u8]) -> u8 {
    if device.hardware() != ARPHRD_ETHER {
        return PACKET_HOST;
    }
    match bytes.first_chunk::<6>() {
        Some([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]) => PACKET_BROADCAST,
        Some([first, ..]) if first & 1 != 0 => PACKET_MULTICAST,
        Some(to) if *to == device.mac => PACKET_HOST,
        _ => PACKET_OTHERHOST,
    }
}

/// Whether a socket for one protocol wants a frame.
pub(super) fn wants(protocol: u16, frame: &Frame) -> bool {
    match protocol {
        0 => false,
        ETH_P_ALL => true,
        // What goes out is seen by those who see all.
        other => other == frame.protocol && frame.kind != PACKET_OUTGOING,
    }
}
