//! Memory of page tables, and the pages that all address spaces have.
//!
//! A host without nested paging (a paravirtual one always) keeps shadows of guest page tables, and does not see what we write
//! to a table: entries may be added, but one that the guest has used stays as it was until the memory behind it is
//! forgotten ([`host::mapping::Mapping::forget`]). For an entry that leads to another table there is nothing to forget.
//! So a table keeps its place as long as its address space lives, and serves another only after the machine was told to
//! drop all it knows.
//!
//! Locks: the list of free tables, under which the machine's slots are changed.

use std::sync::atomic::{AtomicU64, Ordering};

use abi::{Errno, PAGE_SIZE};
use host::shared_pages::SharedPages;
use kvm_ioctls::VmFd;
use parking_lot::Mutex;

use super::slots::{self, Region};
use super::text::Page;
use crate::traits::PlatformError;

/// All that tables may use, enough for half a TiB of touched memory.
const LEN: u64 = 1 << 30;
/// How much of it becomes guest memory at once.
const CHUNK: u64 = 4 << 20;
/// Left tables that wait to be used again, together.
const MANY_LEFT: usize = 1024;

#[derive(Debug)]
pub(super) struct Arena {
    pages: SharedPages,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Where nothing was used yet.
    fresh: u64,
    /// How much is guest memory.
    present: u64,
    free: Vec<u64>,
    /// Tables of address spaces that are gone, of which the machine may still have shadows.
    left: Vec<u64>,
}

impl Arena {
    pub(super) fn new() -> Result<Self, Errno> {
        let pages = SharedPages::new("page-tables", LEN as usize)?;
        Ok(Self { pages, state: Mutex::default() })
    }

    /// A new table, all zero. Returns its guest address.
    pub(super) fn table(&self, vm: &VmFd) -> Result<u64, PlatformError> {
        let mut state = self.state.lock();
        if state.free.is_empty() && state.left.len() >= MANY_LEFT {
            slots::drop_shadows(vm)?;
            state.free = std::mem::take(&mut state.left);
        }
        if let Some(table) = state.free.pop() {
            (0..512).for_each(|index| self.entry(table, index).store(0, Ordering::Relaxed));
            return Ok(table);
        }
        let table = state.fresh;
        if table == state.present {
            if state.present == LEN {
                return Err(crate::stub::host_error("memory for page tables", Errno::ENOMEM));
            }
            let slot = slots::FIRST_TABLE + (state.present / CHUNK) as u32;
            let address = self.pages.address() + state.present;
            slots::set(vm, slot, Region { guest: table, len: CHUNK, address, read_only: false })?;
            state.present += CHUNK;
        }
        state.fresh += PAGE_SIZE;
        Ok(table)
    }

    /// Tables of an address space that is gone.
    pub(super) fn give_back(&self, tables: &[u64]) {
        self.state.lock().left.extend_from_slice(tables);
    }

    /// A new page with these words.
    pub(super) fn page(&self, vm: &VmFd, words: &Page) -> Result<u64, PlatformError> {
        let page = self.table(vm)?;
        self.fill(page, words);
        Ok(page)
    }

    /// Overwrites a page.
    pub(super) fn fill(&self, page: u64, words: &Page) {
        words.iter().zip(0..).for_each(|(word, index)| self.entry(page, index).store(*word, Ordering::Relaxed));
    }

    /// A word of a page that [`Self::table`] gave out.
    pub(super) fn entry(&self, table: u64, index: usize) -> &AtomicU64 {
        self.pages.long(table as usize + index % 512 * 8)
    }
}
