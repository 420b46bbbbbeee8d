//! The page tables of one address space.
//!
//! Tables are only added; see [`super::arena`] for why.

use std::sync::atomic::{AtomicU64, Ordering};

use abi::{UserAddr, UserRange};

use super::layout;
use super::machine::Machine;
use crate::traits::{PlatformError, Prot};

/// What a table of the last level maps.
pub(super) const BLOCK: u64 = 1 << 21;

const PRESENT: u64 = 1;
const WRITE: u64 = 2;
const USER: u64 = 4;
/// Set from the start, so that nobody has to.
const ACCESSED: u64 = 0x20;
const DIRTY: u64 = 0x40;
const NO_EXEC: u64 = 1 << 63;
/// The address in an entry.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// An entry of a table of the last level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaf(u64);

impl Leaf {
    pub(super) const NONE: Self = Self(0);

    /// Maps the page at a guest address.
    pub(super) const fn new(guest: u64, prot: Prot) -> Self {
        if prot.is_none() {
            return Self::NONE;
        }
        let write = if prot.write { WRITE | DIRTY } else { 0 };
        let exec = if prot.exec { 0 } else { NO_EXEC };
        Self(guest | PRESENT | USER | ACCESSED | write | exec)
    }

    /// A page of ours.
    pub(super) const fn ours(guest: u64, user: bool, write: bool, exec: bool) -> Self {
        let rights = Self::new(guest, Prot { read: true, write, exec });
        if user { rights } else { Self(rights.0 & !USER) }
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    pub(super) const fn is_present(self) -> bool {
        self.0 & PRESENT != 0
    }

    pub(super) const fn guest(self) -> u64 {
        self.0 & ADDRESS
    }

    /// Whether whoever follows `self` may do more than `new` allows, or reaches another page.
    pub(super) const fn is_more_than(self, new: Self) -> bool {
        self.is_present()
            && (!new.is_present()
                || self.guest() != new.guest()
                || self.0 & WRITE > new.0 & WRITE
                || self.0 & NO_EXEC < new.0 & NO_EXEC)
    }
}

/// The tables.
#[derive(Debug)]
pub(super) struct Tree {
    root: u64,
    tables: Vec<u64>,
}

impl Tree {
    /// Nothing mapped but our own pages.
    pub(super) fn new(machine: &Machine) -> Result<Self, PlatformError> {
        let root = machine.arena.table(&machine.vm)?;
        let mut tree = Self { root, tables: vec![root] };
        let entry = tree.lead(machine, layout::BASE)?;
        let to = machine.shared_table() | PRESENT | WRITE | USER | ACCESSED;
        machine.arena.entry(entry.0, entry.1).store(to, Ordering::Release);
        Ok(tree)
    }

    /// Its guest address.
    pub(super) const fn root(&self) -> u64 {
        self.root
    }

    /// All its tables.
    pub(super) fn tables(&self) -> &[u64] {
        &self.tables
    }

    /// The table of the last level for an address, if there is one; otherwise where to look next.
    pub(super) fn find(&self, machine: &Machine, at: u64) -> Result<u64, u64> {
        let mut table = self.root;
        for shift in [39, 30, 21] {
            let entry = machine.arena.entry(table, index(at, shift)).load(Ordering::Relaxed);
            if entry & PRESENT == 0 {
                return Err((at >> shift) + 1 << shift);
            }
            table = entry & ADDRESS;
        }
        Ok(table)
    }

    /// The same; it is made if there is none.
    pub(super) fn find_or_make(&mut self, machine: &Machine, at: u64) -> Result<u64, PlatformError> {
        let (table, index) = self.lead(machine, at)?;
        self.follow(machine, table, index)
    }

    /// The entry that leads to the table of the last level.
    fn lead(&mut self, machine: &Machine, at: u64) -> Result<(u64, usize), PlatformError> {
        let mut table = self.root;
        for shift in [39, 30] {
            table = self.follow(machine, table, index(at, shift))?;
        }
        Ok((table, index(at, 21)))
    }

    fn follow(&mut self, machine: &Machine, table: u64, index: usize) -> Result<u64, PlatformError> {
        let entry = machine.arena.entry(table, index);
        let there = entry.load(Ordering::Relaxed);
        if there & PRESENT != 0 {
            return Ok(there & ADDRESS);
        }
        let new = machine.arena.table(&machine.vm)?;
        self.tables.push(new);
        entry.store(new | PRESENT | WRITE | USER | ACCESSED, Ordering::Release);
        Ok(new)
    }
}

/// The entry for an address in a table of the last level.
pub(super) fn leaf(machine: &Machine, table: u64, at: u64) -> &AtomicU64 {
    machine.arena.entry(table, index(at, 12))
}

/// What an entry says.
pub(super) fn load(entry: &AtomicU64) -> Leaf {
    Leaf(entry.load(Ordering::Relaxed))
}

/// The block of an address.
pub(super) fn block(at: u64) -> UserRange {
    let start = at / BLOCK * BLOCK;
    UserRange::between(UserAddr(start), UserAddr(start + BLOCK))
}

const fn index(at: u64, shift: u32) -> usize {
    (at >> shift) as usize & 511
}
