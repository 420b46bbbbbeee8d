//! Where a node is in the tree, and what keeps it there.
//!
//! A node that only shows what is below keeps its directory alive; a pinned one is kept by its directory and knows it no
//! more. So there are no cycles, and whatever was changed can be reached from the root.

use std::sync::Arc;

use super::node::{Body, OverlayNode};

/// Where a node is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Found below; its directory would make it again.
    Shown(Arc<OverlayNode>, Arc<[u8]>),
    /// Held by its directory (or the root, which the file system holds).
    Pinned,
    /// Not in the tree: removed, or never named.
    Nowhere,
}

impl OverlayNode {
    /// Makes sure that lookups find this very node from now on. The tree's lock is held.
    pub(super) fn pin_locked(self: &Arc<Self>) {
        // From the node upwards to the first that is pinned, then downwards.
        let mut chain = Vec::new();
        let mut at = Arc::clone(self);
        loop {
            let place = at.place.lock().clone();
            match place {
                Place::Shown(dir, name) => {
                    chain.push((at, Arc::clone(&dir), name));
                    at = dir;
                }
                Place::Pinned | Place::Nowhere => break,
            }
        }
        for (node, dir, name) in chain.into_iter().rev() {
            if let Body::Directory(names) = &dir.body {
                names.write().pin(&name, &node);
            }
            node.set_place(Place::Pinned);
        }
    }

    /// As [`Self::pin_locked`], taking the lock.
    pub(super) fn pin(self: &Arc<Self>) {
        if matches!(*self.place.lock(), Place::Shown(..)) {
            let fs = Arc::clone(&self.fs);
            let _tree = fs.tree.lock();
            self.pin_locked();
        }
    }

    /// The node is somewhere else now.
    pub(super) fn set_place(&self, place: Place) {
        let old = std::mem::replace(&mut *self.place.lock(), place);
        // It may be the last reference to a directory.
        drop(old);
    }
}
