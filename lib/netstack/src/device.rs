//! Frames on their way in and out, as smoltcp's device.
//!
//! What comes in is looked at where it lies. What goes out is written once, with room in front for [`crate::offload`]'s
//! header, into buffers that come back when they were sent; segments of one connection share a frame ([`crate::run`]).

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::num::NonZeroUsize;

use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, PacketMeta, RxToken, TxToken};
use smoltcp::time::Instant;

use crate::offload::{self, ETHERNET, HEADER};
use crate::run::{self, Added, Run};

/// The most frames that wait to be sent, and the most bytes.
const MAX_FRAMES: usize = 512;
const MAX_BYTES: usize = 1 << 20;
/// The most buffers that are kept, and what one of them may have to be kept.
const SPARES: usize = 16;
const SPARE: usize = 66 << 10;
/// How much of a buffer is zeros before it is used again: all headers.
const WHOLLY_NEW: usize = 256;

/// Frames that wait to be sent.
#[derive(Debug)]
pub(crate) struct Queues {
    outgoing: VecDeque<Outgoing>,
    bytes: usize,
    spare: Vec<Vec<u8>>,
    /// A frame was put back, and has not been tried again.
    held_up: bool,
    capabilities: DeviceCapabilities,
}

#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    /// How many bytes each of its segments has, if there are several.
    segment: Option<u16>,
    /// What may follow in it.
    run: Option<Run>,
}

/// The device while a frame comes in.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) frame: Option<&'a [u8]>,
    pub(crate) queues: &'a mut Queues,
}

#[derive(Debug)]
pub(crate) struct Frame<'a>(&'a [u8]);

#[derive(Debug)]
pub(crate) struct Sender<'a> {
    queues: &'a mut Queues,
    segment: Option<u16>,
}

impl Queues {
    pub(crate) fn new(mtu: usize) -> Self {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = mtu + ETHERNET;
        // Those of what came in are looked at before; those of TCP are left to the host.
        let mut checksum = ChecksumCapabilities::default();
        checksum.ipv4 = Checksum::Both;
        checksum.tcp = Checksum::None;
        checksum.udp = Checksum::Tx;
        checksum.icmpv4 = Checksum::Tx;
        checksum.icmpv6 = Checksum::Tx;
        capabilities.checksum = checksum;
        capabilities.segmentation.tcpv4 = NonZeroUsize::new(offload::longest(mtu, Ipv4Addr::UNSPECIFIED.into()));
        // smoltcp drops what is longer than the MTU where it is IPv6: those are put together here.
        capabilities.segmentation.tcpv6 = None;
        Self { outgoing: VecDeque::new(), bytes: 0, spare: Vec::new(), held_up: false, capabilities }
    }

    /// Whether more may be sent.
    pub(crate) fn has_room(&self) -> bool {
        self.outgoing.len() < MAX_FRAMES && self.bytes < MAX_BYTES
    }

    /// Whether the wire takes no more for now.
    pub(crate) fn is_held_up(&self) -> bool {
        self.held_up
    }

    /// The next frame to send, with the header in front of it.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        self.held_up = false;
        let mut next = self.outgoing.pop_front()?;
        self.bytes -= next.bytes.len();
        if next.segment.is_some()
            && let Some(frame) = next.bytes.get_mut(HEADER..)
        {
            run::set_lengths(frame);
        }
        offload::finish(&mut next.bytes, next.segment);
        Some(next.bytes)
    }

    /// A frame was sent, its buffer can be used again.
    pub(crate) fn sent(&mut self, bytes: Vec<u8>) {
        if self.spare.len() < SPARES && bytes.capacity() <= SPARE {
            self.spare.push(bytes);
        }
    }

    /// A frame was not taken, and is the next one again.
    pub(crate) fn put_back(&mut self, bytes: Vec<u8>) {
        // Its headers are finished; done once more they are the same.
        let segment = match bytes.get(1..6) {
            Some([kind, .., low, high]) if *kind != 0 => Some(u16::from_ne_bytes([*low, *high])),
            _ => None,
        };
        self.held_up = true;
        self.bytes += bytes.len();
        self.outgoing.push_front(Outgoing { bytes, segment, run: None });
    }

    fn push(&mut self, bytes: Vec<u8>, segment: Option<u16>) {
        self.bytes += bytes.len();
        let run = if segment.is_none() { Run::begin(&bytes[HEADER..]) } else { None };
        self.outgoing.push_back(Outgoing { bytes, segment, run });
    }

    fn write<R>(&mut self, len: usize, segment: Option<u16>, write: impl FnOnce(&mut [u8]) -> R) -> R {
        if segment.is_none()
            && let Some(last) = self.outgoing.back_mut()
            && let Some(run) = last.run.as_mut().filter(|run| run.has_room(last.bytes.len(), len))
        {
            let before = last.bytes.len();
            let (result, added) = run.add(&mut last.bytes, len, || self.spare.pop().unwrap_or_default(), write);
            self.bytes += last.bytes.len() - before;
            match added {
                Added::More => last.segment = run.segment(),
                Added::Last => last.segment = last.run.take().and_then(|run| run.segment()),
                Added::Stranger(own) => {
                    last.run = None;
                    self.push(own, None);
                }
            }
            return result;
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        // What it had before is overwritten, but nobody has to trust that of headers.
        bytes.resize(HEADER + len, 0);
        let head = bytes.len().min(WHOLLY_NEW);
        bytes[..head].fill(0);
        let result = write(&mut bytes[HEADER..]);
        self.push(bytes, segment);
        result
    }
}

impl RxToken for Frame<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for Sender<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.queues.write(len, self.segment, f)
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.segment = meta.segmentation_offload_size.map(u16::from);
    }
}

impl Device for Queues {
    type RxToken<'a> = Frame<'a>;
    type TxToken<'a> = Sender<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Frame<'_>, Sender<'_>)> {
        None
    }

    fn transmit(&mut self, _: Instant) -> Option<Sender<'_>> {
        self.has_room().then_some(Sender { queues: self, segment: None })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.capabilities.clone()
    }
}

impl Device for Incoming<'_> {
    type RxToken<'a>
        = Frame<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Sender<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Frame<'_>, Sender<'_>)> {
        let frame = self.frame.take()?;
        Some((Frame(frame), Sender { queues: self.queues, segment: None }))
    }

    fn transmit(&mut self, at: Instant) -> Option<Sender<'_>> {
        self.queues.transmit(at)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.queues.capabilities()
    }
}
