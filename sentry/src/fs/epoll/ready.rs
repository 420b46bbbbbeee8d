//! The ready list of an epoll, and who waits for it.
//!
//! Items hold it, not their epoll, and wake-ups run with the wait queue of their source locked: were the epoll itself within
//! their reach, its last reference could be dropped there, and unregister from that very queue.
//!
//! Lock: `EpollReady`.

use std::collections::VecDeque;
use std::sync::Arc;

use abi::poll::{POLLIN, POLLRDNORM};
use sync::{Mutex, WaitQueue};

use super::item::Item;
use crate::lock_order;

/// Items whose files have news, oldest first.
#[derive(Debug, Default)]
pub(super) struct ReadyList {
    items: Mutex<VecDeque<Arc<Item>>, lock_order::EpollReady>,
    /// Readiness of the epoll.
    pub(super) queue: WaitQueue,
}

impl ReadyList {
    /// Queues an item, if it is not queued already or forgotten.
    pub(super) fn enqueue(&self, item: &Arc<Item>) {
        if item.set_queued() {
            self.items.lock().push_back(Arc::clone(item));
        }
    }

    /// Queues an item and wakes those who wait.
    pub(super) fn tell(&self, item: &Arc<Item>) {
        self.enqueue(item);
        self.queue.notify(POLLIN | POLLRDNORM);
    }

    /// Takes the oldest item, which may be queued again from now on.
    pub(super) fn pop(&self) -> Option<Arc<Item>> {
        let item = self.items.lock().pop_front()?;
        item.clear_queued();
        Some(item)
    }

    /// Takes an item off that was removed.
    pub(super) fn remove(&self, item: &Item) {
        let mut items = self.items.lock();
        let at = items.iter().position(|other| std::ptr::eq(&raw const **other, item));
        let removed = at.and_then(|at| items.remove(at));
        drop(items);
        drop(removed);
    }

    pub(super) fn len(&self) -> usize {
        self.items.lock().len()
    }

    /// The items, to look at.
    pub(super) fn snapshot(&self) -> Vec<Arc<Item>> {
        self.items.lock().iter().cloned().collect()
    }

    /// Takes everything off. Items hold this list: without this they would keep it, and it them.
    pub(super) fn clear(&self) {
        let items = std::mem::take(&mut *self.items.lock());
        drop(items);
    }
}
