//! Where things go: the layout of an address space (arch/x86/mm/mmap.c, mm/mmap.c) and the search for free addresses.

use abi::{PAGE_SHIFT, PAGE_SIZE, UserAddr, UserRange};

use super::vma::{Vma, VmaFlags, VmaSet};
use crate::error::Result;

/// Pages kept free below a stack that can grow.
pub(super) const STACK_GUARD_GAP: u64 = 256 * PAGE_SIZE;
/// The lowest address an unprivileged mapping may have (/proc/sys/vm/mmap_min_addr).
pub const MMAP_MIN_ADDR: UserAddr = UserAddr(65536);
/// Where MAP_32BIT searches.
const LOW_RANGE: UserRange = UserRange { start: UserAddr(0x4000_0000), end: UserAddr(0x8000_0000) };
/// Bits of randomness in the mmap base (/proc/sys/vm/mmap_rnd_bits).
const MMAP_RND_BITS: u32 = 28;
/// Randomness of the stack's top, in pages (`__STACK_RND_MASK`).
const STACK_RND_PAGES: u64 = 0x3f_ffff;
/// Randomness of the heap's start.
const BRK_RND: u64 = 0x0200_0000;

/// Random numbers for address space layout; all zero when randomisation is off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Randomness {
    words: [u64; 4],
}

impl Randomness {
    /// Fresh ones.
    pub fn new() -> Result<Self> {
        let mut bytes = [0; 32];
        host::random::fill(&mut bytes)?;
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = chunk.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        }
        Ok(Self { words })
    }

    /// How far the stack's top is moved down.
    #[must_use]
    pub fn stack(&self) -> u64 {
        (self.words[0] & STACK_RND_PAGES) << PAGE_SHIFT
    }

    /// How far the mmap base (and a position-independent program) is moved.
    #[must_use]
    pub fn mmap(&self) -> u64 {
        (self.words[1] & ((1 << MMAP_RND_BITS) - 1)) << PAGE_SHIFT
    }

    /// How far a position-independent program is moved up.
    #[must_use]
    pub fn program(&self) -> u64 {
        (self.words[2] & ((1 << MMAP_RND_BITS) - 1)) << PAGE_SHIFT
    }

    /// How far the heap starts above the program.
    #[must_use]
    pub fn brk(&self) -> u64 {
        (self.words[3] % BRK_RND) & !(PAGE_SIZE - 1)
    }

    /// Up to 8 KiB that the stack pointer of a new program is moved down by.
    #[must_use]
    pub fn stack_pointer(&self) -> u64 {
        (self.words[3] >> 32) % 8192
    }
}

/// The fixed points of an address space.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// What an application may use.
    pub user: UserRange,
    /// Mappings without an address are placed below it, or above it if `bottom_up`.
    pub mmap_base: UserAddr,
    /// The legacy layout: an unlimited stack, or ADDR_COMPAT_LAYOUT.
    pub bottom_up: bool,
}

impl Layout {
    /// The layout for a program whose RLIMIT_STACK is `stack_limit`.
    #[must_use]
    pub fn new(user: UserRange, stack_limit: u64, legacy: bool, random: &Randomness) -> Self {
        let user = UserRange::between(user.start.max(MMAP_MIN_ADDR), user.end);
        let top = user.end.0;
        if legacy || stack_limit == u64::MAX {
            let base = (top / 3).next_multiple_of(PAGE_SIZE) + random.mmap();
            return Self { user, mmap_base: UserAddr(base.min(top)), bottom_up: true };
        }
        let pad = (STACK_RND_PAGES << PAGE_SHIFT) + STACK_GUARD_GAP;
        let gap = stack_limit.saturating_add(pad).clamp(128 << 20, top / 6 * 5);
        let base = (top - gap).saturating_sub(random.mmap()) & !(PAGE_SIZE - 1);
        Self { user, mmap_base: UserAddr(base), bottom_up: false }
    }
}

/// Remembers where a search from the top may begin: above `from`, no gap is larger than `largest`.
#[derive(Clone, Copy, Debug)]
pub(super) struct GapCache {
    from: UserAddr,
    largest: u64,
}

impl GapCache {
    pub(super) fn new(layout: &Layout) -> Self {
        Self { from: layout.mmap_base, largest: 0 }
    }

    /// A range was unmapped.
    pub(super) fn freed(&mut self, vmas: &VmaSet, range: UserRange) {
        if range.end > self.from {
            let low = vmas.below(range.start).map_or(UserAddr::NULL, |vma| vma.range.end);
            let high = vmas.at_or_above(range.end).map_or(UserAddr(u64::MAX), |vma| vma.range.start);
            self.largest = self.largest.max(high.0 - low.0);
        }
    }
}

/// Where `vma` begins for others: below a stack its guard gap stays free.
fn start_with_gap(vma: &Vma) -> UserAddr {
    if vma.flags.contains(VmaFlags::GROWSDOWN) {
        UserAddr(vma.range.start.0.saturating_sub(STACK_GUARD_GAP))
    } else {
        vma.range.start
    }
}

/// Whether `range` is free, guard gaps included.
pub(super) fn is_free(vmas: &VmaSet, range: UserRange) -> bool {
    match vmas.at_or_above(range.start) {
        Some(next) => start_with_gap(next) >= range.end,
        None => true,
    }
}

/// A free range of `len` bytes (whole pages) for a mapping without a fixed address; `low` for MAP_32BIT.
pub(super) fn find_free(
    vmas: &VmaSet,
    layout: &Layout,
    cache: &mut GapCache,
    len: u64,
    low: bool,
) -> Option<UserRange> {
    if low {
        return lowest(vmas, LOW_RANGE, len);
    }
    let above = UserRange::between(layout.mmap_base, layout.user.end);
    if layout.bottom_up {
        return lowest(vmas, above, len).or_else(|| lowest(vmas, layout.user, len));
    }
    let below = UserRange::between(layout.user.start, layout.mmap_base);
    // When all below the base is full, Linux tries the legacy way.
    highest(vmas, below, len, cache).or_else(|| lowest(vmas, above, len))
}

fn lowest(vmas: &VmaSet, within: UserRange, len: u64) -> Option<UserRange> {
    let mut at = within.start;
    for vma in vmas.upwards(within.start) {
        if start_with_gap(vma).0.saturating_sub(at.0) >= len {
            break;
        }
        at = at.max(vma.range.end);
        if at >= within.end {
            return None;
        }
    }
    (within.end.0.saturating_sub(at.0) >= len).then(|| UserRange { start: at, end: UserAddr(at.0 + len) })
}

fn highest(vmas: &VmaSet, within: UserRange, len: u64, cache: &mut GapCache) -> Option<UserRange> {
    let cached = len > cache.largest && cache.from < within.end;
    let mut top = if cached { cache.from.max(within.start) } else { within.end };
    let mut largest = if cached { cache.largest } else { 0 };
    // An area that begins above may still keep a gap free below itself, or reach down below.
    if let Some(next) = vmas.at_or_above(top) {
        top = top.min(start_with_gap(next));
    }
    for vma in vmas.downwards(top) {
        if vma.range.end < within.start {
            break;
        }
        let gap = top.0.saturating_sub(vma.range.end.0);
        if gap >= len {
            break;
        }
        largest = largest.max(gap);
        top = start_with_gap(vma);
    }
    if top.0.checked_sub(within.start.0)? < len {
        return None;
    }
    let found = UserRange { start: UserAddr(top.0 - len), end: top };
    *cache = GapCache { from: found.end, largest };
    Some(found)
}
