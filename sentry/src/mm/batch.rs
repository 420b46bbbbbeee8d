//! Changes for the platform, collected over one operation, and what may be freed once they are made.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use abi::{UserAddr, UserRange};
use platform::{AddressSpace, MapOp, Prot};

use super::pages::Piece;
use super::vma::Vma;
use crate::error::Result;

/// One operation's changes. Neighbouring ones become one.
#[derive(Debug, Default)]
pub(super) struct Batch {
    ops: Vec<Op>,
    /// Memory that the application may still reach until the changes are made.
    pieces: Vec<Piece>,
    /// Areas whose files must not be closed while the address space is locked.
    areas: Vec<Vma>,
}

#[derive(Debug)]
enum Op {
    Map { range: UserRange, file: Arc<OwnedFd>, offset: u64, prot: Prot },
    Unmap(UserRange),
    Protect(UserRange, Prot),
}

impl Batch {
    pub(super) fn map(&mut self, range: UserRange, file: &Arc<OwnedFd>, offset: u64, prot: Prot) {
        match self.ops.last_mut() {
            // Mapping replaces what was there.
            Some(Op::Unmap(old)) if range.contains_range(*old) => {
                self.ops.pop();
                return self.map(range, file, offset, prot);
            }
            Some(Op::Map { range: last, file: last_file, offset: last_offset, prot: last_prot })
                if last.end == range.start
                    && *last_prot == prot
                    && *last_offset + last.len() == offset
                    && Arc::ptr_eq(last_file, file) =>
            {
                last.end = range.end;
                return;
            }
            _ => {}
        }
        self.ops.push(Op::Map { range, file: Arc::clone(file), offset, prot });
    }

    pub(super) fn unmap(&mut self, range: UserRange) {
        if let Some(Op::Unmap(last)) = self.ops.last_mut()
            && last.end == range.start
        {
            last.end = range.end;
            return;
        }
        self.ops.push(Op::Unmap(range));
    }

    pub(super) fn protect(&mut self, range: UserRange, prot: Prot) {
        if let Some(Op::Protect(last, last_prot)) = self.ops.last_mut()
            && last.end == range.start
            && *last_prot == prot
        {
            last.end = range.end;
            return;
        }
        self.ops.push(Op::Protect(range, prot));
    }

    /// Frees a piece once the changes are made.
    pub(super) fn bury(&mut self, piece: Piece) {
        self.pieces.push(piece);
    }

    /// Drops areas once the address space is unlocked.
    pub(super) fn bury_areas(&mut self, areas: Vec<Vma>) {
        if self.areas.is_empty() {
            self.areas = areas;
        } else {
            self.areas.extend(areas);
        }
    }

    /// Adds the changes of a later operation.
    pub(super) fn absorb(&mut self, later: Self) {
        for op in later.ops {
            match op {
                Op::Map { range, file, offset, prot } => self.map(range, &file, offset, prot),
                Op::Unmap(range) => self.unmap(range),
                Op::Protect(range, prot) => self.protect(range, prot),
            }
        }
        self.pieces.extend(later.pieces);
        self.areas.extend(later.areas);
    }

    /// Whether the platform has nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Makes the changes. What was buried is dropped with `self`.
    pub(super) fn apply(&self, space: &dyn AddressSpace) -> Result<()> {
        const FEW: usize = 4;
        let empty = MapOp::Unmap(UserRange::between(UserAddr::NULL, UserAddr::NULL));
        match self.ops.len() {
            0 => Ok(()),
            // The usual few need no allocation.
            n @ 1..=FEW => {
                let mut ops = [empty; FEW];
                for (place, op) in ops.iter_mut().zip(&self.ops) {
                    *place = op.view();
                }
                Ok(space.update(&ops[..n])?)
            }
            _ => Ok(space.update(&self.ops.iter().map(Op::view).collect::<Vec<_>>())?),
        }
    }
}

impl Op {
    fn view(&self) -> MapOp<'_> {
        match self {
            Self::Map { range, file, offset, prot } => {
                MapOp::Map { at: range.start, len: range.len(), file, offset: *offset, prot: *prot }
            }
            Self::Unmap(range) => MapOp::Unmap(*range),
            Self::Protect(range, prot) => MapOp::Protect(*range, *prot),
        }
    }
}
