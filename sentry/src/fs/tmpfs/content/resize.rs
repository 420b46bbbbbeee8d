//! Changes of a file's length and of what it has allocated: truncation, fallocate(2).

use std::ops::Range;

use abi::fcntl::FallocateMode;
use abi::{Errno, PAGE_SIZE};

use super::{Content, Found, MAX_SIZE};
use crate::error::{Result, err};

impl Content {
    /// truncate(2). `check` is asked for leave with the old size, under the lock that keeps it still.
    pub fn truncate(&self, size: u64, check: impl FnOnce(u64) -> Result<()>) -> Result<()> {
        if size > MAX_SIZE {
            return err(Errno::EFBIG);
        }
        let _io = self.io.lock();
        let old = self.size();
        check(old)?;
        if size >= old {
            self.data.write().size = size;
            return Ok(());
        }
        {
            // From here on nobody can map what goes.
            let mut data = self.data.write();
            data.size = size;
            if let Some(base) = &mut data.base {
                base.len = base.len.min(size);
            }
        }
        // With a base the last page may have been mapped from there, whole.
        let from = size / PAGE_SIZE * PAGE_SIZE;
        self.mappings.invalidate(from, old.next_multiple_of(PAGE_SIZE) - from);
        self.mappings.cut(size.next_multiple_of(PAGE_SIZE));
        if !size.is_multiple_of(PAGE_SIZE) {
            self.data.read().zero_in_page(size..size.next_multiple_of(PAGE_SIZE))?;
        }
        self.drop_pages(size.div_ceil(PAGE_SIZE)..u64::MAX);
        Ok(())
    }

    /// fallocate(2). What Linux's tmpfs can: allocating and punching holes. `check` as in [`Self::write`].
    pub fn allocate(&self, mode: u32, offset: u64, len: u64, check: impl FnOnce(u64, u64) -> Result<()>) -> Result<()> {
        let mode = FallocateMode::from_bits_retain(mode);
        let supported = FallocateMode::FALLOC_FL_KEEP_SIZE | FallocateMode::FALLOC_FL_PUNCH_HOLE;
        if !supported.contains(mode) {
            return err(Errno::EOPNOTSUPP);
        }
        let end = offset.checked_add(len).filter(|end| *end <= MAX_SIZE).ok_or(Errno::EFBIG)?;
        let _io = self.io.lock();
        check(offset, len)?;
        if mode.contains(FallocateMode::FALLOC_FL_PUNCH_HOLE) {
            return self.punch(offset..end);
        }
        self.copy_in(offset..end)?;
        let mut data = self.data.write();
        self.make_pages(&mut data, offset / PAGE_SIZE..end.div_ceil(PAGE_SIZE))?;
        if !mode.contains(FallocateMode::FALLOC_FL_KEEP_SIZE) {
            data.size = data.size.max(end);
        }
        Ok(())
    }

    /// Zeroes a range and gives its whole pages back. `InodeIo` is held.
    fn punch(&self, range: Range<u64>) -> Result<()> {
        let based = self.data.read().base.as_ref().map_or(0, |base| base.len);
        if range.start < based {
            // The base has no holes: zeroes stand in for them.
            self.copy_in(range.start..range.end.min(based))?;
        }
        let (first, end) = (range.start.div_ceil(PAGE_SIZE), range.end / PAGE_SIZE);
        {
            let data = self.data.read();
            if first > end {
                // All in one page.
                return data.zero_in_page(range);
            }
            if range.start < first * PAGE_SIZE {
                data.zero_in_page(range.start..first * PAGE_SIZE)?;
            }
            if end * PAGE_SIZE < range.end {
                data.zero_in_page(end * PAGE_SIZE..range.end)?;
            }
        }
        let kept = based.div_ceil(PAGE_SIZE).clamp(first, end);
        for page in first..kept {
            self.data.read().zero_in_page(page * PAGE_SIZE..(page + 1) * PAGE_SIZE)?;
        }
        if kept < end {
            // Detached first, so that no new mapping finds them; freed once no old mapping is left.
            let (gone, dense) = self.data.write().extents.remove(kept..end);
            self.mappings.invalidate(kept * PAGE_SIZE, (end - kept) * PAGE_SIZE);
            drop(gone);
            self.budget.release(dense);
        }
        Ok(())
    }

    fn drop_pages(&self, pages: Range<u64>) {
        let (gone, dense) = self.data.write().extents.remove(pages);
        drop(gone);
        self.budget.release(dense);
    }

    /// Whether any page of the file exists here (copied up or written).
    #[must_use]
    pub fn is_touched(&self) -> bool {
        let data = self.data.read();
        data.base.as_ref().is_none_or(|base| base.len != base.whole || data.size != base.whole)
            || !matches!(data.extents.at(0), Found::Hole(u64::MAX))
    }
}
