//! The bytes of a regular file in the memory file: [`Content`], for tmpfs, memfd and the upper layer of overlay.
//!
//! Pages are kept in extents that grow with the file; holes have none. A content may lie over the data of another inode
//! (its base): pages that were never written are read there, and copied in aligned chunks before the first write to them.
//!
//! Locks: `InodeIo` over writes and truncation, as Linux's `i_rwsem`, held while application memory is copied; `Inode` over
//! the extents, to read while bytes move, to write while pages come and go. Mappings are taken away between the two.

mod base;
mod budget;
mod extents;
mod mapping;
mod resize;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use abi::{Errno, PAGE_SIZE};
use host::mem::HostSlice;
use sync::{Mutex, RwLock};

pub use self::budget::Budget;

use self::base::Base;
use self::extents::{Extent, Extents, Found};
use crate::error::{Error, Result, err};
use crate::io::{IoDst, IoSrc};
use crate::kernel::room;
use crate::lock_order;
use crate::mm::Mappings;
use crate::mm::memfile::MemFile;
use crate::vfs::Inode;

/// The longest file.
pub const MAX_SIZE: u64 = i64::MAX as u64;
/// The most pages reserved ahead of a file that is appended to.
const MAX_SPARE: u64 = 512;
/// The most pages that a fault in a hole makes at once.
const MAX_FAULT: u64 = 4096;
/// Pieces from this length on go into fresh pages by a host call: a fault for each page costs twice as much.
const BY_CALL: usize = PAGE_SIZE as usize;
/// Pages are copied from the base in aligned chunks of this many.
const CHUNK: u64 = 16;

/// The bytes of one regular file.
#[derive(Debug)]
pub struct Content {
    memfile: Arc<MemFile>,
    budget: Arc<Budget>,
    io: Mutex<(), lock_order::InodeIo>,
    data: RwLock<Data, lock_order::Inode>,
    mappings: Mappings,
}

#[derive(Debug)]
struct Data {
    size: u64,
    extents: Extents,
    base: Option<Base>,
}

impl Content {
    /// An empty file.
    #[must_use]
    pub fn new(memfile: Arc<MemFile>, budget: Arc<Budget>) -> Self {
        Self::with(memfile, budget, 0, None)
    }

    /// A file that looks like the `len` bytes of another, until it is written.
    #[must_use]
    pub fn over(memfile: Arc<MemFile>, budget: Arc<Budget>, base: Arc<dyn Inode>, len: u64) -> Self {
        Self::with(memfile, budget, len, Some(Base { inode: base, len, whole: len }))
    }

    fn with(memfile: Arc<MemFile>, budget: Arc<Budget>, size: u64, base: Option<Base>) -> Self {
        Self {
            memfile,
            budget,
            io: Mutex::new(()),
            data: RwLock::new(Data { size, extents: Extents::default(), base }),
            mappings: Mappings::default(),
        }
    }

    /// Bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.data.read().size
    }

    /// 512-byte blocks in use.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        let data = self.data.read();
        let base = data.base.as_ref().map_or(0, |base| base.len.div_ceil(PAGE_SIZE));
        data.extents.blocks_in_pages().max(base) * (PAGE_SIZE / 512)
    }

    /// Reads at `pos`; short only at the end of the file.
    pub fn read(&self, pos: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        let Some(left) = self.size().checked_sub(pos) else { return Ok(0) };
        let mut at = pos;
        dst.fill(usize::try_from(left).unwrap_or(usize::MAX), |slice| {
            let n = self.data.read().read(at, &slice)?;
            at += n as u64;
            Ok(n)
        })
    }

    /// As [`Self::read`], into one piece of memory.
    pub fn read_into(&self, pos: u64, dst: &HostSlice<'_>) -> Result<usize> {
        // The content of an overlay may be locked already, by a read that led here.
        self.data.read_nested().read(pos, dst)
    }

    /// Writes at `*pos`, or at the end with `append`, which sets `*pos`; up to `max_size` bytes of file. `check` is asked
    /// for leave with the range, under the lock that keeps the size still.
    pub fn write(
        &self,
        pos: &mut u64,
        append: bool,
        src: &mut IoSrc<'_>,
        check: impl FnOnce(u64, u64) -> Result<()>,
    ) -> Result<usize> {
        let _io = self.io.lock();
        if append {
            *pos = self.size();
        }
        let Some(room) = MAX_SIZE.checked_sub(*pos).filter(|room| *room > 0) else { return err(Errno::EFBIG) };
        let len = src.remaining().min(usize::try_from(room).unwrap_or(usize::MAX));
        check(*pos, len as u64)?;
        self.copy_in(*pos..pos.saturating_add(len as u64))?;
        let mut at = *pos;
        src.drain(len, |slice| {
            let n = self.write_piece(at, &slice)?;
            at += n as u64;
            Ok(n)
        })
    }

    /// Writes one piece, `InodeIo` held.
    fn write_piece(&self, pos: u64, src: &HostSlice<'_>) -> Result<usize> {
        let end = pos + src.len() as u64;
        let pages = pos / PAGE_SIZE..end.div_ceil(PAGE_SIZE);
        let mut data = self.data.read();
        let fresh = !data.extents.covers(pages.clone());
        if fresh {
            drop(data);
            self.make_pages(&mut self.data.write(), pages)?;
            data = self.data.read();
        }
        let n = data.write(pos, src, fresh)?;
        let grows = pos + n as u64 > data.size;
        drop(data);
        if grows {
            self.data.write().size = pos + n as u64;
        }
        Ok(n)
    }

    /// Makes sure that all of `pages` exist; those that did not are zero.
    fn make_pages(&self, data: &mut Data, pages: Range<u64>) -> Result<()> {
        let mut page = pages.start;
        while page < pages.end {
            let hole_end = match data.extents.at(page) {
                Found::Extent(extent, before) => {
                    page += extent.pages - before;
                    continue;
                }
                Found::Hole(end) => end.min(pages.end),
            };
            let want = hole_end - page;
            let used = || self.memfile.resident().unwrap_or(0);
            room::take_for_files(want.saturating_mul(PAGE_SIZE), used).map_err(no_space)?;
            self.budget.charge(want)?;
            let grown = data.extents.grow(page, want);
            if grown < want
                && let Err(e) = self.make_extent(data, page + grown, want - grown)
            {
                self.budget.release(want - grown);
                return Err(e);
            }
            page = hole_end;
        }
        Ok(())
    }

    fn make_extent(&self, data: &mut Data, page: u64, pages: u64) -> Result<()> {
        let spare = if data.extents.ends_at(page) { data.extents.dense().min(MAX_SPARE) } else { 0 };
        let range = self.memfile.allocate((pages + spare) * PAGE_SIZE).map_err(no_space)?;
        data.extents.insert(page, Extent::new(range, pages, false));
        Ok(())
    }

    /// SEEK_DATA and SEEK_HOLE.
    pub fn seek_hole(&self, from: u64, hole: bool) -> Result<u64> {
        let data = self.data.read();
        if from >= data.size {
            return err(Errno::ENXIO);
        }
        let mut at = from;
        while at < data.size {
            let page = at / PAGE_SIZE;
            let (is_hole, end) = match data.extents.at(page) {
                Found::Extent(extent, before) => (false, page + extent.pages - before),
                Found::Hole(end) => match &data.base {
                    Some(base) if at < base.len => (false, end.min(base.len.div_ceil(PAGE_SIZE))),
                    _ => (true, end),
                },
            };
            if is_hole == hole {
                return Ok(at);
            }
            at = end.saturating_mul(PAGE_SIZE);
        }
        if hole { Ok(data.size) } else { err(Errno::ENXIO) }
    }
}

