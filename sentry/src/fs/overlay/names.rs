//! What an overlay directory knows beyond the lower one: names that are new, changed or gone.

use std::collections::HashMap;
use std::sync::Arc;

use super::OverlayNode;
use crate::fs::tmpfs::Names;
use crate::vfs::NameHash;

/// Positions of readdir from here on are of new names; those below are the lower directory's.
const NEW: u64 = 1 << 62;

/// Names of one directory.
#[derive(Debug, Default)]
pub(super) struct DirNames {
    /// Names that the lower directory has too: what stands there now, or a whiteout. They are listed in their old place.
    over: HashMap<Arc<[u8]>, Option<Arc<OverlayNode>>, NameHash>,
    /// Names that it does not have.
    new: Names<Arc<OverlayNode>>,
}

/// What is known of a name.
pub(super) enum Known {
    /// This node.
    Node(Arc<OverlayNode>),
    /// It is gone.
    Whiteout,
    /// Nothing: ask below.
    Below,
}

impl DirNames {
    pub(super) fn get(&self, name: &[u8]) -> Known {
        match self.over.get(name) {
            Some(Some(node)) => Known::Node(Arc::clone(node)),
            Some(None) => Known::Whiteout,
            None => match self.new.get(name) {
                Some(node) => Known::Node(Arc::clone(node)),
                None => Known::Below,
            },
        }
    }

    /// `name`, which the lower directory has and which nothing was known of, is `node`.
    pub(super) fn pin(&mut self, name: &Arc<[u8]>, node: &Arc<OverlayNode>) {
        if self.new.get(name).is_none() {
            self.over.entry(Arc::clone(name)).or_insert_with(|| Some(Arc::clone(node)));
        }
    }

    /// `name` is `node` from now on; `exists`: it stood there before, if not as a name of ours then below.
    pub(super) fn put(&mut self, name: &[u8], node: &Arc<OverlayNode>, exists: bool) {
        if let Some(place) = self.over.get_mut(name) {
            *place = Some(Arc::clone(node));
        } else if exists && self.new.get(name).is_none() {
            self.over.insert(Arc::from(name), Some(Arc::clone(node)));
        } else {
            self.new.insert(name, Arc::clone(node));
        }
    }

    /// `name`, which stood there, is gone.
    pub(super) fn remove(&mut self, name: &[u8]) {
        if let Some(place) = self.over.get_mut(name) {
            *place = None;
        } else if self.new.remove(name).is_none() {
            // It was below, and nothing was known of it.
            self.over.insert(Arc::from(name), None);
        }
    }

    /// Whether nothing stands here, whatever is below.
    pub(super) fn is_empty(&self) -> bool {
        self.new.is_empty() && self.over.values().all(Option::is_none)
    }

    /// Whether a lower name is gone or something else, and what.
    pub(super) fn over(&self, name: &[u8]) -> Option<Option<&Arc<OverlayNode>>> {
        self.over.get(name).map(Option::as_ref)
    }

    /// The new names from a position of readdir on, each with the position after it.
    pub(super) fn new_from(&self, position: u64) -> impl Iterator<Item = (&[u8], &Arc<OverlayNode>, u64)> {
        let from = position.saturating_sub(NEW);
        self.new.from(from).map(|(name, node, next)| (name, node, next + NEW))
    }

    /// Where the new names begin.
    pub(super) const fn first_new() -> u64 {
        NEW
    }

    /// Takes all nodes out, so that a tree can be dropped without recursion.
    pub(super) fn take_all(&mut self) -> Vec<Arc<OverlayNode>> {
        let mut all: Vec<_> = self.over.drain().filter_map(|(_, node)| node).collect();
        all.extend(self.new.take_all());
        all
    }
}
