//! Memory for areas: ranges of the memory file for anonymous ones, translations for mapped objects.

use std::os::fd::AsFd;
use std::sync::Arc;

use abi::{Errno, PAGE_SIZE, UserAddr, UserRange};
use platform::Prot;

use super::change::Change;
use super::mappable::Translation;
use super::memfile::MemRange;
use super::pages::{Piece, Source};
use super::vma::Vma;
use crate::error::{Result, err};

/// Anonymous areas up to this length get their memory at once, longer ones in [`SPARSE_PIECE`]s by faults.
const EAGER: u64 = 64 << 30;
/// How much of a longer one a fault brings.
const SPARSE_PIECE: u64 = 64 << 20;
/// Private writable mappings of objects up to this length are copied at once.
const COPY_AT_MAP: u64 = 256 << 10;
/// How many translations of an object are mapped at once; faults bring the rest.
const EAGER_TRANSLATIONS: usize = 64;
/// How much of an object a fault asks for.
const OBJECT_PIECE: u64 = 2 << 20;
/// How far away a piece may be whose memory we want to be near to.
const NEAR: u64 = 32 << 20;
/// Room left after each range of an address space, for it to grow.
const ROOM: u64 = 1 << 20;

impl Change<'_> {
    /// Gives the areas in `range` what memory they get before they are touched.
    pub(super) fn back(&mut self, range: UserRange) -> Result<()> {
        let areas: Vec<Vma> = self.space.vmas.touching(range).filter(|v| !v.prot.is_none()).cloned().collect();
        for vma in &areas {
            let Some(common) = vma.range.intersect(range) else { continue };
            for gap in self.space.pages.gaps(common) {
                self.back_gap(vma, gap)?;
            }
        }
        self.batch.bury_areas(areas);
        Ok(())
    }

    fn back_gap(&mut self, vma: &Vma, gap: UserRange) -> Result<()> {
        if vma.object.is_none() {
            return if gap.len() <= EAGER { self.add_zeroes(vma.prot, gap) } else { Ok(()) };
        }
        let copy = vma.prot.write && !vma.shared() && gap.len() <= COPY_AT_MAP;
        let mut at = gap.start;
        for _ in 0..EAGER_TRANSLATIONS {
            if at >= gap.end {
                break;
            }
            let Some((object, offset)) = vma.object_at(at) else { break };
            // Beyond the end of the object there is nothing to map; a fault will find out.
            let Some(found) = object.translate_now(offset, gap.end.0 - at.0) else { break };
            let piece = UserRange::new(at, found.len.min(gap.end.0 - at.0))?;
            if copy {
                self.add_copy(vma, piece, found)?
            } else {
                self.add_translation(vma, piece, found)
            }
            at = piece.end;
        }
        Ok(())
    }

    /// Makes all of `range` be there as far as it can be, as MAP_POPULATE does: failures are for later faults.
    pub(super) fn populate(&mut self, range: UserRange) {
        let mut at = range.start;
        while at < range.end {
            let Some(vma) = self.space.vmas.at_or_above(at) else { return };
            let (start, end, prot) = (vma.range.start.max(at), vma.range.end.min(range.end), vma.prot);
            let write = prot.write && !vma.shared();
            at = end;
            if !prot.is_none() && start < end {
                let mut page = start;
                while page < end {
                    if self.resolve(page, write, false).is_err() {
                        break;
                    }
                    page = self.space.pages.find(page).map_or(end, |piece| piece.range.end);
                }
            }
        }
    }

    /// Brings the page at `addr` of `vma`, which has no piece.
    pub(super) fn fetch(&mut self, vma: &Vma, addr: UserAddr, write: bool) -> Result<()> {
        let page = addr.page_down();
        let Some((object, offset)) = vma.object_at(page) else {
            let start = UserAddr(addr.0 / SPARSE_PIECE * SPARSE_PIECE);
            let around = UserRange::new(start, SPARSE_PIECE)?.intersect(vma.range).ok_or(Errno::EFAULT)?;
            let gaps = self.space.pages.gaps(around);
            let gap = gaps.into_iter().find(|gap| gap.contains(addr)).ok_or(Errno::EFAULT)?;
            return self.add_zeroes(vma.prot, gap);
        };
        let limit = self.space.pages.above(page).map_or(vma.range.end, |next| next.range.start.min(vma.range.end));
        let len = (limit.0 - page.0).min(OBJECT_PIECE);
        let found = object.translate(offset, len, write && vma.shared())?;
        let range = UserRange::new(page, found.len.min(len))?;
        if range.is_empty() {
            return err(Errno::EFAULT);
        }
        self.add_translation(vma, range, found);
        Ok(())
    }

    /// Asks the object again for the page at `addr`, whose piece may not be written.
    pub(super) fn fetch_writable(&mut self, vma: &Vma, addr: UserAddr) -> Result<()> {
        let page = addr.page_down();
        let (object, offset) = vma.object_at(page).ok_or(Errno::EFAULT)?;
        let len = (vma.range.end.0 - page.0).min(OBJECT_PIECE);
        let found = object.translate(offset, len, true)?;
        if !found.writable || found.len == 0 {
            return err(Errno::EFAULT);
        }
        let range = UserRange::new(page, found.len.min(len))?;
        for old in self.space.pages.remove(range) {
            self.batch.bury(old);
        }
        self.add_translation(vma, range, found);
        Ok(())
    }

    /// Fresh memory for `range`, which has none.
    pub(super) fn add_zeroes(&mut self, prot: Prot, range: UserRange) -> Result<()> {
        let memory = self.allocate(range)?;
        self.add_piece(prot, range, Source::Own(memory), true);
        Ok(())
    }

    /// A copy of what an object has, for a private mapping.
    fn add_copy(&mut self, vma: &Vma, range: UserRange, found: Translation) -> Result<()> {
        let memory = self.allocate(range)?;
        self.source_of(found, false).copy_to(&self.mm.memfile, 0, &memory)?;
        self.add_piece(vma.prot, range, Source::Own(memory), true);
        Ok(())
    }

    fn add_translation(&mut self, vma: &Vma, range: UserRange, found: Translation) {
        let through = vma.shared() && found.writable;
        let source = self.source_of(found, through && vma.max.write);
        self.add_piece(vma.prot, range, source, through);
    }

    fn source_of(&self, found: Translation, writable: bool) -> Source {
        if Arc::ptr_eq(&found.file, self.mm.memfile.file()) {
            Source::Borrowed(found.offset)
        } else {
            Source::host(found.file, found.offset, writable)
        }
    }

    /// Adds a piece of an area with protection `prot`, and maps it.
    pub(super) fn add_piece(&mut self, prot: Prot, range: UserRange, source: Source, write_through: bool) {
        let mut piece = Piece { range, source, prot, write_through, reserve: None };
        piece.prot = piece.allowed(prot);
        let (file, offset) = piece.source.place(&self.mm.memfile);
        self.batch.map(range, file, offset, piece.prot);
        self.space.pages.insert(piece);
    }

    /// A range of the memory file for `range`, next to that of its neighbours if possible.
    pub(super) fn allocate(&mut self, range: UserRange) -> Result<MemRange> {
        let memfile = &self.mm.memfile;
        let len = range.len();
        let memory = match self.offset_beside(range) {
            Some(offset) => memfile.allocate_near(len, Some(offset))?,
            None => memfile.allocate_near(len, self.space.near.filter(|_| len < NEAR))?,
        };
        if len < NEAR {
            self.space.near = Some((memory.end() + ROOM).next_multiple_of(PAGE_SIZE));
        }
        Ok(memory)
    }

    /// The offset that continues a neighbour of `range`, whether or not there is a gap between.
    fn offset_beside(&self, range: UserRange) -> Option<u64> {
        let own = |piece: &Piece| match &piece.source {
            Source::Own(memory) => Some(memory.offset()),
            _ => None,
        };
        let pages = &self.space.pages;
        let above = pages.above(range.start).filter(|piece| piece.range.start.0 - range.end.0 < NEAR);
        if let Some(piece) = above
            && let Some(offset) = own(piece)
        {
            return offset.checked_sub(piece.range.start.0 - range.start.0);
        }
        let below = pages.below(range.start).filter(|piece| range.start.0 - piece.range.end.0 < NEAR)?;
        Some(own(below)? + (range.start.0 - below.range.start.0))
    }
}

