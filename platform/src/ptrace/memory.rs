//! The host memory of one application address space: its command page and the stubs in it that nobody uses now.

use std::os::fd::BorrowedFd;

use host::child;
use parking_lot::Mutex;

use crate::stub::commands::{CommandPage, RECORD, Record};
use crate::stub::pool::{Planner, StubProcess};
use crate::traits::PlatformError;

/// Records that fit a command page.
pub(super) const RECORDS: usize = (abi::PAGE_SIZE / RECORD) as usize;
/// More idle stubs than this are not worth keeping.
const MAX_PARKED: usize = 4;
/// How many of them stay when their memory goes to the pool.
const MAX_PARKED_IN_POOL: usize = 2;

/// Memory shared by a set of stubs. Dropping it kills the parked ones; the others hold a reference.
#[derive(Debug)]
pub(super) struct Memory {
    page: CommandPage,
    parked: Mutex<Vec<i32>>,
}

/// A stub needs no word in its command page to start.
#[derive(Debug)]
pub(super) struct NoPlan;

impl Planner for NoPlan {
    type Process = Memory;

    fn plan(&self, _page: &CommandPage) -> Result<(), PlatformError> {
        Ok(())
    }
}

impl StubProcess for Memory {
    type Plan = ();

    fn adopt(pid: i32, page: CommandPage, (): ()) -> Result<Self, PlatformError> {
        Ok(Self { page, parked: Mutex::new(vec![pid]) })
    }

    /// Kills idle stubs until few are left, and forgets all records.
    fn recycle(&self) -> bool {
        let mut parked = self.parked.lock();
        let from = parked.len().min(MAX_PARKED_IN_POOL);
        parked.drain(from..).for_each(child::kill_and_reap);
        self.page.clear(0);
        true
    }
}

impl Memory {
    /// The file of the command page, and where in it the page is.
    pub(super) fn command_page(&self) -> (BorrowedFd<'_>, u64) {
        self.page.place()
    }

    /// Writes a record of the command page. Only who may run a batch in this memory calls this.
    pub(super) fn write_record(&self, index: usize, record: &Record) {
        self.page.write_record(index * RECORD as usize, record);
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
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.parked.get_mut().drain(..).for_each(child::kill_and_reap);
    }
}
