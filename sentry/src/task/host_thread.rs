//! The host threads that run tasks: one each, kept for the next task when one ends.
//!
//! Making a thread costs more than waking one, so a few idle ones are kept. A thread is found before the new task becomes
//! visible, so that clone(2) can fail cleanly.

use std::sync::{Arc, LazyLock};
use std::thread;

use abi::Errno;
use parker::Slot;
use sync::Mutex;

use super::CurrentTask;
use crate::error::{Result, err};
use crate::lock_order::Leaf;

/// Stack of a task's thread. Only the pages that are touched count.
const STACK_SIZE: usize = 512 * 1024;
/// Most idle threads that are kept.
const MAX_IDLE: usize = 16;

static IDLE: LazyLock<Mutex<Vec<Arc<Slot>>, Leaf>> = LazyLock::new(Mutex::default);

/// A host thread that waits for a task.
#[derive(Debug)]
pub struct HostThread(Option<Arc<Slot>>);

impl HostThread {
    /// An idle thread, or a new one. EAGAIN if the host gives none.
    pub fn find() -> Result<Self> {
        if let Some(slot) = IDLE.lock().pop() {
            return Ok(Self(Some(slot)));
        }
        let slot = Arc::new(Slot::default());
        let own = Arc::clone(&slot);
        match thread::Builder::new().name("task".into()).stack_size(STACK_SIZE).spawn(move || work(&own)) {
            Ok(_) => Ok(Self(Some(slot))),
            Err(_) => err(Errno::EAGAIN),
        }
    }

    /// Runs a task on it, until the task has ended.
    pub fn run(mut self, task: CurrentTask) {
        if let Some(slot) = self.0.take() {
            slot.give(Some(Box::new(task)));
        }
    }
}

impl Drop for HostThread {
    /// It was not needed after all.
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            keep(slot);
        }
    }
}

fn work(slot: &Arc<Slot>) {
    while let Some(task) = slot.take() {
        task.run();
        keep(Arc::clone(slot));
    }
}

/// Puts a thread with the idle ones, or ends it if there are enough.
fn keep(slot: Arc<Slot>) {
    let mut idle = IDLE.lock();
    if idle.len() < MAX_IDLE {
        idle.push(slot);
    } else {
        drop(idle);
        slot.give(None);
    }
}

mod parker {
    //! Where an idle thread waits.

    #![expect(clippy::disallowed_types, reason = "a condition variable goes with its own mutex")]

    use std::sync::{Condvar, Mutex, PoisonError};

    use super::CurrentTask;

    /// What a thread is given next: a task, or the order to end.
    #[derive(Debug, Default)]
    pub(super) struct Slot {
        next: Mutex<Option<Option<Box<CurrentTask>>>>,
        given: Condvar,
    }

    impl Slot {
        pub(super) fn give(&self, task: Option<Box<CurrentTask>>) {
            *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
            self.given.notify_one();
        }

        pub(super) fn take(&self) -> Option<Box<CurrentTask>> {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                if let Some(given) = next.take() {
                    return given;
                }
                next = self.given.wait(next).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}
