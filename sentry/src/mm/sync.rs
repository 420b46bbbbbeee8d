//! msync(2) and mincore(2).

use abi::mman::MsyncFlags;
use abi::{Errno, PAGE_SIZE, UserAddr, UserRange};

use super::MemoryManager;
use super::pages::Source;
use super::vma::VmaFlags;
use crate::error::{Result, err};

impl MemoryManager {
    /// msync(2). The pages are the file's own, so that only what fsync(2) does is left to do.
    pub fn sync(&self, addr: UserAddr, len: u64, flags: MsyncFlags) -> Result<()> {
        let both = MsyncFlags::MS_ASYNC | MsyncFlags::MS_SYNC;
        if !MsyncFlags::all().contains(flags) || !addr.is_page_aligned() || flags.contains(both) {
            return err(Errno::EINVAL);
        }
        let len = len.checked_next_multiple_of(PAGE_SIZE).ok_or(Errno::ENOMEM)?;
        let range = UserRange::new(addr, len).map_err(|_| Errno::ENOMEM)?;
        if range.is_empty() {
            return Ok(());
        }
        let space = self.space.read();
        let covered = space.vmas.covers(range);
        let mut files = Vec::new();
        for vma in space.vmas.touching(range) {
            if flags.contains(MsyncFlags::MS_INVALIDATE) && vma.flags.contains(VmaFlags::LOCKED) {
                return err(Errno::EBUSY);
            }
            if flags.contains(MsyncFlags::MS_SYNC)
                && vma.shared()
                && let Some(file) = vma.object.as_ref().and_then(|object| object.file.clone())
            {
                files.push(file);
            }
        }
        drop(space);
        for file in files {
            match file.ops().sync(&file, true) {
                // Nothing that could be synced.
                Err(e) if e.is(Errno::EINVAL) => {}
                other => other?,
            }
        }
        if covered { Ok(()) } else { err(Errno::ENOMEM) }
    }

    /// Whether `range` has no hole.
    #[must_use]
    pub fn is_mapped(&self, range: UserRange) -> bool {
        self.space.read().vmas.covers(range)
    }

    /// mincore(2): for each page of the range whether it is there. ENOMEM if something is not mapped. At most `max_pages`
    /// are told.
    pub fn residency(&self, range: UserRange, max_pages: usize) -> Result<Vec<u8>> {
        let pages = usize::try_from(range.len() / PAGE_SIZE).map_err(|_| Errno::ENOMEM)?.min(max_pages);
        let mut vector = vec![0; pages];
        let range = UserRange::new(range.start, pages as u64 * PAGE_SIZE)?;
        let space = self.space.read();
        if !space.vmas.covers(range) {
            return err(Errno::ENOMEM);
        }
        let mut mark = |from: u64, to: u64| {
            for page in (from / PAGE_SIZE)..to.div_ceil(PAGE_SIZE) {
                if let Some(place) = usize::try_from(page).ok().and_then(|page| vector.get_mut(page)) {
                    *place = 1;
                }
            }
        };
        for piece in space.pages.touching(range) {
            let Some(common) = piece.range.intersect(range) else { continue };
            let at = common.start.0 - range.start.0;
            let (_, offset) = piece.source.place(&self.memfile);
            let offset = offset + (common.start.0 - piece.range.start.0);
            match &piece.source {
                Source::Host(_) => mark(at, at + common.len()),
                Source::Own(_) | Source::Borrowed(_) => {
                    self.memfile.for_data(offset, common.len(), &mut |data, len| {
                        let from = at + (data - offset);
                        mark(from, from + len);
                    })
                }
            }
        }
        Ok(vector)
    }
}
