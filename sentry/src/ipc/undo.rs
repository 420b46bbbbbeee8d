//! SEM_UNDO: what the end of a process takes back. Tasks cloned with CLONE_SYSVSEM have one record, and the last of them
//! takes its operations back.
//!
//! The adjustments themselves stand in the sets ([`super::sem`]); here is only which sets there are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use sync::Mutex;

use super::sem::SemSet;
use crate::lock_order::Leaf;
use crate::task::Task;

/// A record.
#[derive(Debug)]
pub(crate) struct SemUndo {
    id: u64,
    sets: Mutex<Vec<Weak<SemSet>>, Leaf>,
}

impl SemUndo {
    pub(super) fn of(task: &Task) -> Arc<Self> {
        let mut own = task.sem_undo.lock();
        Arc::clone(own.get_or_insert_with(Self::new))
    }

    fn new() -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self { id: NEXT.fetch_add(1, Ordering::Relaxed), sets: Mutex::default() })
    }

    /// Tells the records of tasks apart; 0 for a task that has none.
    pub(crate) fn id_of(task: &Task) -> u64 {
        task.sem_undo.lock().as_ref().map_or(0, |undo| undo.id)
    }

    /// A new task uses the same record (CLONE_SYSVSEM).
    pub(crate) fn share(parent: &Task, child: &Task) {
        let own = Self::of(parent);
        *child.sem_undo.lock() = Some(own);
    }

    /// The task ends, or leaves the record (unshare(2)): the last user takes all back.
    pub(crate) fn leave(task: &Task) {
        let own = task.sem_undo.lock().take();
        let Some(undo) = own.and_then(Arc::into_inner) else { return };
        let sets = std::mem::take(&mut *undo.sets.lock());
        for set in sets.iter().filter_map(Weak::upgrade) {
            set.undo(undo.id, task.group().pid());
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Operations on this set may be undone.
    pub(super) fn uses(&self, set: &Arc<SemSet>) {
        let mut sets = self.sets.lock();
        let known = |own: &Weak<SemSet>| std::ptr::eq(own.as_ptr(), Arc::as_ptr(set));
        if !sets.iter().any(known) {
            sets.retain(|own| own.strong_count() > 0);
            sets.push(Arc::downgrade(set));
        }
    }
}
