//! mlock(2) and its family. Nothing is locked on the host: only the accounting and the populating are visible.

use std::sync::atomic::Ordering;

use abi::mman::MlockallFlags;
use abi::{Errno, PAGE_SHIFT, PAGE_SIZE, UserAddr, UserRange};

use super::MemoryManager;
use super::change::Change;
use super::vma::VmaFlags;
use crate::error::{Result, err};

impl MemoryManager {
    /// mlock2(2). `may_lock` (CAP_IPC_LOCK) ignores RLIMIT_MEMLOCK.
    pub fn lock(&self, addr: UserAddr, len: u64, on_fault: bool, may_lock: bool) -> Result<()> {
        let limit = self.limits.locked.load(Ordering::Relaxed);
        if limit == 0 && !may_lock {
            return err(Errno::EPERM);
        }
        self.change(|change| {
            let range = change.whole_pages(addr, len)?;
            let fits = |locked: u64| locked.saturating_add(range.len() >> PAGE_SHIFT) <= limit / PAGE_SIZE;
            let locked = change.space.counters.locked;
            if !may_lock && !fits(locked) && !fits(locked - change.locked_pages(range)) {
                return err(Errno::ENOMEM);
            }
            let flags = if on_fault { VmaFlags::LOCKED | VmaFlags::LOCKONFAULT } else { VmaFlags::LOCKED };
            change.set_locked(range, flags)?;
            if !on_fault {
                change.populate(range);
            }
            Ok(())
        })
    }

    /// munlock(2).
    pub fn unlock(&self, addr: UserAddr, len: u64) -> Result<()> {
        self.change(|change| {
            let range = change.whole_pages(addr, len)?;
            change.set_locked(range, VmaFlags::empty())
        })
    }

    /// mlockall(2).
    pub fn lock_all(&self, flags: MlockallFlags, may_lock: bool) -> Result<()> {
        let known = MlockallFlags::all();
        if flags.is_empty() || !known.contains(flags) || flags == MlockallFlags::MCL_ONFAULT {
            return err(Errno::EINVAL);
        }
        let limit = self.limits.locked.load(Ordering::Relaxed);
        if limit == 0 && !may_lock {
            return err(Errno::EPERM);
        }
        self.change(|change| {
            let current = flags.contains(MlockallFlags::MCL_CURRENT);
            if current && !may_lock && change.space.counters.total > limit / PAGE_SIZE {
                return err(Errno::ENOMEM);
            }
            let on_fault = flags.contains(MlockallFlags::MCL_ONFAULT);
            let lock = if on_fault { VmaFlags::LOCKED | VmaFlags::LOCKONFAULT } else { VmaFlags::LOCKED };
            let future = flags.contains(MlockallFlags::MCL_FUTURE);
            change.space.future = if future { lock } else { VmaFlags::empty() };
            if current {
                let all = UserRange::between(UserAddr::NULL, change.space.layout.user.end);
                change.lock_areas(all, lock);
                if !on_fault {
                    change.populate(all);
                }
            }
            Ok(())
        })
    }

    /// munlockall(2).
    pub fn unlock_all(&self) -> Result<()> {
        self.change(|change| {
            change.space.future = VmaFlags::empty();
            let all = UserRange::between(UserAddr::NULL, change.space.layout.user.end);
            change.lock_areas(all, VmaFlags::empty());
            Ok(())
        })
    }
}

impl Change<'_> {
    /// The pages that `len` bytes at `addr` touch.
    pub(super) fn whole_pages(&self, addr: UserAddr, len: u64) -> Result<UserRange> {
        let end = addr.checked_add(len).map_err(|_| Errno::EINVAL)?.page_up().ok_or(Errno::EINVAL)?;
        Ok(UserRange::between(addr.page_down(), end))
    }

    fn locked_pages(&self, range: UserRange) -> u64 {
        let locked = self.space.vmas.touching(range).filter(|vma| vma.flags.contains(VmaFlags::LOCKED));
        locked.filter_map(|vma| vma.range.intersect(range)).map(UserRange::len).sum::<u64>() >> PAGE_SHIFT
    }

    /// Sets or clears the lock of areas; ENOMEM if there is a hole.
    fn set_locked(&mut self, range: UserRange, lock: VmaFlags) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let covered = self.space.vmas.covers(range);
        self.lock_areas(range, lock);
        if covered { Ok(()) } else { err(Errno::ENOMEM) }
    }

    fn lock_areas(&mut self, range: UserRange, lock: VmaFlags) {
        self.update_areas(range, |vma| {
            if !vma.flags.contains(VmaFlags::SPECIAL) {
                vma.flags.remove(VmaFlags::LOCKED | VmaFlags::LOCKONFAULT);
                vma.flags |= lock;
            }
        });
    }
}
