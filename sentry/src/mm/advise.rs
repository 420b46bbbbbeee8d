//! madvise(2), and taking pages away when an object shrinks.

use abi::mman::{
    MADV_COLD, MADV_COLLAPSE, MADV_DODUMP, MADV_DOFORK, MADV_DONTDUMP, MADV_DONTFORK, MADV_DONTNEED,
    MADV_DONTNEED_LOCKED, MADV_FREE, MADV_HUGEPAGE, MADV_KEEPONFORK, MADV_NOHUGEPAGE, MADV_NORMAL, MADV_PAGEOUT,
    MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_RANDOM, MADV_REMOVE, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_WIPEONFORK,
};
use abi::{Errno, PAGE_SIZE, UserAddr, UserRange};

use super::MemoryManager;
use super::change::Change;
use super::fault::FaultSignal;
use super::mappable::Mappings;
use super::pages::Source;
use super::vma::{Vma, VmaFlags};
use crate::error::{Result, err};
use crate::vfs::File;
use std::sync::Arc;

/// FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE.
const PUNCH_HOLE: u32 = 0x3;

impl MemoryManager {
    /// madvise(2).
    pub fn advise(&self, addr: UserAddr, len: u64, advice: u32) -> Result<()> {
        if !is_known(advice) || !addr.is_page_aligned() {
            return err(Errno::EINVAL);
        }
        let len = len.checked_next_multiple_of(PAGE_SIZE).ok_or(Errno::EINVAL)?;
        let range = UserRange::new(addr, len).map_err(|_| Errno::EINVAL)?;
        if range.is_empty() {
            return Ok(());
        }
        if advice == MADV_REMOVE {
            return self.remove_pages_of_object(range);
        }
        self.change(|change| {
            // Holes are skipped and reported at the end.
            let covered = change.space.vmas.covers(range);
            if matches!(advice, MADV_POPULATE_READ | MADV_POPULATE_WRITE) {
                return change.populate_strictly(range, advice == MADV_POPULATE_WRITE);
            }
            let areas: Vec<Vma> = change.space.vmas.touching(range).cloned().collect();
            let mut result = Ok(());
            for vma in &areas {
                if let Some(part) = vma.range.intersect(range) {
                    result = change.advise_area(vma, part, advice);
                    if result.is_err() {
                        break;
                    }
                }
            }
            change.batch.bury_areas(areas);
            result?;
            if covered { Ok(()) } else { err(Errno::ENOMEM) }
        })
    }

    /// MADV_REMOVE: a hole in the mapped file.
    fn remove_pages_of_object(&self, range: UserRange) -> Result<()> {
        let mut holes: Vec<(Arc<File>, u64, u64)> = Vec::new();
        let space = self.space.read();
        for vma in space.vmas.touching(range) {
            let part = vma.range.intersect(range).ok_or(Errno::EINVAL)?;
            if vma.flags.contains(VmaFlags::LOCKED) {
                return err(Errno::EINVAL);
            }
            let Some((_, offset)) = vma.object_at(part.start) else { return err(Errno::EINVAL) };
            if !vma.shared() || !vma.prot.write {
                return err(Errno::EACCES);
            }
            match vma.object.as_ref().and_then(|object| object.file.clone()) {
                Some(file) => holes.push((file, offset, part.len())),
                // Anonymous shared memory is always there as one range.
                None => {
                    for piece in space.pages.touching(part) {
                        if let Source::Borrowed(start) = piece.source
                            && let Some(common) = piece.range.intersect(part)
                        {
                            self.memfile.discard(start + (common.start.0 - piece.range.start.0), common.len());
                        }
                    }
                }
            }
        }
        let covered = space.vmas.covers(range);
        drop(space);
        for (file, offset, len) in holes {
            file.ops().allocate(&file, PUNCH_HOLE, offset, len)?;
        }
        if covered { Ok(()) } else { err(Errno::ENOMEM) }
    }

    /// Takes away what is mapped of an object from `offset` on, see [`Mappings::invalidate`] and [`Mappings::cut`].
    pub(super) fn take_away(&self, object: &Mappings, offset: u64, len: u64, copies_too: bool) {
        let end = offset.saturating_add(len);
        // Only the platform can fail here, and then the address space is lost anyway.
        let _ = self.change(|change| {
            let mut gone = Vec::new();
            for vma in change.space.vmas.iter() {
                let Some((mapped, start)) = vma.object_at(vma.range.start) else { continue };
                if !std::ptr::eq(mapped.mappings(), object) {
                    continue;
                }
                let (from, to) = (offset.max(start), end.min(start + vma.range.len()));
                if from < to {
                    let at = |byte: u64| UserAddr(vma.range.start.0 + (byte - start));
                    gone.push(UserRange::between(at(from), at(to)));
                }
            }
            for range in gone {
                if copies_too {
                    change.remove_pages(range);
                } else {
                    change.remove_borrowed(range);
                }
            }
            Ok(())
        });
    }
}

