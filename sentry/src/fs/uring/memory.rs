//! The memory that a ring shares with the application: indices, completions and submissions.
//!
//! All of it is the application's to scribble on. What we go by is our own copy; from there only the application's two
//! indices, the array and the submissions are read, each once, and checked.

use std::sync::Arc;

use abi::iouring::{
    IORING_OFF_CQ_RING, IORING_OFF_SQ_RING, IORING_OFF_SQES, IoCqringOffsets, IoSqringOffsets, IoUringCqe, IoUringSqe,
};
use abi::{Errno, PAGE_SIZE};
use zerocopy::{FromZeros, IntoBytes};

use crate::error::{Result, err};
use crate::mm::memfile::MemFile;
use crate::mm::{Mappable, Mappings, SharedMemory, Translation};

// Where things are in the rings: what one side writes shares no cache line with what the other does.
const SQ_HEAD: u32 = 0;
const SQ_TAIL: u32 = 64;
const CQ_HEAD: u32 = 128;
const CQ_TAIL: u32 = 192;
const SQ_MASK: u32 = 256;
const CQ_MASK: u32 = 260;
const SQ_ENTRIES: u32 = 264;
const CQ_ENTRIES: u32 = 268;
const SQ_DROPPED: u32 = 272;
const SQ_FLAGS: u32 = 276;
const CQ_FLAGS: u32 = 280;
const CQ_OVERFLOW: u32 = 284;
const CQES: u32 = 320;

/// The shared memory of one ring.
#[derive(Debug)]
pub(super) struct RingMemory {
    rings: Arc<SharedMemory>,
    sqes: Arc<SharedMemory>,
    pub(super) sq_entries: u32,
    pub(super) cq_entries: u32,
    /// Whether submissions are named by the array, or stand in order.
    array: bool,
    mappings: Mappings,
}

impl RingMemory {
    /// Memory for so many entries, both powers of two.
    pub(super) fn new(memfile: &Arc<MemFile>, sq_entries: u32, cq_entries: u32, array: bool) -> Result<Arc<Self>> {
        let pages = |len: u64| len.next_multiple_of(PAGE_SIZE);
        let rings_len = u64::from(CQES) + u64::from(cq_entries) * 16 + u64::from(sq_entries) * 4;
        let memory = Self {
            rings: SharedMemory::new(memfile, pages(rings_len))?,
            sqes: SharedMemory::new(memfile, pages(u64::from(sq_entries) * 64))?,
            sq_entries,
            cq_entries,
            array,
            mappings: Mappings::default(),
        };
        memory.store(SQ_MASK, sq_entries - 1);
        memory.store(CQ_MASK, cq_entries - 1);
        memory.store(SQ_ENTRIES, sq_entries);
        memory.store(CQ_ENTRIES, cq_entries);
        Ok(Arc::new(memory))
    }

    fn load(&self, at: u32) -> u32 {
        self.rings.range().slice(at.into(), 4).load_u32().unwrap_or(0)
    }

    fn store(&self, at: u32, value: u32) {
        // Fails only if the host has no memory left for the page.
        let _ = self.rings.range().slice(at.into(), 4).fetch_update_u32(|_| value);
    }

    pub(super) fn sq_tail(&self) -> u32 {
        self.load(SQ_TAIL)
    }

    pub(super) fn set_sq_head(&self, head: u32) {
        self.store(SQ_HEAD, head);
    }

    pub(super) fn cq_head(&self) -> u32 {
        self.load(CQ_HEAD)
    }

    pub(super) fn cq_flags(&self) -> u32 {
        self.load(CQ_FLAGS)
    }

    /// Counts a submission that named nothing.
    pub(super) fn count_dropped(&self) {
        let _ = self.rings.range().slice(SQ_DROPPED.into(), 4).fetch_update_u32(|n| n.wrapping_add(1));
    }

    /// Raises or clears flags of the submission ring.
    pub(super) fn set_sq_flag(&self, flag: u32, on: bool) {
        let change = |flags: u32| if on { flags | flag } else { flags & !flag };
        let _ = self.rings.range().slice(SQ_FLAGS.into(), 4).fetch_update_u32(change);
    }

    /// The submission at index `head`; `None` if the array names none.
    pub(super) fn submission(&self, head: u32) -> Option<IoUringSqe> {
        let mask = self.sq_entries - 1;
        let index = if self.array { self.load(self.array_at() + (head & mask) * 4) } else { head & mask };
        if index > mask {
            return None;
        }
        let mut sqe = IoUringSqe::new_zeroed();
        self.sqes.range().slice(u64::from(index) * 64, 64).read(sqe.as_mut_bytes()).ok()?;
        Some(sqe)
    }

    /// Writes the completion at index `tail` and shows it.
    pub(super) fn complete(&self, tail: u32, cqe: &IoUringCqe) {
        let index = tail & (self.cq_entries - 1);
        let _ = self.rings.range().slice(u64::from(CQES) + u64::from(index) * 16, 16).write(cqe.as_bytes());
        self.store(CQ_TAIL, tail.wrapping_add(1));
    }

    fn array_at(&self) -> u32 {
        CQES + self.cq_entries * 16
    }

    /// Where the application finds everything.
    pub(super) fn offsets(&self) -> (IoSqringOffsets, IoCqringOffsets) {
        let sq = IoSqringOffsets {
            head: SQ_HEAD,
            tail: SQ_TAIL,
            ring_mask: SQ_MASK,
            ring_entries: SQ_ENTRIES,
            flags: SQ_FLAGS,
            dropped: SQ_DROPPED,
            array: if self.array { self.array_at() } else { 0 },
            ..IoSqringOffsets::default()
        };
        let cq = IoCqringOffsets {
            head: CQ_HEAD,
            tail: CQ_TAIL,
            ring_mask: CQ_MASK,
            ring_entries: CQ_ENTRIES,
            overflow: CQ_OVERFLOW,
            cqes: CQES,
            flags: CQ_FLAGS,
            ..IoCqringOffsets::default()
        };
        (sq, cq)
    }

    fn region(&self, offset: u64) -> Result<(&Arc<SharedMemory>, u64)> {
        let (memory, start) = match offset {
            IORING_OFF_SQES.. => (&self.sqes, IORING_OFF_SQES),
            IORING_OFF_CQ_RING.. => (&self.rings, IORING_OFF_CQ_RING),
            _ => (&self.rings, IORING_OFF_SQ_RING),
        };
        if offset - start < memory.range().len() { Ok((memory, offset - start)) } else { err(Errno::EFAULT) }
    }
}

impl Mappable for RingMemory {
    fn translate(&self, offset: u64, len: u64, write: bool) -> Result<Translation> {
        let (memory, at) = self.region(offset)?;
        memory.translate(at, len, write)
    }

    fn mappings(&self) -> &Mappings {
        &self.mappings
    }
}
