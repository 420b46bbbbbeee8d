//! mremap(2).

use std::sync::atomic::Ordering;

use abi::limits::MAX_MAP_COUNT;
use abi::mman::MremapFlags;
use abi::{Errno, PAGE_SHIFT, PAGE_SIZE, UserAddr, UserRange};

use super::MemoryManager;
use super::change::Change;
use super::layout;
use super::map::Placement;
use super::vma::{Vma, VmaFlags};
use crate::error::{Result, err};

impl MemoryManager {
    /// mremap(2). Returns where the area is afterwards. `may_lock` as in [`super::MapRequest`].
    pub fn remap(
        &self,
        addr: UserAddr,
        old_len: u64,
        new_len: u64,
        flags: MremapFlags,
        new_addr: UserAddr,
        may_lock: bool,
    ) -> Result<UserAddr> {
        let may_move = flags.contains(MremapFlags::MREMAP_MAYMOVE);
        let fixed = flags.contains(MremapFlags::MREMAP_FIXED);
        let keep = flags.contains(MremapFlags::MREMAP_DONTUNMAP);
        if !(flags - MremapFlags::all()).is_empty() || ((fixed || keep) && !may_move) || !addr.is_page_aligned() {
            return err(Errno::EINVAL);
        }
        let round = |len: u64| len.checked_next_multiple_of(PAGE_SIZE).ok_or(Errno::EINVAL);
        let (old_len, new_len) = (round(old_len)?, round(new_len)?);
        if new_len == 0 || (keep && old_len != new_len) {
            return err(Errno::EINVAL);
        }
        let remap = Remap { addr, old_len, new_len, keep, may_lock };
        self.change(|change| {
            if fixed || keep { change.remap_to(&remap, new_addr, fixed) } else { change.resize(&remap, may_move) }
        })
    }
}

/// A checked request; lengths are whole pages.
struct Remap {
    addr: UserAddr,
    old_len: u64,
    new_len: u64,
    /// MREMAP_DONTUNMAP.
    keep: bool,
    may_lock: bool,
}

