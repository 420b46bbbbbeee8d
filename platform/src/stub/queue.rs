//! Changes of an address space that its stubs have not made yet.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use abi::{Errno, UserAddr, UserRange};

use super::commands::Record;
use super::ranges::RangeSet;
use crate::traits::{MapOp, Prot};

/// The queue, and what will be mapped when all of it is done.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Where the application's addresses end.
    end: UserAddr,
    changes: Vec<Change>,
    mapped: RangeSet,
}

#[derive(Debug)]
enum Change {
    Map { at: UserAddr, len: u64, file: Arc<OwnedFd>, offset: u64, prot: Prot },
    Unmap(UserRange),
    Protect(UserRange, Prot),
}

impl Queue {
    pub(crate) fn new(end: UserAddr) -> Self {
        Self { end, changes: Vec::new(), mapped: RangeSet::default() }
    }

    /// Adds a change. Returns whether it takes something away that application code may be using.
    pub(crate) fn push(&mut self, op: MapOp<'_>) -> Result<bool, Errno> {
        match op {
            MapOp::Map { at, len, file, offset, prot } => {
                let range = self.checked(UserRange::new(at, len).map_err(|_| Errno::EINVAL)?)?;
                if !offset.is_multiple_of(abi::PAGE_SIZE) || offset.checked_add(len).is_none() {
                    return Err(Errno::EINVAL);
                }
                if range.is_empty() {
                    return Ok(false);
                }
                let replaces = self.mapped.insert(range);
                self.push_map(at, len, file, offset, prot);
                Ok(replaces)
            }
            MapOp::Unmap(range) => {
                let range = self.checked(range)?;
                Ok(self.push_unmap(range))
            }
            MapOp::Protect(range, prot) => {
                let range = self.checked(range)?;
                Ok(self.push_protect(range, prot))
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The calls that make all changes.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.changes.iter().map(Change::record).collect()
    }

    /// All changes were made, or never will be.
    pub(crate) fn clear(&mut self) {
        self.changes.clear();
        self.changes.shrink_to(64);
    }

    /// A stub's own pages stay out of reach, whatever the memory manager asks for.
    fn checked(&self, range: UserRange) -> Result<UserRange, Errno> {
        let aligned = range.start.is_page_aligned() && range.end.is_page_aligned();
        if aligned && range.end <= self.end { Ok(range) } else { Err(Errno::EINVAL) }
    }

    fn push_map(&mut self, at: UserAddr, len: u64, file: &Arc<OwnedFd>, offset: u64, prot: Prot) {
        if let Some(Change::Map { at: last, len: last_len, file: last_file, offset: last_offset, prot: last_prot }) =
            self.changes.last_mut()
            && last.wrapping_add(*last_len) == at
            && last_offset.wrapping_add(*last_len) == offset
            && Arc::ptr_eq(last_file, file)
            && *last_prot == prot
        {
            *last_len += len;
        } else {
            self.changes.push(Change::Map { at, len, file: Arc::clone(file), offset, prot });
        }
    }

    fn push_unmap(&mut self, range: UserRange) -> bool {
        let Some(range) = self.mapped.pieces(range).reduce(|all, piece| UserRange { end: piece.end, ..all }) else {
            return false;
        };
        self.mapped.remove(range);
        match self.changes.last_mut() {
            Some(Change::Unmap(last)) if last.end == range.start => last.end = range.end,
            Some(Change::Unmap(last)) if last.start == range.end => last.start = range.start,
            _ => self.changes.push(Change::Unmap(range)),
        }
        true
    }

    fn push_protect(&mut self, range: UserRange, prot: Prot) -> bool {
        let before = self.changes.len();
        for piece in self.mapped.pieces(range) {
            match self.changes.last_mut() {
                Some(Change::Protect(last, last_prot)) if last.end == piece.start && *last_prot == prot => {
                    last.end = piece.end;
                }
                Some(Change::Protect(last, last_prot)) if *last == piece && *last_prot == prot => {}
                _ => self.changes.push(Change::Protect(piece, prot)),
            }
        }
        self.changes.len() > before || self.mapped.pieces(range).next().is_some()
    }
}

impl Change {
    fn record(&self) -> Record {
        let (nr, args) = match self {
            Self::Map { at, len, file, offset, prot } => {
                let flags = (libc::MAP_SHARED | libc::MAP_FIXED) as u64;
                (libc::SYS_mmap, [at.0, *len, bits(*prot), flags, file.as_raw_fd() as u64, *offset])
            }
            Self::Unmap(range) => (libc::SYS_munmap, [range.start.0, range.len(), 0, 0, 0, 0]),
            Self::Protect(range, prot) => (libc::SYS_mprotect, [range.start.0, range.len(), bits(*prot), 0, 0, 0]),
        };
        let [a, b, c, d, e, f] = args;
        [nr as u64, a, b, c, d, e, f]
    }
}

/// The call that takes away everything an application may have mapped.
pub(crate) fn unmap_all(end: UserAddr) -> Record {
    Change::Unmap(UserRange::between(UserAddr::NULL, end)).record()
}

const fn bits(prot: Prot) -> u64 {
    let mut bits = libc::PROT_NONE;
    if prot.read {
        bits |= libc::PROT_READ;
    }
    if prot.write {
        bits |= libc::PROT_WRITE;
    }
    if prot.exec {
        bits |= libc::PROT_EXEC;
    }
    bits as u64
}
