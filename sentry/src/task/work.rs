//! What a task has to do for its io_uring requests before its application code goes on.
//!
//! Whoever finds a request ready, holding whatever locks, puts it here and gets the task's attention; the task runs it.
//! Locks: `Deferred`, below everything; requests are run without any.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use sync::Mutex;

use super::signal::Attention;
use super::{CurrentTask, Task};
use crate::fs::uring::{Request, Ring};
use crate::lock_order;

/// Requests to go on with, and the rings that have requests of the task.
#[derive(Debug, Default)]
pub(super) struct Work(Mutex<List, lock_order::Deferred>);

#[derive(Debug, Default)]
struct List {
    ready: VecDeque<Arc<Request>>,
    rings: Vec<Weak<Ring>>,
}

/// How many requests are run in one go: what becomes ready meanwhile waits for the next time, so that a signal gets through.
const AT_ONCE: usize = 4096;

impl Task {
    /// Has the task go on with `request` soon. May be called with any lock held.
    pub(crate) fn add_work(&self, request: Arc<Request>) {
        self.work.0.lock().ready.push_back(request);
        self.attention().raise(Attention::REQUEST);
    }
}

impl CurrentTask {
    /// Whether requests wait to be run.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.work.0.lock().ready.is_empty()
    }

    /// Goes on with the requests that are ready.
    pub fn do_work(&mut self) {
        self.attention().clear(Attention::REQUEST);
        for _ in 0..AT_ONCE {
            let request = self.work.0.lock().ready.pop_front();
            let Some(request) = request else { return };
            request.run(self);
        }
        if self.has_work() {
            self.attention().note(Attention::REQUEST);
        }
    }

    /// Remembers a ring that gets requests of this task.
    pub fn uses_ring(&self, ring: &Arc<Ring>) {
        let mut list = self.work.0.lock();
        list.rings.retain(|known| known.strong_count() > 0);
        if !list.rings.iter().any(|known| known.as_ptr() == Arc::as_ptr(ring)) {
            list.rings.push(Arc::downgrade(ring));
        }
    }

    /// The thread or its program ends: what it asked for and is not done is called off.
    pub(super) fn leave_rings(&self) {
        let (rings, ready) = {
            let mut list = self.work.0.lock();
            (std::mem::take(&mut list.rings), std::mem::take(&mut list.ready))
        };
        for ring in rings.iter().filter_map(Weak::upgrade) {
            ring.cancel_of(&self.task);
        }
        drop(ready);
        self.work.0.lock().ready.clear();
    }
}
