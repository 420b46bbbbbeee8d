//! Keeps the cache of names bounded: beyond [`LIMIT`] names of one file system, those that nobody uses and nobody found
//! since the last look are dropped, until a quarter is free.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::dentry::{Dentry, Entry, REFERENCED};

/// Names that one file system may have in the cache.
pub(super) const LIMIT: usize = 32 * 1024;

/// Drops names of the file system that `dentry` belongs to.
pub(super) fn shrink(dentry: &Arc<Dentry>) {
    let mut root = Arc::clone(dentry);
    while let Some(parent) = root.parent() {
        root = parent;
    }
    let goal = LIMIT / 4 * 3;
    // The first pass spares what was found lately, the second takes it.
    for _ in 0..2 {
        sweep(&root, goal);
        if root.sb().cached.load(Ordering::Relaxed) <= goal {
            return;
        }
    }
}

fn sweep(root: &Arc<Dentry>, goal: usize) {
    let sb = root.sb();
    let mut stack = vec![Arc::clone(root)];
    // Dropped without locks: the last reference to a dentry lets go of its inode.
    let mut evicted = Vec::new();
    while let Some(dir) = stack.pop() {
        {
            let mut names = dir.names.write();
            let before = names.len();
            names.retain(|_, entry| match entry {
                Entry::Negative => false,
                Entry::Positive(child) if is_idle(child) => {
                    evicted.push(Arc::clone(child));
                    false
                }
                Entry::Positive(child) => {
                    if child.is_dir() {
                        stack.push(Arc::clone(child));
                    }
                    true
                }
            });
            if names.len() < names.capacity() / 4 {
                names.shrink_to_fit();
            }
            sb.cached.fetch_sub(before - names.len(), Ordering::Relaxed);
        }
        evicted.clear();
        if sb.cached.load(Ordering::Relaxed) <= goal {
            return;
        }
    }
}

/// Whether only the cache knows the dentry and it was not found since the last pass, whose mark this takes.
///
/// With the parent's names locked nobody can find it there, and it has no children that could lead to it.
fn is_idle(child: &Arc<Dentry>) -> bool {
    Arc::strong_count(child) == 1
        && !child.is_mountpoint()
        && child.flags.fetch_and(!REFERENCED, Ordering::Relaxed) & REFERENCED == 0
        && child.names.read_nested().is_empty()
}