impl Data {
    /// Copies bytes from `pos` on out, as many as fit and are there.
    fn read(&self, pos: u64, dst: &HostSlice<'_>) -> Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(pos)).unwrap_or(usize::MAX);
        let len = dst.len().min(left);
        let mut done = 0;
        while done < len {
            let at = pos + done as u64;
            let (page, inside) = (at / PAGE_SIZE, at % PAGE_SIZE);
            let out = dst.skip(done).first(len - done);
            let step = match self.extents.at(page) {
                Found::Extent(extent, before) => {
                    let from = before * PAGE_SIZE + inside;
                    let out = out.first(fit(extent.pages * PAGE_SIZE - from));
                    out.copy_from(&extent.range().slice(from, out.len()))
                }
                Found::Hole(end) => {
                    let hole = fit(end.saturating_mul(PAGE_SIZE) - at);
                    match &self.base {
                        Some(base) if at < base.len => {
                            let out = out.first(hole.min(fit(base.len - at)));
                            match base.inode.read_into(at, &out) {
                                // It became shorter under us.
                                Ok(0) => out.zero(),
                                Ok(n) => Ok(n),
                                Err(e) => Err(e.errno()),
                            }
                        }
                        Some(base) if page * PAGE_SIZE < base.len => out.first(fit(PAGE_SIZE - inside)).zero(),
                        _ => out.first(hole).zero(),
                    }
                }
            };
            match step {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if done == 0 => return Err(e.into()),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Copies bytes into pages that exist. `fresh`: hardly any of them was ever touched.
    fn write(&self, pos: u64, src: &HostSlice<'_>, fresh: bool) -> Result<usize> {
        let mut done = 0;
        while done < src.len() {
            let at = pos + done as u64;
            let Found::Extent(extent, before) = self.extents.at(at / PAGE_SIZE) else { break };
            let from = before * PAGE_SIZE + at % PAGE_SIZE;
            let len = fit(extent.pages * PAGE_SIZE - from).min(src.len() - done);
            let from_src = src.skip(done).first(len);
            let copied = if fresh && len >= BY_CALL {
                extent.range().write_by_call(from, &from_src)
            } else {
                extent.range().slice(from, len).copy_from(&from_src)
            };
            match copied {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if done == 0 => return Err(e.into()),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Zeroes the bytes of `range` that are in one page, if that page exists.
    fn zero_in_page(&self, range: Range<u64>) -> Result<()> {
        if let Found::Extent(extent, before) = self.extents.at(range.start / PAGE_SIZE) {
            let from = before * PAGE_SIZE + range.start % PAGE_SIZE;
            extent.range().slice(from, fit(range.end - range.start)).zero()?;
        }
        Ok(())
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.budget.release(self.data.get_mut().extents.dense());
    }
}

fn fit(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// A full memory file is a full file system.
fn no_space(e: Error) -> Error {
    if e.is(Errno::ENOMEM) { Errno::ENOSPC.into() } else { e }
}
