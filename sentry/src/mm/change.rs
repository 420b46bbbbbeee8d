//! An operation on a locked address space, and the changes for the platform that it leaves.

use abi::{PAGE_SHIFT, UserRange};

use super::accounting::is_committed;
use super::batch::Batch;
use super::vma::Vma;
use super::{MemoryManager, Space};
use crate::error::Result;

/// The address space while it is changed.
pub(super) struct Change<'a> {
    pub(super) mm: &'a MemoryManager,
    pub(super) space: &'a mut Space,
    pub(super) batch: Batch,
}

impl MemoryManager {
    /// Runs an operation with the address space locked, then tells the platform, also when the operation failed half-way.
    pub(super) fn change<T>(&self, operation: impl FnOnce(&mut Change<'_>) -> Result<T>) -> Result<T> {
        let mut space = self.space.write();
        let mut change = Change { mm: self, space: &mut space, batch: Batch::default() };
        let result = operation(&mut change);
        let batch = change.batch;
        if !batch.is_empty() {
            space.generation += 1;
        }
        if let Some(held) = &mut space.held {
            held.absorb(batch);
            return result;
        }
        let applied = batch.apply(&*self.host);
        drop(space);
        // Files may be closed here, which takes locks of any level.
        drop(batch);
        let value = result?;
        applied?;
        Ok(value)
    }
}

impl MemoryManager {
    /// Keeps changes from the platform until [`Self::release`]: for an address space that is being made, in which no code
    /// runs yet.
    pub fn hold(&self) {
        self.space.write().held = Some(Batch::default());
    }

    /// Tells the platform all that was held back, at once.
    pub fn release(&self) -> Result<()> {
        let mut space = self.space.write();
        let Some(batch) = space.held.take() else { return Ok(()) };
        let applied = batch.apply(&*self.host);
        drop(space);
        drop(batch);
        applied
    }
}

impl Change<'_> {
    /// Adds an area and counts it.
    pub(super) fn insert_area(&mut self, vma: Vma) {
        self.space.counters.add(&vma);
        self.space.vmas.insert(vma);
    }

    /// Changes the areas in `range` and keeps the counts right.
    pub(super) fn update_areas(&mut self, range: UserRange, mut change: impl FnMut(&mut Vma)) {
        let counters = &mut self.space.counters;
        self.space.vmas.update(range, |vma| {
            counters.remove(vma);
            change(vma);
            counters.add(vma);
        });
    }

    /// Takes away areas and pieces in `range`.
    pub(super) fn remove_areas(&mut self, range: UserRange) {
        let areas = self.space.vmas.remove(range);
        if areas.is_empty() {
            return;
        }
        for vma in &areas {
            self.space.counters.remove(vma);
        }
        self.space.gaps.freed(&self.space.vmas, range);
        self.remove_pages(range);
        self.batch.bury_areas(areas);
    }

    /// Takes away the pieces in `range`; the areas stay and get pieces again by faults.
    pub(super) fn remove_pages(&mut self, range: UserRange) {
        let pieces = self.space.pages.remove(range);
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return };
        self.batch.unmap(UserRange::between(first.range.start, last.range.end));
        for piece in pieces {
            self.batch.bury(piece);
        }
    }

    /// Whether `pages` more of an area like `vma` stay within the limits.
    pub(super) fn may_add(&self, vma: &Vma, pages: u64) -> bool {
        let there_is = self.mm.memfile.limit() >> PAGE_SHIFT;
        (!is_committed(vma) || pages <= there_is) && self.space.counters.may_add(vma, pages, &self.mm.limits)
    }

    /// Pages that areas have in `range`.
    pub(super) fn mapped_pages(&self, range: UserRange) -> u64 {
        let common = self.space.vmas.touching(range).filter_map(|vma| vma.range.intersect(range));
        common.map(UserRange::len).sum::<u64>() >> PAGE_SHIFT
    }
}
