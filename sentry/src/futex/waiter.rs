//! What a task waits with.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::task::signal::TaskSignals;

/// A task's place to be woken at; it waits for one thing at a time.
#[derive(Debug)]
pub struct Waiter {
    task: Arc<TaskSignals>,
    /// What has happened: [`WAITING`], or the encoding of an [`Outcome`].
    state: AtomicU32,
    /// The bucket that its only record is in, which requeuing changes.
    pub(super) bucket: AtomicUsize,
}

const WAITING: u32 = u32::MAX;
const ACQUIRED: u32 = u32::MAX - 1;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody woke it, through its record with this number.
    Woken(u32),
    /// The PI futex it waited for is its own now.
    Acquired,
}

impl Waiter {
    /// The waiter of a task.
    #[must_use]
    pub fn new(task: Arc<TaskSignals>) -> Arc<Self> {
        Arc::new(Self { task, state: AtomicU32::new(WAITING), bucket: AtomicUsize::new(0) })
    }

    /// Before a wait.
    pub(super) fn begin(&self) {
        self.state.store(WAITING, Ordering::SeqCst);
    }

    /// What has happened so far.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self.state.load(Ordering::SeqCst) {
            WAITING => None,
            ACQUIRED => Some(Outcome::Acquired),
            index => Some(Outcome::Woken(index)),
        }
    }

    /// Marks it, if it is still waiting. [`Self::wake`] must follow, without a lock.
    pub(super) fn mark(&self, outcome: Outcome) -> bool {
        let new = match outcome {
            Outcome::Woken(index) => index.min(ACQUIRED - 1),
            Outcome::Acquired => ACQUIRED,
        };
        self.state.compare_exchange(WAITING, new, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Ends its sleep.
    pub(super) fn wake(&self) {
        self.task.attention().parker().wake();
    }

    /// The task, as others see it.
    pub(super) fn task(&self) -> &Arc<TaskSignals> {
        &self.task
    }
}
