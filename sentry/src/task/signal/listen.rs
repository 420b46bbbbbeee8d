//! Who waits for signals of a process without taking them by handlers: signalfds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use abi::signal::Signal;
use sync::Mutex;

use super::GroupSignals;
use crate::lock_order::Leaf;

/// Something that hears of every signal that becomes pending in a process.
pub trait Listener: Send + Sync + std::fmt::Debug {
    /// A signal is pending. Called without any lock.
    fn pending(&self, signal: Signal);
}

/// The listeners of a process.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    /// Most processes have none: then sending takes no lock for them.
    any: AtomicBool,
    list: Mutex<Vec<Weak<dyn Listener>>, Leaf>,
}

impl GroupSignals {
    /// Adds a listener, once; it goes when it is dropped.
    pub fn listen(&self, listener: &Arc<dyn Listener>) {
        let mut list = self.listeners.list.lock();
        let known = |l: &Weak<dyn Listener>| std::ptr::addr_eq(l.as_ptr(), Arc::as_ptr(listener));
        if !list.iter().any(known) {
            list.retain(|l| l.strong_count() > 0);
            list.push(Arc::downgrade(listener));
        }
        self.listeners.any.store(true, Ordering::SeqCst);
    }

    pub(super) fn tell_listeners(&self, signal: Signal) {
        if !self.listeners.any.load(Ordering::SeqCst) {
            return;
        }
        let list: Vec<_> = self.listeners.list.lock().iter().filter_map(Weak::upgrade).collect();
        for listener in list {
            listener.pending(signal);
        }
    }
}
