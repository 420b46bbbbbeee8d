//! A ring of frames in memory that the application maps (PACKET_RX_RING), in the formats TPACKET_V1 and V2.
//!
//! Each slot belongs to us while its status is TP_STATUS_KERNEL, and to the application afterwards, which gives it back by
//! writing that again. What the application writes elsewhere in it changes nothing: nothing but the status is read.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::UNIX_EPOCH;

use abi::socket::{TP_STATUS_USER, TpacketReq};
use abi::{Errno, PAGE_SIZE};

use super::taps::{ETHERNET, Frame};
use crate::error::{Result, err};
use crate::kernel::Kernel;
use crate::mm::SharedMemory;

/// Everything in a slot begins at a multiple of this.
const ALIGNMENT: u32 = 16;
/// Bytes of either header, and where the address follows.
const HEADER: u32 = 32;
/// The same with the address.
const HEADER_AND_ADDRESS: u32 = HEADER + 20;
/// The least room for the link's header.
const LINK: u32 = 16;
/// The most memory of one ring.
const MOST: u64 = 64 << 20;

/// PACKET_VERSION.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Version {
    /// TPACKET_V1.
    #[default]
    One,
    /// TPACKET_V2.
    Two,
}

impl Version {
    /// From its number. TPACKET_V3, with its blocks, is not there.
    pub(super) fn new(number: i32) -> Result<Self> {
        match number {
            0 => Ok(Self::One),
            1 => Ok(Self::Two),
            _ => err(Errno::EINVAL),
        }
    }
}

/// Bytes of the header of a version (PACKET_HDRLEN).
pub fn header_len(version: i32) -> Result<i32> {
    Version::new(version).map(|_| HEADER.cast_signed())
}

/// A ring.
#[derive(Debug)]
pub(super) struct Ring {
    memory: Arc<SharedMemory>,
    version: Version,
    block_size: u32,
    frame_size: u32,
    frames: u32,
    reserve: u32,
    /// The slot that is filled next.
    next: u32,
}

impl Ring {
    /// Memory for a ring. EINVAL for sizes that do not fit together.
    pub(super) fn new(kernel: &Kernel, request: &TpacketReq, version: Version, reserve: u32) -> Result<Self> {
        let TpacketReq { tp_block_size, tp_block_nr, tp_frame_size, tp_frame_nr } = *request;
        let page = u32::try_from(PAGE_SIZE).unwrap_or(u32::MAX);
        let sizes = i32::try_from(tp_block_size).is_ok_and(|size| size > 0)
            && tp_block_size.is_multiple_of(page)
            && tp_frame_size >= HEADER_AND_ADDRESS.saturating_add(reserve)
            && tp_frame_size.is_multiple_of(ALIGNMENT);
        if !sizes {
            return err(Errno::EINVAL);
        }
        let fits = tp_block_size / tp_frame_size;
        if fits == 0 || fits.checked_mul(tp_block_nr) != Some(tp_frame_nr) {
            return err(Errno::EINVAL);
        }
        let len = u64::from(tp_block_size) * u64::from(tp_block_nr);
        if len > MOST {
            return err(Errno::ENOMEM);
        }
        Ok(Self {
            memory: SharedMemory::new(&kernel.memfile, len)?,
            version,
            block_size: tp_block_size,
            frame_size: tp_frame_size,
            frames: tp_frame_nr,
            reserve,
            next: 0,
        })
    }

    /// What mmap(2) maps.
    pub(super) fn memory(&self) -> &Arc<SharedMemory> {
        &self.memory
    }

    /// Whether somebody maps it.
    pub(super) fn is_mapped(&self) -> bool {
        Arc::strong_count(&self.memory) > 1
    }

    /// Whether the application has frames to look at.
    pub(super) fn is_filled(&self) -> bool {
        let last = self.next.checked_sub(1).unwrap_or(self.frames - 1);
        self.status(last) != 0
    }

    fn slot(&self, index: u32) -> u64 {
        let fits = self.block_size / self.frame_size;
        u64::from(index / fits) * u64::from(self.block_size) + u64::from(index % fits) * u64::from(self.frame_size)
    }

    fn status(&self, index: u32) -> u32 {
        self.memory.range().slice(self.slot(index), 4).load_u32().unwrap_or(0)
    }

    /// Puts a frame into the next slot; `false` if the application has not given it back. `header` bytes of the frame are not
    /// shown, and `snap` of the rest are.
    pub(super) fn put(&mut self, frame: &Frame, header: usize, snap: usize, address: &[u8]) -> bool {
        if self.status(self.next) != 0 {
            return false;
        }
        let link = u32::try_from(ETHERNET - header).unwrap_or(0);
        let network = (HEADER_AND_ADDRESS + if link == 0 { 0 } else { link.max(LINK) }).next_multiple_of(ALIGNMENT)
            + if link == 0 { LINK } else { 0 }
            + self.reserve;
        let data = network - link;
        let room = usize::try_from(self.frame_size.saturating_sub(data)).unwrap_or(0);
        let snap = snap.min(room);
        let bytes = frame.bytes.get(header..header + snap).unwrap_or_default();
        let short = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let place = |at: u32| u16::try_from(at).unwrap_or(u16::MAX).to_ne_bytes();
        let since = frame.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let part = if self.version == Version::One { since.subsec_micros() } else { since.subsec_nanos() };
        let seconds = u32::try_from(since.as_secs() & u64::from(u32::MAX)).unwrap_or(0);
        // What follows the status, which is one word longer in the first version.
        let mut head = if self.version == Version::One { vec![0; 4] } else { Vec::new() };
        head.extend(short(frame.bytes.len().saturating_sub(header)).to_ne_bytes());
        head.extend(short(snap).to_ne_bytes());
        head.extend(place(data));
        head.extend(place(network));
        head.extend(seconds.to_ne_bytes());
        head.extend(part.to_ne_bytes());
        head.resize(usize::try_from(HEADER - 4).unwrap_or(28), 0);
        head.extend_from_slice(address);
        let slot = self.slot(self.next);
        let range = self.memory.range();
        let write = |at: u64, bytes: &[u8]| range.slice(slot + at, bytes.len()).write(bytes).is_ok();
        // Fails only if the host has no memory left for the page.
        if !write(u64::from(data), bytes) || !write(4, &head) {
            return false;
        }
        fence(Ordering::SeqCst);
        if range.slice(slot, 4).fetch_update_u32(|_| TP_STATUS_USER).is_err() {
            return false;
        }
        self.next = (self.next + 1) % self.frames;
        true
    }
}
