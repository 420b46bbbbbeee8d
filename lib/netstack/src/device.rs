//! Frames on their way in and out, as smoltcp's device. Both queues are bounded.

use std::collections::VecDeque;

use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// The most frames that wait in either direction.
const MAX_FRAMES: usize = 512;
/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;

/// The queues.
#[derive(Debug)]
pub(crate) struct Queues {
    pub(crate) incoming: VecDeque<Vec<u8>>,
    pub(crate) outgoing: VecDeque<Vec<u8>>,
    mtu: usize,
}

impl Queues {
    pub(crate) fn new(mtu: usize) -> Self {
        Self { incoming: VecDeque::new(), outgoing: VecDeque::new(), mtu }
    }

    /// Whether more may be sent.
    pub(crate) fn has_room(&self) -> bool {
        self.outgoing.len() < MAX_FRAMES
    }

    /// Adds a received frame; without room it is lost, as on a busy wire.
    pub(crate) fn receive(&mut self, frame: &[u8]) {
        if self.incoming.len() < MAX_FRAMES {
            self.incoming.push_back(frame.to_vec());
        }
    }
}

#[derive(Debug)]
pub(crate) struct Incoming(Vec<u8>);

#[derive(Debug)]
pub(crate) struct Outgoing<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push_back(frame);
        result
    }
}

impl Device for Queues {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Incoming, Outgoing<'_>)> {
        let frame = self.incoming.pop_front()?;
        Some((Incoming(frame), Outgoing(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        (self.outgoing.len() < MAX_FRAMES).then_some(Outgoing(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu + ETHERNET;
        // What comes from the same host has no checksums yet, and what comes from a wire was checked by the device.
        let mut checksum = ChecksumCapabilities::default();
        checksum.ipv4 = Checksum::Both;
        checksum.tcp = Checksum::Tx;
        checksum.udp = Checksum::Tx;
        checksum.icmpv4 = Checksum::Tx;
        checksum.icmpv6 = Checksum::Tx;
        capabilities.checksum = checksum;
        capabilities
    }
}
