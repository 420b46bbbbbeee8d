//! RLIMIT_SIGPENDING: how many signals a user has queued, over all processes.

use std::collections::HashMap;
use std::sync::Arc;

use sync::Mutex;

use crate::lock_order::Leaf;

/// Queued signals by real user.
#[derive(Debug, Default)]
pub struct SignalCounts {
    counts: Mutex<HashMap<u32, u64>, Leaf>,
}

/// One queued signal on a user's account; given back when dropped.
#[derive(Debug)]
pub struct Charge {
    counts: Arc<SignalCounts>,
    uid: u32,
}

impl SignalCounts {
    /// Charges one signal to a user. `None` if that would be more than `limit`.
    #[must_use]
    pub fn charge(self: &Arc<Self>, uid: u32, limit: u64) -> Option<Charge> {
        let mut counts = self.counts.lock();
        let count = counts.get(&uid).copied().unwrap_or(0);
        if count >= limit {
            return None;
        }
        counts.insert(uid, count + 1);
        Some(Charge { counts: Arc::clone(self), uid })
    }

    /// How many signals a user has queued (`SigQ` of /proc/PID/status).
    #[must_use]
    pub fn of(&self, uid: u32) -> u64 {
        self.counts.lock().get(&uid).copied().unwrap_or(0)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut counts = self.counts.counts.lock();
        if let Some(count) = counts.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::SignalCounts;

    #[test]
    fn a_user_gets_no_more_than_the_limit_and_it_back() {
        let counts = Arc::new(SignalCounts::default());
        let first = counts.charge(7, 2);
        let _second = counts.charge(7, 2);
        assert!(counts.charge(7, 2).is_none());
        assert!(counts.charge(8, 2).is_some());
        drop(first);
        assert_eq!((counts.of(7), counts.of(8)), (1, 0));
    }
}