impl Change<'_> {
    /// MREMAP_FIXED and MREMAP_DONTUNMAP.
    fn remap_to(&mut self, remap: &Remap, new_addr: UserAddr, fixed: bool) -> Result<UserAddr> {
        let user = self.space.layout.user;
        if remap.new_len > user.len() || (fixed && !new_addr.is_page_aligned()) {
            return err(Errno::EINVAL);
        }
        let old = UserRange::new(remap.addr, remap.old_len).map_err(|_| Errno::EINVAL)?;
        if self.space.vmas.len() + 4 > MAX_MAP_COUNT {
            return err(Errno::ENOMEM);
        }
        let target = if fixed {
            let target = self.user_range(new_addr, remap.new_len, Errno::EINVAL)?;
            if target.intersect(old).is_some() {
                return err(Errno::EINVAL);
            }
            if target.start < user.start {
                return err(Errno::EPERM);
            }
            // The old area is checked before anything is destroyed.
            self.check_unsealed(old)?;
            self.area_to_move(&Remap { old_len: remap.old_len.min(remap.new_len), ..*remap })?;
            self.check_unsealed(target)?;
            self.unmap(target)?;
            target
        } else {
            self.area_to_move(remap)?;
            self.place(new_addr, remap.new_len, Placement::Hint)?
        };
        let mut remap = Remap { ..*remap };
        if remap.old_len > remap.new_len {
            self.unmap(UserRange::between(UserAddr(remap.addr.0 + remap.new_len), old.end))?;
            remap.old_len = remap.new_len;
        }
        self.move_area(&remap, target)
    }

    /// Growing and shrinking without a place to go to.
    fn resize(&mut self, remap: &Remap, may_move: bool) -> Result<UserAddr> {
        if remap.old_len >= remap.new_len && remap.old_len > 0 {
            let old = self.user_range(remap.addr, remap.old_len, Errno::EINVAL)?;
            if self.space.vmas.find(remap.addr).is_none() {
                return err(Errno::EFAULT);
            }
            if remap.old_len > remap.new_len {
                self.unmap(UserRange::between(UserAddr(remap.addr.0 + remap.new_len), old.end))?;
            }
            return Ok(remap.addr);
        }
        let vma = self.area_to_move(remap)?;
        let end = UserAddr(remap.addr.0 + remap.old_len);
        let more = UserRange::new(end, remap.new_len - remap.old_len)?;
        let fits = more.end <= self.space.layout.user.end && layout::is_free(&self.space.vmas, more);
        if remap.old_len > 0 && vma.range.end == end && fits {
            let mut extra = vma;
            if let Some(object) = &mut extra.object {
                object.offset += end.0 - extra.range.start.0;
            }
            extra.range = more;
            self.add_grown(extra, more)?;
            return Ok(remap.addr);
        }
        if !may_move {
            return err(Errno::ENOMEM);
        }
        let target = self.place(UserAddr::NULL, remap.new_len, Placement::Hint)?;
        self.move_area(remap, target)
    }

    /// The area that is moved or grown, with everything about the change checked.
    fn area_to_move(&mut self, remap: &Remap) -> Result<Vma> {
        let vma = self.space.vmas.find(remap.addr).ok_or(Errno::EFAULT)?.clone();
        let checked = self.check_move(&vma, remap);
        let kept = vma.clone();
        self.batch.bury_areas(vec![kept]);
        checked.map(|()| vma)
    }

    fn check_move(&self, vma: &Vma, remap: &Remap) -> Result<()> {
        if vma.flags.contains(VmaFlags::SEALED) {
            return err(Errno::EPERM);
        }
        if remap.old_len == 0 && !vma.shared() {
            return err(Errno::EINVAL);
        }
        if remap.old_len > vma.range.end.0 - remap.addr.0 {
            return err(Errno::EFAULT);
        }
        if remap.new_len <= remap.old_len {
            return Ok(());
        }
        if vma.flags.contains(VmaFlags::SPECIAL) {
            return err(Errno::EFAULT);
        }
        if let Some((_, offset)) = vma.object_at(remap.addr) {
            offset.checked_add(remap.new_len).filter(|end| i64::try_from(*end).is_ok()).ok_or(Errno::EINVAL)?;
        }
        let pages = (remap.new_len - remap.old_len) >> PAGE_SHIFT;
        if vma.flags.contains(VmaFlags::LOCKED) && !remap.may_lock {
            let limit = self.mm.limits.locked.load(Ordering::Relaxed) / PAGE_SIZE;
            if self.space.counters.locked + pages > limit {
                return err(Errno::EAGAIN);
            }
        }
        if !self.may_add(vma, pages) {
            return err(Errno::ENOMEM);
        }
        Ok(())
    }

    /// Moves `old_len` bytes at `addr` to the start of `target`, which is free, and fills the rest of it.
    fn move_area(&mut self, remap: &Remap, target: UserRange) -> Result<UserAddr> {
        let vma = self.space.vmas.find(remap.addr).ok_or(Errno::EFAULT)?;
        let old = UserRange::new(remap.addr, remap.old_len)?;
        let mut moved = vma.clone();
        self.code_changes(old);
        if let Some(object) = &mut moved.object {
            object.offset += remap.addr.0 - moved.range.start.0;
        }
        moved.range = target;
        // As on Linux a moved stack no longer grows.
        moved.flags.remove(VmaFlags::GROWSDOWN);
        let (special, prot) = (moved.flags.contains(VmaFlags::SPECIAL), moved.prot);
        self.insert_area(moved);
        self.move_pages(old, target.start);
        if special && self.space.info.vdso == old.start {
            self.space.info.vdso = target.start;
        }
        if remap.keep {
            // What stays behind is empty, and no longer locked.
            self.update_areas(old, |vma| vma.flags.remove(VmaFlags::LOCKED | VmaFlags::LOCKONFAULT));
            self.back(old)?;
        } else if !old.is_empty() {
            self.remove_areas(old);
        }
        if prot.is_none() { Ok(target.start) } else { self.back(target).map(|()| target.start) }
    }

    fn move_pages(&mut self, old: UserRange, to: UserAddr) {
        let pieces = self.space.pages.remove(old);
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return };
        self.batch.unmap(UserRange::between(first.range.start, last.range.end));
        for mut piece in pieces {
            let start = UserAddr(piece.range.start.0 - old.start.0 + to.0);
            piece.range = UserRange { start, end: UserAddr(start.0 + piece.range.len()) };
            let (file, offset) = piece.source.place(&self.mm.memfile);
            self.batch.map(piece.range, file, offset, piece.prot);
            self.space.pages.insert(piece);
        }
    }

    fn add_grown(&mut self, vma: Vma, range: UserRange) -> Result<()> {
        let locked = vma.flags.contains(VmaFlags::LOCKED);
        self.insert_area(vma);
        self.back(range)?;
        if locked {
            self.populate(range);
        }
        Ok(())
    }
}
