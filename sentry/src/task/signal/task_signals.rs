//! The signal state of one task that others may see.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use abi::signal::{SigSet, Signal};
use sync::Mutex;

use super::{Attention, Pending};
use crate::lock_order::SigPending;

/// Mask, signals for this thread, and how to get its attention. What is said to be "under the group's lock" is only changed
/// with [`super::GroupSignals`]' lock held.
#[derive(Debug)]
pub struct TaskSignals {
    attention: Attention,
    /// Only the task itself changes its mask.
    blocked: AtomicU64,
    /// The mask from before rt_sigtimedwait(2) opened it: signals in it are never thrown away as ignored.
    real_blocked: AtomicU64,
    /// What is in `pending`; changed with its lock held.
    pending_set: AtomicU64,
    pending: Mutex<Pending, SigPending>,
    /// The task is on its way out and takes no more signals. Under the group's lock.
    exiting: AtomicBool,
    /// The task has joined a group stop. Under the group's lock.
    stopped: AtomicBool,
    /// Somebody traces the task: no signal is ignored, and none ends it at once.
    traced: AtomicBool,
    /// It was seized (PTRACE_SEIZE).
    seized: AtomicBool,
}

impl TaskSignals {
    /// Of a new task with this mask.
    #[must_use]
    pub fn new(blocked: SigSet) -> Arc<Self> {
        Arc::new(Self {
            attention: Attention::new(),
            blocked: AtomicU64::new(blocked.blockable().0),
            real_blocked: AtomicU64::new(0),
            pending_set: AtomicU64::new(0),
            pending: Mutex::new(Pending::default()),
            exiting: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            traced: AtomicBool::new(false),
            seized: AtomicBool::new(false),
        })
    }

    /// How to wake it.
    #[must_use]
    pub fn attention(&self) -> &Attention {
        &self.attention
    }

    /// The mask.
    #[must_use]
    pub fn blocked(&self) -> SigSet {
        SigSet(self.blocked.load(Ordering::SeqCst))
    }

    /// Signals for this thread that it has not taken yet.
    #[must_use]
    pub fn pending_set(&self) -> SigSet {
        SigSet(self.pending_set.load(Ordering::SeqCst))
    }

    /// Whether it sleeps in a group stop (state T).
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Whether somebody traces it.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.traced.load(Ordering::Acquire)
    }

    /// Whether its tracer seized it.
    #[must_use]
    pub fn is_seized(&self) -> bool {
        self.seized.load(Ordering::Acquire)
    }

    pub(in crate::task) fn set_traced(&self, traced: bool, seized: bool) {
        self.seized.store(seized, Ordering::Release);
        self.traced.store(traced, Ordering::Release);
    }

    /// A signal that a task has from its start.
    pub(in crate::task) fn mark_pending(&self, signal: Signal) {
        self.with_pending(|pending| pending.mark(signal));
        self.attention.note(Attention::SIGNAL);
    }

    /// Whether `signal` waits for its handler to be known: it is blocked, so it must not be thrown away as ignored.
    pub(super) fn holds_back(&self, signal: Signal) -> bool {
        self.blocked().contains(signal) || SigSet(self.real_blocked.load(Ordering::SeqCst)).contains(signal)
    }

    pub(super) fn real_blocked(&self) -> SigSet {
        SigSet(self.real_blocked.load(Ordering::SeqCst))
    }

    /// Opens the mask for the signals in `wanted` while the task waits for them.
    pub(super) fn open_for(&self, wanted: SigSet) -> SigSet {
        let old = self.blocked();
        self.real_blocked.store(old.0, Ordering::SeqCst);
        self.blocked.store(old.difference(wanted).0, Ordering::SeqCst);
        old
    }

    /// Ends what [`Self::open_for`] began, once the mask is the old one again.
    pub(super) fn close_again(&self) {
        self.real_blocked.store(0, Ordering::SeqCst);
    }

    /// Replaces the mask; by the task's own thread. Signals for the process need more: [`super::GroupSignals::set_blocked`].
    ///
    /// No lock is taken, and nothing is lost: a sender adds to the set of pending signals and then looks at the mask; here
    /// the mask is written and then the sets are looked at. One of the two sees the other.
    pub(super) fn store_blocked(&self, mask: SigSet) -> SigSet {
        SigSet(self.blocked.swap(mask.blockable().0, Ordering::SeqCst))
    }

    /// Works on the queue and keeps the lock-free view of it true.
    pub(super) fn with_pending<R>(&self, f: impl FnOnce(&mut Pending) -> R) -> R {
        let mut pending = self.pending.lock();
        let result = f(&mut pending);
        self.pending_set.store(pending.set().0, Ordering::SeqCst);
        result
    }

    pub(crate) fn is_exiting(&self) -> bool {
        self.exiting.load(Ordering::SeqCst)
    }

    pub(super) fn set_exiting(&self) {
        self.exiting.store(true, Ordering::SeqCst);
    }

    pub(super) fn set_stopped(&self, stopped: bool) {
        self.stopped.store(stopped, Ordering::SeqCst);
    }

    /// Whether this thread is the one to take `signal` now, rather than one that is busy with another or cannot.
    pub(super) fn wants(&self, signal: Signal) -> bool {
        if self.blocked().contains(signal) || self.is_exiting() {
            return false;
        }
        signal == Signal::SIGKILL
            || (!self.is_stopped() && (self.attention.in_app() || !self.attention.has(Attention::SIGNAL)))
    }
}
