//! Sockets of a kind: for those that get a copy of everything, and for listings.
//!
//! Lock: `Leaf` over the table; what is done with the members is done after.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use sync::Mutex;

use crate::lock_order::Leaf;

/// A set of sockets that does not keep them alive.
#[derive(Debug)]
pub struct Members<T> {
    /// By their address in memory, which is theirs as long as they are members.
    table: Mutex<HashMap<usize, Weak<T>>, Leaf>,
}

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self { table: Mutex::new(HashMap::new()) }
    }
}

impl<T> Members<T> {
    /// Adds one; it must be taken out before it ends.
    pub fn add(&self, member: Weak<T>) {
        self.table.lock().insert(member.as_ptr().addr(), member);
    }

    /// Takes one out.
    pub fn remove(&self, member: &Weak<T>) {
        self.table.lock().remove(&member.as_ptr().addr());
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<T>> {
        self.table.lock().values().filter_map(Weak::upgrade).collect()
    }
}