impl Change<'_> {
    fn advise_area(&mut self, vma: &Vma, part: UserRange, advice: u32) -> Result<()> {
        let anonymous = vma.object.is_none();
        let set = |change: &mut Self, add: VmaFlags, remove: VmaFlags| {
            change.update_areas(part, |vma| {
                vma.flags.remove(remove);
                vma.flags |= add;
            });
            Ok(())
        };
        let none = VmaFlags::empty();
        match advice {
            MADV_NORMAL => set(self, none, VmaFlags::SEQ_READ | VmaFlags::RAND_READ),
            MADV_SEQUENTIAL => set(self, VmaFlags::SEQ_READ, VmaFlags::RAND_READ),
            MADV_RANDOM => set(self, VmaFlags::RAND_READ, VmaFlags::SEQ_READ),
            MADV_DONTFORK => set(self, VmaFlags::DONTFORK, none),
            MADV_DOFORK if vma.flags.contains(VmaFlags::SPECIAL) => err(Errno::EINVAL),
            MADV_DOFORK => set(self, none, VmaFlags::DONTFORK),
            MADV_WIPEONFORK if !anonymous || vma.shared() => err(Errno::EINVAL),
            MADV_WIPEONFORK => set(self, VmaFlags::WIPEONFORK, none),
            MADV_KEEPONFORK => set(self, none, VmaFlags::WIPEONFORK),
            MADV_DONTDUMP => set(self, VmaFlags::DONTDUMP, none),
            MADV_DODUMP if vma.flags.contains(VmaFlags::SPECIAL) => err(Errno::EINVAL),
            MADV_DODUMP => set(self, none, VmaFlags::DONTDUMP),
            MADV_HUGEPAGE => set(self, VmaFlags::HUGEPAGE, VmaFlags::NOHUGEPAGE),
            MADV_NOHUGEPAGE => set(self, VmaFlags::NOHUGEPAGE, VmaFlags::HUGEPAGE),
            MADV_DONTNEED | MADV_COLD | MADV_PAGEOUT if vma.flags.contains(VmaFlags::LOCKED) => err(Errno::EINVAL),
            MADV_FREE if !anonymous => err(Errno::EINVAL),
            MADV_DONTNEED | MADV_DONTNEED_LOCKED | MADV_FREE => {
                if vma.flags.contains(VmaFlags::SEALED) && anonymous && !vma.prot.write {
                    return err(Errno::EPERM);
                }
                self.drop_pages(vma, part)
            }
            _ => Ok(()),
        }
    }

    /// MADV_DONTNEED: private memory reads as zeroes, or as the object, from now on.
    fn drop_pages(&mut self, vma: &Vma, part: UserRange) -> Result<()> {
        if vma.shared() {
            return Ok(());
        }
        if vma.object.is_some() {
            self.remove_pages(part);
            return if vma.prot.is_none() { Ok(()) } else { self.back(part) };
        }
        // What others still share is replaced, what is ours alone is emptied in place.
        let mut replace = Vec::new();
        for piece in self.space.pages.touching(part) {
            let (Source::Own(memory), Some(common)) = (&piece.source, piece.range.intersect(part)) else { continue };
            let mut at = common.start;
            while at < common.end {
                let offset = at.0 - piece.range.start.0;
                let sole = memory.sole_around(offset).map(|sole| UserAddr(piece.range.start.0 + sole.end));
                match sole {
                    Some(end) => {
                        let end = end.min(common.end);
                        memory.discard(offset, end.0 - at.0);
                        at = end;
                    }
                    None => {
                        let end = memory.shared_until(offset).map_or(common.end, |o| UserAddr(piece.range.start.0 + o));
                        let end = end.min(common.end);
                        replace.push(UserRange::between(at, end));
                        at = end;
                    }
                }
            }
        }
        for range in replace {
            self.remove_pages(range);
            if !vma.prot.is_none() {
                self.back(range)?;
            }
        }
        Ok(())
    }

    /// Takes away pieces whose memory is an object's; private copies stay.
    fn remove_borrowed(&mut self, range: UserRange) {
        let borrowed = |source: &Source| !matches!(source, Source::Own(_));
        let pieces = self.space.pages.touching(range).filter(|piece| borrowed(&piece.source));
        let parts: Vec<_> = pieces.filter_map(|piece| piece.range.intersect(range)).collect();
        for part in parts {
            self.remove_pages(part);
        }
    }

    /// MADV_POPULATE_READ and MADV_POPULATE_WRITE, which report what cannot be had.
    fn populate_strictly(&mut self, range: UserRange, write: bool) -> Result<()> {
        let mut at = range.start;
        while at < range.end {
            match self.resolve(at, write, false) {
                Ok(()) => {}
                Err(FaultSignal::NotMapped) => return err(Errno::ENOMEM),
                Err(FaultSignal::NotAllowed) => return err(Errno::EINVAL),
                Err(FaultSignal::NoMemory) => return err(Errno::EFAULT),
            }
            let next = self.space.pages.find(at).map(|piece| piece.range.end);
            at = next.unwrap_or(UserAddr(at.0 + PAGE_SIZE));
        }
        Ok(())
    }
}

/// Merging equal pages (KSM) is not there, as where it is not configured.
fn is_known(advice: u32) -> bool {
    matches!(
        advice,
        MADV_NORMAL
            | MADV_RANDOM
            | MADV_SEQUENTIAL
            | MADV_WILLNEED
            | MADV_DONTNEED
            | MADV_FREE
            | MADV_REMOVE
            | MADV_DONTFORK
            | MADV_DOFORK
            | MADV_HUGEPAGE
            | MADV_NOHUGEPAGE
            | MADV_DONTDUMP
            | MADV_DODUMP
            | MADV_WIPEONFORK
            | MADV_KEEPONFORK
            | MADV_COLD
            | MADV_PAGEOUT
            | MADV_POPULATE_READ
            | MADV_POPULATE_WRITE
            | MADV_DONTNEED_LOCKED
            | MADV_COLLAPSE
    )
}
