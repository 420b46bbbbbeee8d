//! A range of the memory file that somebody owns.

use std::fmt;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;

use abi::{Errno, PAGE_SIZE};
use host::mem::HostSlice;

use super::MemFile;

/// A page-aligned range of the memory file that its owner keeps alive. Cloning adds a reference; the last drop of a page
/// gives it back. Parts of a range may be split off and cloned on their own.
pub struct MemRange {
    file: Arc<MemFile>,
    offset: u64,
    len: u64,
}

impl MemRange {
    /// The first owner of a range that was just handed out.
    pub(super) fn new(file: &Arc<MemFile>, offset: u64, len: u64) -> Self {
        Self { file: Arc::clone(file), offset, len }
    }

    /// Where it is in the memory file.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it is empty; never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One past its last byte in the memory file.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.len
    }

    /// The memory file.
    #[must_use]
    pub fn file(&self) -> &Arc<MemFile> {
        &self.file
    }

    /// The bytes `at..at+len` of the range, through the sentry's mapping of the file; clipped to the range.
    #[must_use]
    pub fn slice(&self, at: u64, len: usize) -> HostSlice<'_> {
        let at = at.min(self.len);
        let left = usize::try_from(self.len - at).unwrap_or(usize::MAX);
        self.file.slice(self.offset + at, len.min(left))
    }

    /// Copies `src` to `at`, clipped to the range, by one host call: for pages that were not touched yet, each of which
    /// would be a fault in the mapping. EFAULT if nothing could be copied.
    pub fn write_by_call(&self, at: u64, src: &HostSlice<'_>) -> Result<usize, Errno> {
        let at = at.min(self.len);
        let left = usize::try_from(self.len - at).unwrap_or(usize::MAX);
        let src = src.skip(0).first(left);
        loop {
            match src.write_fd(self.file.file().as_fd(), Some(self.offset + at)) {
                Err(Errno::EINTR) => {}
                // As where a page cannot be had for the mapping.
                Err(Errno::ENOSPC | Errno::ENOMEM) => return Err(Errno::EFAULT),
                done => return done,
            }
        }
    }

    /// Another owner of `at..at + len`; both clipped to the range. `None` if that is empty.
    #[must_use]
    pub fn part(&self, at: u64, len: u64) -> Option<Self> {
        let at = at.min(self.len);
        let len = len.min(self.len - at);
        if len == 0 {
            return None;
        }
        let offset = self.offset + at;
        self.file.state.lock().shares.add(offset..offset + len);
        Some(Self { file: Arc::clone(&self.file), offset, len })
    }

    /// Keeps the first `at` bytes (a multiple of the page size inside the range) and returns the rest. No page changes
    /// owners.
    #[must_use]
    pub fn split_off(&mut self, at: u64) -> Self {
        debug_assert!(0 < at && at < self.len, "splits inside");
        let rest = Self { file: Arc::clone(&self.file), offset: self.offset + at, len: self.len - at };
        self.len = at;
        rest
    }

    /// Appends a range that follows in the file; gives it back if it does not. No page changes owners.
    pub fn append(&mut self, other: Self) -> Result<(), Self> {
        if self.end() != other.offset {
            return Err(other);
        }
        self.len += other.len;
        let mut other = other;
        other.len = 0;
        Ok(())
    }

    /// The longest part around byte `at` of the range that has no other owner: start and end, relative to the range.
    /// `None` if the page at `at` has another owner.
    #[must_use]
    pub fn sole_around(&self, at: u64) -> Option<Range<u64>> {
        let page = self.offset + at.min(self.len - PAGE_SIZE) / PAGE_SIZE * PAGE_SIZE;
        let state = self.file.state.lock();
        let end = state.shares.sole_until(page, self.end());
        if end == page {
            return None;
        }
        let start = state.shares.sole_from(self.offset, page);
        Some(start - self.offset..end - self.offset)
    }

    /// Up to where, relative to the range, pages from the one at `at` on have other owners too; `None` if to its end.
    #[must_use]
    pub fn shared_until(&self, at: u64) -> Option<u64> {
        let page = self.offset + at.min(self.len - PAGE_SIZE) / PAGE_SIZE * PAGE_SIZE;
        let sole = self.file.state.lock().shares.shared_until(page, self.end());
        (sole < self.end()).then(|| sole - self.offset)
    }

    /// Whether no page of it has another owner.
    #[must_use]
    pub fn is_sole(&self) -> bool {
        self.sole_around(0).is_some_and(|r| r.end == self.len)
    }

    /// Drops a range that nobody has written to.
    pub fn drop_untouched(mut self) {
        let range = self.offset..self.end();
        // Nothing is left for `drop`.
        self.len = 0;
        self.file.release(range, true);
    }

    /// Makes `at..at + len` read as zeroes and gives its pages back to the host. All owners see it.
    pub fn discard(&self, at: u64, len: u64) {
        let at = at.min(self.len);
        let len = len.min(self.len - at);
        if len > 0 {
            self.file.discard(self.offset + at, len);
        }
    }
}

impl Clone for MemRange {
    fn clone(&self) -> Self {
        self.file.state.lock().shares.add(self.offset..self.end());
        Self { file: Arc::clone(&self.file), ..*self }
    }
}

impl Drop for MemRange {
    fn drop(&mut self) {
        if self.len > 0 {
            self.file.release(self.offset..self.end(), false);
        }
    }
}

impl fmt::Debug for MemRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemRange({:#x}+{:#x})", self.offset, self.len)
    }
}
