//! Who wants to hear of an event, and the event itself.
//!
//! Locks: the queue's own, a leaf but for what a [`Wake`] takes (a parker, an epoll's ready list).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

/// Something that listens on a [`WaitQueue`].
pub trait Wake: Send + Sync {
    /// Called with the events that happened, with the queue locked: it must neither block nor touch the queue.
    fn wake(&self, events: u32);
}

/// Names a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitId(u64);

/// A source of readiness: event masks are those of poll(2).
#[derive(Default)]
pub struct WaitQueue {
    /// Lets `notify` pass without the lock when nobody listens, which is the common case.
    len: AtomicUsize,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    next: u64,
    list: Vec<Entry>,
}

struct Entry {
    id: WaitId,
    mask: u32,
    exclusive: bool,
    wake: Arc<dyn Wake>,
}

impl WaitQueue {
    /// An empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self { len: AtomicUsize::new(0), entries: Mutex::new(Entries { next: 0, list: Vec::new() }) }
    }

    /// Listens for any event in `mask`.
    pub fn register(&self, mask: u32, wake: Arc<dyn Wake>) -> WaitId {
        self.add(mask, wake, false)
    }

    /// Listens like [`Self::register`], but one [`Self::notify`] wakes only the first exclusive listener.
    pub fn register_exclusive(&self, mask: u32, wake: Arc<dyn Wake>) -> WaitId {
        self.add(mask, wake, true)
    }

    fn add(&self, mask: u32, wake: Arc<dyn Wake>, exclusive: bool) -> WaitId {
        let mut entries = self.entries.lock();
        let id = WaitId(entries.next);
        entries.next += 1;
        entries.list.push(Entry { id, mask, exclusive, wake });
        self.len.store(entries.list.len(), Ordering::SeqCst);
        id
    }

    /// Stops listening.
    pub fn unregister(&self, id: WaitId) {
        let mut entries = self.entries.lock();
        entries.list.retain(|e| e.id != id);
        self.len.store(entries.list.len(), Ordering::SeqCst);
    }

    /// Tells everyone who listens for one of `events`; of the exclusive listeners only the first.
    pub fn notify(&self, events: u32) {
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.len.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut entries = self.entries.lock();
        let mut woken = None;
        for (at, entry) in entries.list.iter().enumerate() {
            if entry.mask & events != 0 && !(entry.exclusive && woken.is_some()) {
                entry.wake.wake(events);
                if entry.exclusive {
                    woken = Some(at);
                }
            }
        }
        // The next event goes to the next exclusive listener.
        if let Some(at) = woken {
            let entry = entries.list.remove(at);
            entries.list.push(entry);
        }
    }

    /// Whether somebody listens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len.load(Ordering::SeqCst) == 0
    }
}

impl fmt::Debug for WaitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WaitQueue({})", self.len.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::{WaitQueue, Wake};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[derive(Default)]
    struct Counter(AtomicU32);
    impl Wake for Counter {
        fn wake(&self, _: u32) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn only_matching_listeners_are_woken() {
        let (queue, a, b) = (WaitQueue::new(), Arc::new(Counter::default()), Arc::new(Counter::default()));
        let id = queue.register(1, a.clone());
        queue.register(2, b.clone());
        queue.notify(1);
        queue.unregister(id);
        queue.notify(3);
        assert_eq!((a.0.load(Ordering::Relaxed), b.0.load(Ordering::Relaxed)), (1, 1));
    }

    #[test]
    fn exclusive_listeners_take_turns() {
        let (queue, a, b) = (WaitQueue::new(), Arc::new(Counter::default()), Arc::new(Counter::default()));
        queue.register_exclusive(1, a.clone());
        queue.register_exclusive(1, b.clone());
        queue.notify(1);
        queue.notify(1);
        assert_eq!((a.0.load(Ordering::Relaxed), b.0.load(Ordering::Relaxed)), (1, 1));
    }
}
