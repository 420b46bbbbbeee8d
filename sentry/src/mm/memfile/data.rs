//! Which parts of the memory file are there; the rest reads as zeroes and costs nothing until it is touched.

use std::os::fd::AsFd;

use abi::PAGE_SIZE;

use super::MemFile;

/// Ranges up to this length are asked for page by page: where a hole begins, SEEK_HOLE only finds by looking at all pages up
/// to there, which may be far beyond the range.
const BY_PAGE: u64 = 256 << 10;
const BY_PAGE_PAGES: usize = 64;

impl MemFile {
    /// Bytes of `offset..offset + len` that are there.
    #[must_use]
    pub fn resident_in(&self, offset: u64, len: u64) -> u64 {
        let mut total = 0;
        self.for_data(offset, len, &mut |_, part| total += part);
        total
    }

    /// Calls `f` with offset and length of every part of `offset..offset + len` (whole pages) that is there.
    pub(crate) fn for_data(&self, offset: u64, len: u64, f: &mut dyn FnMut(u64, u64)) {
        if len <= BY_PAGE {
            self.for_data_by_page(offset, len, f);
        } else {
            self.for_data_by_extent(offset, len, f);
        }
    }

    fn for_data_by_extent(&self, offset: u64, len: u64, f: &mut dyn FnMut(u64, u64)) {
        let (mut at, end) = (offset, offset + len);
        while at < end {
            let Some(data) = self.next_data(at).filter(|data| *data < end) else { return };
            let hole = host::mem::seek_extent(self.file.as_fd(), data, true).unwrap_or(end).min(end);
            if hole <= data {
                return;
            }
            f(data, hole - data);
            at = hole;
        }
    }

    fn for_data_by_page(&self, offset: u64, len: u64, f: &mut dyn FnMut(u64, u64)) {
        let mut pages = [0; BY_PAGE_PAGES];
        let count = usize::try_from(len / PAGE_SIZE).unwrap_or(BY_PAGE_PAGES).min(BY_PAGE_PAGES);
        let pages = &mut pages[..count];
        let known = usize::try_from(offset).is_ok_and(|at| self.map.in_core(at, pages).is_ok());
        if !known {
            return self.for_data_by_extent(offset, len, f);
        }
        let at = |page: usize| offset + page as u64 * PAGE_SIZE;
        let mut page = 0;
        while page < count {
            if pages[page] & 1 == 0 {
                // Not in memory: a hole, or a page that is swapped out, which this call knows as data.
                let Some(data) = self.next_data(at(page)) else { return };
                if data > at(page) {
                    page = usize::try_from((data - offset) / PAGE_SIZE).unwrap_or(count);
                    continue;
                }
            }
            let more = pages[page + 1..].iter().take_while(|there| **there & 1 != 0).count();
            f(at(page), (more as u64 + 1) * PAGE_SIZE);
            page += more + 1;
        }
    }

    /// The next byte from `at` on that is there.
    fn next_data(&self, at: u64) -> Option<u64> {
        host::mem::seek_extent(self.file.as_fd(), at, false).ok()
    }
}
