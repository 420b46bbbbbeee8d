//! What can be mapped, and who has mapped it.
//!
//! A file system implements [`Mappable`] for the data of an inode. Truncation: the file system first makes
//! [`Mappable::translate`] refuse the pages that go away, then calls [`Mappings::invalidate`] or [`Mappings::cut`] without holding any lock of
//! level `Mm` or above, and only then frees the pages: a page fault either sees the new size or is undone.
//!
//! Locks: `Mappings`, a leaf here; `invalidate` takes `Mm` of one address space after the other, holding nothing else.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use sync::Mutex;

use super::MemoryManager;
use crate::error::Result;
use crate::lock_order;

/// Something that can be mapped: the data of an inode. Implemented by the file systems.
pub trait Mappable: Send + Sync + Debug {
    /// Where the bytes `offset..offset+len` (page aligned) of the object are, for the given access: a host file and the
    /// range in it; at least one page, at most `len`, contiguous. SIGBUS (`Errno::EFAULT`) beyond the end of the object,
    /// which is that of the page with its last byte.
    /// For a write to shared memory the pages are allocated. The host range stays valid until the object calls
    /// [`Mappings::invalidate`] for it.
    ///
    /// Called with the address space locked: no lock below `Mm` may be taken, nor application memory be touched.
    fn translate(&self, offset: u64, len: u64, write: bool) -> Result<Translation>;

    /// As [`Self::translate`] to read, but only what can be told without input, output or allocation; `None` leaves it to
    /// page faults. Asked when the object is mapped.
    fn translate_now(&self, offset: u64, len: u64) -> Option<Translation> {
        self.translate(offset, len, false).ok()
    }

    /// Where the object keeps who has mapped it.
    fn mappings(&self) -> &Mappings;

    /// Whether a shared mapping may ever be written; EPERM for a memfd that is sealed against it. Asked once the mapping
    /// counts in [`Mappings::any_writable_shared`].
    fn allow_shared_write(&self) -> Result<()> {
        Ok(())
    }

    /// A System V segment's length in bytes; `None` for anything else.
    fn segment_len(&self) -> Option<u64> {
        None
    }

    /// Whether it is memory of memfd_secret(2).
    fn is_secret(&self) -> bool {
        false
    }

    /// A mapping of the object is gone. Called with the address space locked, as [`Self::translate`].
    fn unmapped(&self) {}
}

/// A piece of a host file that backs a piece of an object.
#[derive(Clone, Debug)]
pub struct Translation {
    /// The memory file or a donated file.
    pub file: Arc<OwnedFd>,
    /// Where in `file`.
    pub offset: u64,
    /// How many bytes from there on belong to the object: whole pages.
    pub len: u64,
    /// Whether `file` may be mapped writable there.
    pub writable: bool,
}

/// Which address spaces have mapped an object, so that truncation can take pages away from them.
#[derive(Debug)]
pub struct Mappings {
    id: u64,
    /// By address of the memory manager: it, and how many mappings it has.
    users: Mutex<BTreeMap<usize, (Weak<MemoryManager>, usize)>, lock_order::Mappings>,
    writable_shared: AtomicUsize,
}

impl Default for Mappings {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            users: Mutex::new(BTreeMap::new()),
            writable_shared: AtomicUsize::new(0),
        }
    }
}

impl Mappings {
    /// A number that no other object has, for shared futexes.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Takes the host mappings of `offset..offset+len` away from every address space; they come back by faults. Private
    /// copies stay. No lock of level `Mm` or above may be held.
    pub fn invalidate(&self, offset: u64, len: u64) {
        self.take_away(offset, len, false);
    }

    /// The same for what lies behind the object's new end, from a page's start on: there the private copies go as well.
    pub fn cut(&self, end: u64) {
        self.take_away(end, u64::MAX - end, true);
    }

    fn take_away(&self, offset: u64, len: u64, copies_too: bool) {
        let users: Vec<_> = self.users.lock().values().filter_map(|(mm, _)| mm.upgrade()).collect();
        for mm in users {
            mm.take_away(self, offset, len, copies_too);
        }
    }

    /// Whether anyone has mapped the object (shared, writable).
    #[must_use]
    pub fn any_writable_shared(&self) -> bool {
        self.writable_shared.load(Ordering::SeqCst) > 0
    }

    /// How many mappings there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.users.lock().values().map(|(_, count)| *count as u64).sum()
    }

    fn enter(&self, mm: &Weak<MemoryManager>, writable_shared: bool) {
        if writable_shared {
            self.writable_shared.fetch_add(1, Ordering::SeqCst);
        }
        let mut users = self.users.lock();
        users.entry(mm.as_ptr().addr()).or_insert_with(|| (mm.clone(), 0)).1 += 1;
    }

    fn leave(&self, mm: &Weak<MemoryManager>, writable_shared: bool) {
        if writable_shared {
            self.writable_shared.fetch_sub(1, Ordering::SeqCst);
        }
        let mut users = self.users.lock();
        let key = mm.as_ptr().addr();
        if let Some((_, count)) = users.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                users.remove(&key);
            }
        }
    }
}

/// A mapping's entry in the [`Mappings`] of its object, for as long as it lives. A clone is another mapping.
#[derive(Debug)]
pub(super) struct Registration {
    object: Arc<dyn Mappable>,
    mm: Weak<MemoryManager>,
    writable_shared: bool,
}

impl Registration {
    /// Enters a mapping of `mm`.
    pub(super) fn new(object: Arc<dyn Mappable>, mm: Weak<MemoryManager>, writable_shared: bool) -> Self {
        object.mappings().enter(&mm, writable_shared);
        Self { object, mm, writable_shared }
    }

    /// The same mapping in another address space.
    pub(super) fn for_mm(&self, mm: Weak<MemoryManager>) -> Self {
        Self::new(Arc::clone(&self.object), mm, self.writable_shared)
    }

    /// The object.
    pub(super) fn object(&self) -> &Arc<dyn Mappable> {
        &self.object
    }
}

impl Clone for Registration {
    fn clone(&self) -> Self {
        self.for_mm(self.mm.clone())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.object.mappings().leave(&self.mm, self.writable_shared);
        self.object.unmapped();
    }
}
