//! One watched file of an epoll.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use abi::epoll::EPOLLEXCLUSIVE;
use abi::poll::{POLLERR, POLLHUP};
use sync::{Mutex, WaitId, WaitQueue, Wake};

use super::ready::ReadyList;
use super::{Epoll, wanted};
use crate::lock_order::Leaf;
use crate::vfs::File;
use crate::vfs::file::CloseHook;

/// A bit that no event uses: a one-shot item has fired and waits for EPOLL_CTL_MOD.
pub(super) const DISARMED: u32 = 1 << 27;

/// What an item is found by: descriptors are reused, so the description counts too.
#[derive(Clone, Debug)]
pub(super) struct Key {
    fd: i32,
    /// Keeps the allocation, hence the address, from being used for another description.
    file: Weak<File>,
}

impl Key {
    pub(super) fn new(fd: i32, file: &Arc<File>) -> Self {
        Self { fd, file: Arc::downgrade(file) }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.fd == other.fd && Weak::ptr_eq(&self.file, &other.file)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fd.hash(state);
        self.file.as_ptr().hash(state);
    }
}

/// A registration. It does not keep its file open.
#[derive(Debug)]
pub(super) struct Item {
    this: Weak<Self>,
    epoll: Weak<Epoll>,
    ready: Arc<ReadyList>,
    key: Key,
    /// Whether the file is an epoll itself.
    pub(super) nested: bool,
    /// Events asked for, with EPOLLET and the like.
    interest: AtomicU32,
    data: AtomicU64,
    /// Whether it is on the ready list, or never will be again.
    queued: AtomicBool,
    forgotten: AtomicBool,
    wait_id: Mutex<Option<WaitId>, Leaf>,
}

impl Item {
    pub(super) fn new(epoll: &Epoll, key: Key, file: &File, events: u32, data: u64) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            epoll: Weak::clone(&epoll.this),
            ready: Arc::clone(&epoll.ready),
            key,
            nested: file.ops_as::<Epoll>().is_some(),
            interest: AtomicU32::new(events & !DISARMED),
            data: AtomicU64::new(data),
            queued: AtomicBool::new(false),
            forgotten: AtomicBool::new(false),
            wait_id: Mutex::new(None),
        })
    }

    /// Starts to listen: for everything, because EPOLL_CTL_MOD may ask for other events later.
    pub(super) fn listen(self: &Arc<Self>, queue: &WaitQueue) {
        let wake = Arc::clone(self) as Arc<dyn Wake>;
        let id = if self.interest().0 & EPOLLEXCLUSIVE != 0 {
            queue.register_exclusive(wanted(self.interest().0), wake)
        } else {
            queue.register(u32::MAX, wake)
        };
        *self.wait_id.lock() = Some(id);
    }

    /// Stops listening. It does not get onto the ready list any more.
    pub(super) fn forget(&self, file: &File) {
        self.forgotten.store(true, Ordering::SeqCst);
        let id = self.wait_id.lock().take();
        if let (Some(queue), Some(id)) = (file.ops().wait_queue(), id) {
            queue.unregister(id);
        }
        if let Some(inner) = file.ops_as::<Epoll>() {
            inner.outer.remove(&self.epoll);
        }
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn file(&self) -> Option<Arc<File>> {
        self.key.file.upgrade()
    }

    pub(super) fn interest(&self) -> (u32, u64) {
        (self.interest.load(Ordering::SeqCst), self.data.load(Ordering::SeqCst))
    }

    pub(super) fn set_interest(&self, events: u32, data: u64) {
        self.data.store(data, Ordering::SeqCst);
        self.interest.store(events & !DISARMED, Ordering::SeqCst);
    }

    pub(super) fn disarm(&self) {
        self.interest.fetch_or(DISARMED, Ordering::SeqCst);
    }

    /// Marks it as queued; false if it was already, or is forgotten.
    pub(super) fn set_queued(&self) -> bool {
        !self.forgotten.load(Ordering::SeqCst) && !self.queued.swap(true, Ordering::SeqCst)
    }

    pub(super) fn clear_queued(&self) {
        self.queued.store(false, Ordering::SeqCst);
    }

    pub(super) fn fdinfo(&self) -> String {
        let (events, data) = self.interest();
        format!("tfd: {:8} events: {events:8x} data: {data:16x}\n", self.key.fd)
    }
}

impl Wake for Item {
    fn wake(&self, events: u32) {
        if events & (wanted(self.interest().0) | POLLERR | POLLHUP) == 0 || self.interest().0 & DISARMED != 0 {
            return;
        }
        if let Some(this) = self.this.upgrade() {
            self.ready.tell(&this);
        }
    }
}

impl CloseHook for Item {
    fn closed(&self, file: &File) {
        self.forget(file);
        if let Some(epoll) = self.epoll.upgrade() {
            epoll.item_is_closed(self);
        }
    }
}