impl Source {
    /// Copies `to.len()` bytes from `at` on to a fresh range; what is not there stays zero.
    pub(super) fn copy_to(&self, memfile: &super::memfile::MemFile, at: u64, to: &MemRange) -> Result<()> {
        let (file, offset) = self.place(memfile);
        let from = offset + at;
        if let Self::Host(_) = self {
            return read_file(file, from, to);
        }
        let mut result = Ok(());
        // Holes stay holes; and what is written by the host's write needs no fault for each page.
        memfile.for_data(from, to.len(), &mut |start, len| {
            if result.is_ok() {
                result = write_pages(memfile, start, to.offset() + (start - from), len);
            }
        });
        result
    }
}

fn write_pages(memfile: &super::memfile::MemFile, from: u64, to: u64, len: u64) -> Result<()> {
    let mut done = 0;
    while done < len {
        let left = usize::try_from(len - done).map_err(|_| Errno::ENOMEM)?;
        match memfile.slice(from + done, left).write_fd(memfile.file().as_fd(), Some(to + done)) {
            Ok(n) if n > 0 => done += n as u64,
            Err(Errno::EINTR) => {}
            _ => return err(Errno::ENOMEM),
        }
    }
    Ok(())
}

fn read_file(file: &Arc<std::os::fd::OwnedFd>, from: u64, to: &MemRange) -> Result<()> {
    let mut done = 0;
    while done < to.len() {
        let left = usize::try_from(to.len() - done).map_err(|_| Errno::ENOMEM)?;
        match to.slice(done, left).read_fd(file.as_fd(), Some(from + done)) {
            // A short read is the end of the file.
            Ok(n) if n < left => break,
            Ok(n) => done += n as u64,
            Err(Errno::EINTR) => {}
            Err(e) => return err(e),
        }
    }
    Ok(())
}
