//! The host memory of one application address space: its command page and the stubs in it that nobody uses now.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use host::child;
use host::shared_pages::SharedPages;
use parking_lot::Mutex;

use super::{host_error, text};
use crate::traits::PlatformError;

/// How many memories there can be at a time. The pages take memory only where used.
const SLOTS: u32 = 1 << 15;
/// Records that fit a command page.
pub(super) const RECORDS: usize = (abi::PAGE_SIZE / text::RECORD) as usize;
/// More idle stubs than this are not worth keeping.
const MAX_PARKED: usize = 4;
/// How many of them stay when their memory goes to the pool.
const MAX_PARKED_IN_POOL: usize = 2;

/// A call for a stub to make: number and arguments.
pub(super) type Record = [u64; 7];

/// All command pages: a page of one file for each memory.
#[derive(Debug)]
pub(super) struct CommandPages {
    pages: SharedPages,
    free: Mutex<FreeSlots>,
}

#[derive(Debug)]
struct FreeSlots {
    returned: Vec<u32>,
    next: u32,
}

impl CommandPages {
    pub(super) fn new() -> Result<Self, PlatformError> {
        let len = SLOTS as usize * abi::PAGE_SIZE as usize;
        let pages = SharedPages::new("stub-commands", len).map_err(|e| host_error("command pages", e))?;
        Ok(Self { pages, free: Mutex::new(FreeSlots { returned: Vec::new(), next: 0 }) })
    }

    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.pages.file()
    }

    /// The number of a page that nobody else uses.
    pub(super) fn take_slot(&self) -> Option<u32> {
        let mut free = self.free.lock();
        free.returned.pop().or_else(|| {
            let slot = Some(free.next).filter(|next| *next < SLOTS)?;
            free.next += 1;
            Some(slot)
        })
    }
}

/// Memory shared by a set of stubs. Dropping it kills the parked ones; the others hold a reference.
#[derive(Debug)]
pub(super) struct Memory {
    commands: Arc<CommandPages>,
    slot: u32,
    parked: Mutex<Vec<i32>>,
}

impl Memory {
    /// Takes over a command page.
    pub(super) fn new(commands: &Arc<CommandPages>, slot: u32) -> Self {
        Self { commands: Arc::clone(commands), slot, parked: Mutex::new(Vec::new()) }
    }

    /// The file of the command page, and where in it the page is.
    pub(super) fn command_page(&self) -> (BorrowedFd<'_>, u64) {
        (self.commands.file(), u64::from(self.slot) * abi::PAGE_SIZE)
    }

    /// Writes a record of the command page. Only who may run a batch in this memory calls this.
    pub(super) fn write_record(&self, index: usize, record: &Record) {
        assert!(index < RECORDS, "a record lies in its page");
        let start = self.slot as usize * abi::PAGE_SIZE as usize + index * text::RECORD as usize;
        for (i, word) in record.iter().enumerate() {
            self.commands.pages.long(start + i * 8).store(*word, Ordering::Relaxed);
        }
    }

    /// Forgets all records, so that the next application in this memory cannot read what was done for the last one.
    pub(super) fn clear_records(&self) {
        (0..RECORDS).for_each(|index| self.write_record(index, &[0; 7]));
    }

    /// Adds an idle stub.
    pub(super) fn park(&self, stub: i32) {
        self.parked.lock().push(stub);
    }

    /// Whether another idle stub would be welcome.
    pub(super) fn has_room(&self) -> bool {
        self.parked.lock().len() < MAX_PARKED
    }

    /// Takes an idle stub.
    pub(super) fn unpark(&self) -> Option<i32> {
        self.parked.lock().pop()
    }

    /// Kills idle stubs until few are left.
    pub(super) fn trim(&self) {
        let mut parked = self.parked.lock();
        let from = parked.len().min(MAX_PARKED_IN_POOL);
        parked.drain(from..).for_each(child::kill_and_reap);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.parked.get_mut().drain(..).for_each(child::kill_and_reap);
        self.clear_records();
        self.commands.free.lock().returned.push(self.slot);
    }
}
