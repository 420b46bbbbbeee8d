//! The lock over who is whose parent, child or member of which process group and session.

use sync::{Mutex, MutexGuard};

use crate::lock_order;

/// All processes' relations. The relations themselves stand in the processes; see [`super::group`].
#[derive(Debug, Default)]
pub struct TaskTree {
    lock: Mutex<(), lock_order::Tree>,
}

/// Proof that the tree's lock is held: relations do not change.
#[derive(Debug)]
pub struct TreeGuard<'a> {
    _held: MutexGuard<'a, ()>,
}

impl TaskTree {
    /// Takes the lock, to change relations or to see several of them at one moment.
    #[track_caller]
    pub fn lock(&self) -> TreeGuard<'_> {
        TreeGuard { _held: self.lock.lock() }
    }
}
