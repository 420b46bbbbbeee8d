//! The task of the calling thread, for the few who are asked something that depends on it and are not told: a signalfd has
//! other signals for each process that polls it.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use super::Task;

thread_local! {
    static HERE: RefCell<Weak<Task>> = const { RefCell::new(Weak::new()) };
}

/// Says which task the calling thread runs from now on.
pub(super) fn set(task: &Arc<Task>) {
    HERE.with_borrow_mut(|here| *here = Arc::downgrade(task));
}

/// The task that the calling thread runs; `None` on threads of the kernel's own.
#[must_use]
pub fn task() -> Option<Arc<Task>> {
    HERE.with_borrow(Weak::upgrade)
}
