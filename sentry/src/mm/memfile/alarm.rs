//! Tells a thread that more memory is handed out than some amount: only then can more be in use.

use std::sync::atomic::{AtomicU64, Ordering};

use sync::WaitQueue;

/// Silent until it is set; rings once.
#[derive(Debug)]
pub struct Alarm {
    at: AtomicU64,
    queue: WaitQueue,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { at: AtomicU64::new(u64::MAX), queue: WaitQueue::new() }
    }
}

impl Alarm {
    /// Rings as soon as more than `bytes` are handed out. Whoever sets it looks for itself whether that is so already.
    pub fn set(&self, bytes: u64) {
        self.at.store(bytes, Ordering::SeqCst);
    }

    /// Rings now.
    pub fn ring(&self) {
        self.at.store(u64::MAX, Ordering::SeqCst);
        self.queue.notify(1);
    }

    /// Who is told.
    #[must_use]
    pub fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    /// So much is handed out now.
    pub(super) fn note(&self, used: u64) {
        if used > self.at.load(Ordering::Relaxed) {
            self.ring();
        }
    }
}
