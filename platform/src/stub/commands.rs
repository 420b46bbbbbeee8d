//! Command pages: a page for each stub process that tells it what to do. Stubs can only read theirs.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use host::shared_pages::SharedPages;
use parking_lot::Mutex;

use super::host_error;
use crate::traits::PlatformError;

/// How many there can be at a time. The pages take memory only where used.
const SLOTS: u32 = 1 << 15;
const PAGE: usize = abi::PAGE_SIZE as usize;

/// Bytes of a record: a system call number and six arguments, then padding.
pub(crate) const RECORD: u64 = 64;

/// A call for a stub to make: number and arguments.
pub(crate) type Record = [u64; 7];

/// All command pages.
#[derive(Debug)]
pub(crate) struct CommandPages {
    pages: SharedPages,
    free: Mutex<FreeSlots>,
}

#[derive(Debug)]
struct FreeSlots {
    returned: Vec<u32>,
    next: u32,
}

/// One of them. It is cleared and given back when dropped.
#[derive(Debug)]
pub(crate) struct CommandPage {
    all: Arc<CommandPages>,
    slot: u32,
}

impl CommandPages {
    pub(super) fn new() -> Result<Self, PlatformError> {
        let pages =
            SharedPages::new("stub-commands", SLOTS as usize * PAGE).map_err(|e| host_error("command pages", e))?;
        Ok(Self { pages, free: Mutex::new(FreeSlots { returned: Vec::new(), next: 0 }) })
    }

    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.pages.file()
    }

    /// A page that nobody else uses, all zero.
    pub(super) fn take(self: &Arc<Self>) -> Option<CommandPage> {
        let mut free = self.free.lock();
        let slot = free.returned.pop().or_else(|| {
            let slot = Some(free.next).filter(|next| *next < SLOTS)?;
            free.next += 1;
            Some(slot)
        })?;
        Some(CommandPage { all: Arc::clone(self), slot })
    }
}

impl CommandPage {
    /// Its number, by which the zygote knows it.
    pub(super) fn slot(&self) -> u32 {
        self.slot
    }

    /// The file of the page, and where in it the page is.
    pub(crate) fn place(&self) -> (BorrowedFd<'_>, u64) {
        (self.all.file(), u64::from(self.slot) * abi::PAGE_SIZE)
    }

    /// Writes a word at an offset in the page.
    pub(crate) fn write(&self, offset: usize, word: u64) {
        assert!(offset < PAGE, "a word lies in its page");
        self.all.pages.long(self.slot as usize * PAGE + offset).store(word, Ordering::Relaxed);
    }

    /// A word for futexes.
    pub(crate) fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset < PAGE, "a word lies in its page");
        self.all.pages.word(self.slot as usize * PAGE + offset)
    }

    /// Writes a record, at an offset in the page.
    pub(crate) fn write_record(&self, offset: usize, record: &Record) {
        for (i, word) in record.iter().enumerate() {
            self.write(offset + i * 8, *word);
        }
    }

    /// Zeroes the page from an offset on, so that the next application in this process cannot read what was done for the
    /// last one.
    pub(crate) fn clear(&self, from: usize) {
        (from..PAGE).step_by(8).for_each(|offset| self.write(offset, 0));
    }
}

impl Drop for CommandPage {
    fn drop(&mut self) {
        self.clear(0);
        self.all.free.lock().returned.push(self.slot);
    }
}
