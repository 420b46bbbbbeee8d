//! Overlay: a tree that can be changed over one that cannot. The lower tree is any file system (a gofer's, as a rule) that
//! nobody changes; what is changed lives in the memory file.
//!
//! [`node::OverlayNode`] is an inode. It shows its lower inode until it is changed: then its attributes are ours, and its
//! bytes a [`Content`] that copies chunks from below when they are first written. A lower file that is removed leaves a
//! whiteout in its directory's [`names`]. A rename moves the node itself, whatever is below it, so nothing is ever EXDEV.
//! Inode numbers are those of the lower tree, or ours beyond them; all names of a lower file are one node.
//!
//! Nodes that only show what is below are made when they are looked up and forgotten with their dentry. One that was
//! changed, or has such a node below it, is *pinned*: its directory holds it ([`place`]).
//!
//! Locks: `Overlay` over every change of names and every pinning; then those of tmpfs.

mod change;
mod file;
mod inode;
mod names;
mod node;
mod place;
#[cfg(test)]
mod tests;

pub use node::OverlayNode;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use abi::statfs::{OVERLAYFS_SUPER_MAGIC, Statfs};
use sync::Mutex;

use super::tmpfs::{Budget, Content};
use crate::error::Result;
use crate::lock_order::{Leaf, Overlay};
use crate::mm::memfile::MemFile;
use crate::vfs::anon::next_dev;
use crate::vfs::{Dentry, FileSystem, Inode};

/// Our inode numbers begin here, beyond those of the lower tree.
const FIRST_INO: u64 = 1 << 48;

/// An overlay.
#[derive(Debug)]
pub struct OverlayFs {
    dev: u64,
    memfile: Arc<MemFile>,
    budget: Arc<Budget>,
    lower: Arc<dyn FileSystem>,
    next_ino: AtomicU64,
    /// Held over changes of names and over pinning.
    tree: Mutex<(), Overlay>,
    /// Nodes of lower files that have more than one name.
    links: Mutex<HashMap<u64, Linked>, Leaf>,
    root: Mutex<Option<Arc<OverlayNode>>, Leaf>,
}

/// A node that several lower names share.
#[derive(Debug)]
enum Linked {
    /// It only shows what is below.
    Shown(Weak<OverlayNode>),
    /// It was changed.
    Changed(Arc<OverlayNode>),
}

impl OverlayFs {
    /// An overlay over `lower`; what is changed goes to `memfile`.
    pub fn new(memfile: &Arc<MemFile>, lower: Arc<dyn FileSystem>) -> Result<Arc<Self>> {
        let below = lower.root();
        let fs = Arc::new(Self {
            dev: next_dev(),
            memfile: Arc::clone(memfile),
            budget: Budget::new(u64::MAX),
            lower,
            next_ino: AtomicU64::new(FIRST_INO),
            tree: Mutex::new(()),
            links: Mutex::default(),
            root: Mutex::new(None),
        });
        let root = OverlayNode::root(&fs, below)?;
        *fs.root.lock() = Some(root);
        Ok(fs)
    }

    /// An overlay ready to be mounted.
    pub fn mount(memfile: &Arc<MemFile>, lower: Arc<dyn FileSystem>) -> Result<Arc<Dentry>> {
        Dentry::new_root(Self::new(memfile, lower)?)
    }

    fn take_ino(&self) -> u64 {
        self.next_ino.fetch_add(1, Ordering::Relaxed)
    }

    /// The bytes of a new file.
    fn new_content(&self) -> Content {
        Content::new(Arc::clone(&self.memfile), Arc::clone(&self.budget))
    }

    /// The bytes of a file that is below.
    fn content_over(&self, lower: &Arc<dyn Inode>, len: u64) -> Content {
        Content::over(Arc::clone(&self.memfile), Arc::clone(&self.budget), Arc::clone(lower), len)
    }

    /// The node of a lower file with several names; `make` makes it if there is none.
    fn shared(&self, ino: u64, make: impl FnOnce() -> Arc<OverlayNode>) -> Arc<OverlayNode> {
        let made = make();
        let mut links = self.links.lock();
        match links.get(&ino) {
            Some(Linked::Changed(node)) => return Arc::clone(node),
            Some(Linked::Shown(node)) => {
                if let Some(node) = node.upgrade() {
                    return node;
                }
            }
            None => {}
        }
        links.insert(ino, Linked::Shown(Arc::downgrade(&made)));
        made
    }

    /// A node that several lower names share was changed: whoever looks another one up must find it.
    fn keep_shared(&self, node: &Arc<OverlayNode>) {
        self.links.lock().insert(node.ino(), Linked::Changed(Arc::clone(node)));
    }
}

impl FileSystem for OverlayFs {
    fn name(&self) -> &'static str {
        "overlay"
    }

    fn root(&self) -> Arc<dyn Inode> {
        let root = self.root.lock().clone();
        root.expect("held until the file system is unmounted")
    }

    fn dev(&self) -> u64 {
        self.dev
    }

    fn statfs(&self) -> Result<Statfs> {
        Ok(Statfs { f_type: OVERLAYFS_SUPER_MAGIC, f_fsid: [0, 0], ..self.lower.statfs()? })
    }

    fn unmounted(&self) {
        let links = std::mem::take(&mut *self.links.lock());
        let root = self.root.lock().take();
        drop(links);
        drop(root);
    }
}
