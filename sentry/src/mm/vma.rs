//! What the application asked for: mapped areas and their set, split and merged as Linux does.

use std::collections::BTreeMap;
use std::sync::Arc;

use abi::{UserAddr, UserRange};
use platform::Prot;

use super::mappable::{Mappable, Registration};
use crate::vfs::File;

bitflags::bitflags! {
    /// What an area is, beside its protection (VM_* of include/linux/mm.h).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct VmaFlags: u32 {
        /// Changes are seen by others.
        const SHARED = 1 << 0;
        /// Grows downwards on faults below it.
        const GROWSDOWN = 1 << 1;
        /// Counts against RLIMIT_MEMLOCK.
        const LOCKED = 1 << 2;
        /// Locked as it is touched.
        const LOCKONFAULT = 1 << 3;
        /// Not inherited by a fork.
        const DONTFORK = 1 << 4;
        /// Zeroes in a forked child.
        const WIPEONFORK = 1 << 5;
        /// MAP_NORESERVE.
        const NORESERVE = 1 << 6;
        /// Not in core dumps.
        const DONTDUMP = 1 << 7;
        /// MADV_SEQUENTIAL.
        const SEQ_READ = 1 << 8;
        /// MADV_RANDOM.
        const RAND_READ = 1 << 9;
        /// MADV_HUGEPAGE.
        const HUGEPAGE = 1 << 10;
        /// MADV_NOHUGEPAGE.
        const NOHUGEPAGE = 1 << 11;
        /// mseal(2).
        const SEALED = 1 << 13;
        /// The kernel's own: cannot be remapped or grow.
        const SPECIAL = 1 << 14;
        /// In no list of areas.
        const HIDDEN = 1 << 15;
        /// Nobody else may look at it: memfd_secret(2).
        const SECRET = 1 << 16;
    }
}

/// What a mapped object is to its area.
#[derive(Clone, Debug)]
pub(super) struct Object {
    /// The entry among the object's mappings.
    pub(super) entry: Registration,
    /// The file it was mapped from; anonymous shared memory has none.
    pub(super) file: Option<Arc<File>>,
    /// The byte of the object at the start of the area.
    pub(super) offset: u64,
}

/// A name for /proc/PID/maps that does not come from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VmaName {
    /// `[vdso]`, `[vvar]`.
    Special(&'static str),
    /// Set by prctl(2) PR_SET_VMA_ANON_NAME.
    Anon(Arc<[u8]>),
}

/// A mapped area.
#[derive(Clone, Debug)]
pub(super) struct Vma {
    pub(super) range: UserRange,
    /// What the application may do.
    pub(super) prot: Prot,
    /// What mprotect(2) may allow (VM_MAY*).
    pub(super) max: Prot,
    pub(super) flags: VmaFlags,
    /// What is mapped; `None` for private anonymous memory.
    pub(super) object: Option<Object>,
    pub(super) name: Option<VmaName>,
}

impl Vma {
    pub(super) fn shared(&self) -> bool {
        self.flags.contains(VmaFlags::SHARED)
    }

    /// Whether it shows a file, or is the kernel's own.
    pub(super) fn is_of_file(&self) -> bool {
        self.flags.contains(VmaFlags::SPECIAL) || self.object.as_ref().is_some_and(|object| object.file.is_some())
    }

    /// The object's byte at `addr`.
    pub(super) fn object_at(&self, addr: UserAddr) -> Option<(&Arc<dyn Mappable>, u64)> {
        let object = self.object.as_ref()?;
        Some((object.entry.object(), object.offset + (addr.0 - self.range.start.0)))
    }

    /// Whether `next`, which begins where this ends, can be one area with it.
    fn joins(&self, next: &Self) -> bool {
        let objects = match (&self.object, &next.object) {
            (None, None) => true,
            (Some(a), Some(b)) => {
                Arc::ptr_eq(a.entry.object(), b.entry.object())
                    && a.file.as_ref().map(Arc::as_ptr) == b.file.as_ref().map(Arc::as_ptr)
                    && a.offset.checked_add(self.range.len()) == Some(b.offset)
            }
            _ => false,
        };
        objects
            && self.range.end == next.range.start
            && self.prot == next.prot
            && self.max == next.max
            && self.flags == next.flags
            && !self.flags.contains(VmaFlags::SPECIAL)
            && self.name == next.name
    }

    /// Keeps what is below `at`, returns the rest.
    fn split_off(&mut self, at: UserAddr) -> Self {
        let mut rest = self.clone();
        if let Some(object) = &mut rest.object {
            object.offset += at.0 - self.range.start.0;
        }
        rest.range.start = at;
        self.range.end = at;
        rest
    }
}

