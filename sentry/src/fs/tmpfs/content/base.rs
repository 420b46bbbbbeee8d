//! What a content lies over, and copying from there.

use std::ops::Range;
use std::sync::Arc;

use abi::PAGE_SIZE;

use super::extents::{Extent, Found};
use super::{CHUNK, Content, fit, no_space};
use crate::error::Result;
use crate::vfs::Inode;

/// What a content lies over.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub(super) inode: Arc<dyn Inode>,
    /// How much of it is still to be seen: truncation hides the rest for good.
    pub(super) len: u64,
    /// Its own length.
    pub(super) whole: u64,
}

impl Content {
    /// Copies what a change of the bytes `range` must not lose from the base. `InodeIo` is held.
    pub(super) fn copy_in(&self, range: Range<u64>) -> Result<()> {
        let Some(base) = self.data.read().base.clone() else { return Ok(()) };
        let end = range.end.min(base.len).div_ceil(PAGE_SIZE).next_multiple_of(CHUNK).min(base.len.div_ceil(PAGE_SIZE));
        let mut page = range.start / PAGE_SIZE / CHUNK * CHUNK;
        let start = page;
        while page < end {
            let hole_end = match self.data.read().extents.at(page) {
                Found::Extent(extent, before) => {
                    page += extent.pages - before;
                    continue;
                }
                Found::Hole(hole_end) => hole_end.min(end).min(page + 16 * CHUNK),
            };
            let copy = self.memfile.allocate((hole_end - page) * PAGE_SIZE).map_err(no_space)?;
            let from = page * PAGE_SIZE;
            let len = (base.len - from).min(copy.len());
            let mut done = 0;
            while done < len {
                let piece = copy.slice(done, fit(len - done));
                let n = base.inode.read_into(from + done, &piece)?;
                if n == 0 {
                    break;
                }
                done += n as u64;
            }
            self.budget.charge(hole_end - page)?;
            let mut data = self.data.write();
            // A fault may have made pages meanwhile; then they were made from the base too.
            if matches!(data.extents.at(page), Found::Hole(free) if free >= hole_end) {
                data.extents.insert(page, Extent::new(copy, hole_end - page, false));
            } else {
                drop(data);
                self.budget.release(hole_end - page);
                continue;
            }
            page = hole_end;
        }
        if start < end {
            self.mappings.invalidate(start * PAGE_SIZE, (end - start) * PAGE_SIZE);
        }
        Ok(())
    }

    /// Copies all of the base, so that it is not needed any more. Before a shared writable mapping.
    pub fn copy_all(&self) -> Result<()> {
        let _io = self.io.lock();
        let Some(len) = self.data.read().base.as_ref().map(|base| base.len) else { return Ok(()) };
        self.copy_in(0..len)?;
        self.data.write().base = None;
        Ok(())
    }
}

impl Base {
    /// How many pages from `page` on look in the base as they do here; `None` if not even that one.
    pub(super) fn whole_pages_from(&self, page: u64) -> Option<u64> {
        let end = if self.len == self.whole { self.len.div_ceil(PAGE_SIZE) } else { self.len / PAGE_SIZE };
        end.checked_sub(page).filter(|pages| *pages > 0)
    }
}
