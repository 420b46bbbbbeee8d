//! Who waits for whose POSIX record lock, in the whole sandbox: a circle is a deadlock.

use std::collections::HashMap;

use sync::Mutex;

use super::Owner;
use crate::lock_order::Leaf;

/// Waiting table to the table that it waits for.
static WAITS: Mutex<Option<HashMap<u64, u64>>, Leaf> = Mutex::new(None);

/// `waiter` is about to wait for `holder`. Returns whether that closes a circle, in which case it is not entered. OFD locks
/// take no part.
pub(super) fn enter(waiter: Owner, holder: Owner) -> bool {
    let (Owner::Table(waiter), Owner::Table(holder)) = (waiter, holder) else { return false };
    let mut waits = WAITS.lock();
    let waits = waits.get_or_insert_default();
    let mut at = holder;
    // Each step follows one waiter, so more steps than waiters would be a circle without us.
    for _ in 0..=waits.len() {
        if at == waiter {
            return true;
        }
        match waits.get(&at) {
            Some(next) => at = *next,
            None => break,
        }
    }
    waits.insert(waiter, holder);
    false
}

/// `waiter` waits no longer.
pub(super) fn leave(waiter: Owner) {
    if let Owner::Table(waiter) = waiter
        && let Some(waits) = WAITS.lock().as_mut()
    {
        waits.remove(&waiter);
    }
}