/// The areas of an address space, by start. They never overlap and are never empty.
#[derive(Clone, Debug, Default)]
pub(super) struct VmaSet {
    map: BTreeMap<UserAddr, Vma>,
}

impl VmaSet {
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Vma> {
        self.map.values()
    }

    /// The area that holds `addr`.
    pub(super) fn find(&self, addr: UserAddr) -> Option<&Vma> {
        let (_, vma) = self.map.range(..=addr).next_back()?;
        (addr < vma.range.end).then_some(vma)
    }

    /// The lowest area that ends above `addr`.
    pub(super) fn at_or_above(&self, addr: UserAddr) -> Option<&Vma> {
        self.find(addr).or_else(|| self.map.range(addr..).next().map(|(_, vma)| vma))
    }

    /// The highest area that starts below `addr`.
    pub(super) fn below(&self, addr: UserAddr) -> Option<&Vma> {
        self.map.range(..addr).next_back().map(|(_, vma)| vma)
    }

    /// The areas that touch `range`, upwards.
    pub(super) fn touching(&self, range: UserRange) -> impl Iterator<Item = &Vma> {
        let first = self.find(range.start).map_or(range.start, |vma| vma.range.start);
        self.map.range(first..range.end.max(first)).map(|(_, vma)| vma)
    }

    /// The areas that start below `addr`, downwards.
    pub(super) fn downwards(&self, addr: UserAddr) -> impl Iterator<Item = &Vma> {
        self.map.range(..addr).rev().map(|(_, vma)| vma)
    }

    /// The areas that end above `addr`, upwards.
    pub(super) fn upwards(&self, addr: UserAddr) -> impl Iterator<Item = &Vma> {
        let first = self.find(addr).map_or(addr, |vma| vma.range.start);
        self.map.range(first..).map(|(_, vma)| vma)
    }

    /// Whether `range` has no hole.
    pub(super) fn covers(&self, range: UserRange) -> bool {
        let mut at = range.start;
        for vma in self.touching(range) {
            if vma.range.start > at {
                return false;
            }
            at = vma.range.end;
        }
        at >= range.end
    }

    /// Adds an area where there is none, and joins it with its neighbours.
    pub(super) fn insert(&mut self, vma: Vma) {
        let range = vma.range;
        self.map.insert(range.start, vma);
        self.join_around(range);
    }

    /// Takes away what lies in `range`, splitting at its ends.
    pub(super) fn remove(&mut self, range: UserRange) -> Vec<Vma> {
        self.split_at(range.start);
        self.split_at(range.end);
        let starts: Vec<_> = self.map.range(range.start..range.end).map(|(s, _)| *s).collect();
        starts.iter().filter_map(|start| self.map.remove(start)).collect()
    }

    /// Changes what lies in `range`, splitting at its ends and joining afterwards. `change` must leave ranges alone.
    pub(super) fn update(&mut self, range: UserRange, mut change: impl FnMut(&mut Vma)) {
        self.split_at(range.start);
        self.split_at(range.end);
        for (_, vma) in self.map.range_mut(range.start..range.end) {
            change(vma);
        }
        self.join_around(range);
    }

    /// Moves the start of the area at `start` down to `to`.
    pub(super) fn grow_down(&mut self, start: UserAddr, to: UserAddr) {
        if let Some(mut vma) = self.map.remove(&start) {
            if let Some(object) = &mut vma.object {
                object.offset = object.offset.wrapping_sub(start.0 - to.0);
            }
            vma.range.start = to;
            self.map.insert(to, vma);
        }
    }

    /// Whether removing `range` makes one more area (a hole in the middle of one).
    pub(super) fn hole_splits(&self, range: UserRange) -> bool {
        self.find(range.start).is_some_and(|v| v.range.start < range.start && range.end < v.range.end)
    }

    fn split_at(&mut self, at: UserAddr) {
        if let Some((_, vma)) = self.map.range_mut(..at).next_back()
            && at < vma.range.end
        {
            let rest = vma.split_off(at);
            self.map.insert(at, rest);
        }
    }

    fn join_around(&mut self, range: UserRange) {
        let mut at = self.below(range.start).map_or(range.start, |vma| vma.range.start);
        while at <= range.end
            && let Some((&start, vma)) = self.map.range(at..).next()
            && start <= range.end
        {
            let end = vma.range.end;
            let joins = self.map.get(&end).is_some_and(|next| vma.joins(next));
            if joins && let Some(next) = self.map.remove(&end) {
                if let Some(vma) = self.map.get_mut(&start) {
                    vma.range.end = next.range.end;
                }
                at = start;
            } else {
                at = end;
            }
        }
    }
}
