//! Counts of what the application asked for and we do not have: `runsc-rs debug --stubs`.

use std::collections::BTreeMap;

use sync::Mutex;

use crate::lock_order::Leaf;

/// How often each absent call was made.
#[derive(Debug, Default)]
pub struct Stubs {
    hits: Mutex<BTreeMap<u64, u64>, Leaf>,
}

impl Stubs {
    /// Counts a call; the first one is logged.
    pub fn hit(&self, nr: u64) {
        let mut hits = self.hits.lock();
        // The number comes from the application: without a bound it could fill our memory.
        if hits.len() >= 1024 && !hits.contains_key(&nr) {
            return;
        }
        let count = hits.entry(nr).or_insert(0);
        *count += 1;
        if *count == 1 {
            tracing::warn!(nr, "system call is not implemented");
        }
    }

    /// Number and count of every call that was hit.
    #[must_use]
    pub fn list(&self) -> Vec<(u64, u64)> {
        self.hits.lock().iter().map(|(nr, n)| (*nr, *n)).collect()
    }
}
