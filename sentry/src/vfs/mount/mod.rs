//! Mounts: [`Mount`] is one file system attached to one place of one [`MountNamespace`].
//!
//! Mounts form a tree of strong references both ways, cut by unmounting. Changes of a tree (`change`) and what they do elsewhere
//! (`spread`, among `peers`) happen under the `Mounts` lock that all namespaces share; walking takes a mount's `MountLinks` lock only where something is mounted.

mod change;
mod flags;
mod info;
mod namespace;
mod peers;
mod spread;
mod stat;

pub use change::PropagationChange;
pub use flags::{MountFlags, Propagation};
pub use namespace::MountNamespace;
pub use stat::UNIQUE_ID_OFFSET;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use sync::RwLock;

use super::name_hash::NameHash;
use super::{Dentry, FileSystem, Path};
use crate::lock_order::MountLinks;

/// A mounted file system.
#[derive(Debug)]
pub struct Mount {
    id: u64,
    /// Where the mount begins in its file system: another directory than its root for a bind mount.
    root: Arc<Dentry>,
    /// What mountinfo calls the source: a device, or any word.
    source: Arc<[u8]>,
    flags: AtomicU32,
    links: RwLock<Links, MountLinks>,
}

#[derive(Debug, Default)]
struct Links {
    /// Where it is mounted; `None` for the root of a namespace and for what was detached.
    at: Option<Path>,
    /// What is mounted on it, by the address of the dentry it covers, which the child keeps alive.
    children: HashMap<usize, Arc<Mount>, NameHash>,
    namespace: Weak<MountNamespace>,
    propagation: Propagation,
}

/// Mounts there are, and may be (/proc/sys/fs/mount-max).
static COUNT: AtomicUsize = AtomicUsize::new(0);
const MAX_MOUNTS: usize = 100_000;

/// mountinfo's ids; they are never used again.
static NEXT_ID: AtomicU64 = AtomicU64::new(20);

impl Mount {
    /// A mount that is nowhere yet.
    #[must_use]
    pub fn new(root: Arc<Dentry>, source: &[u8], flags: MountFlags) -> Arc<Self> {
        root.sb().mounts.fetch_add(1, Ordering::Relaxed);
        COUNT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            root,
            source: Arc::from(source),
            flags: AtomicU32::new(flags.bits()),
            links: RwLock::new(Links::default()),
        })
    }

    /// Whether there may be so many more.
    fn room_for(more: usize) -> bool {
        COUNT.load(Ordering::Relaxed).saturating_add(more) <= MAX_MOUNTS
    }

    /// Its number, as in mountinfo and statx(2).
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The dentry it begins at.
    #[must_use]
    pub fn root(&self) -> &Arc<Dentry> {
        &self.root
    }

    /// The file system.
    #[must_use]
    pub fn fs(&self) -> &Arc<dyn FileSystem> {
        self.root.fs()
    }

    /// What it was mounted from.
    #[must_use]
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// Its own flags, without those of the file system instance.
    #[must_use]
    pub fn flags(&self) -> MountFlags {
        MountFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }

    /// Changes its own flags.
    pub fn set_flags(&self, flags: MountFlags) {
        self.flags.store(flags.bits(), Ordering::Relaxed);
    }

    /// Whether nothing may be changed through it: the mount or the whole instance is read-only.
    #[must_use]
    pub fn read_only(&self) -> bool {
        self.flags().contains(MountFlags::READ_ONLY) || self.root.sb().read_only()
    }

    /// Where it is mounted; `None` for the root of a namespace and for what was detached.
    #[must_use]
    pub fn mountpoint(&self) -> Option<Path> {
        self.links.read().at.clone()
    }

    /// The namespace it is in, if it is in one.
    #[must_use]
    pub fn namespace(&self) -> Option<Arc<MountNamespace>> {
        self.links.read().namespace.upgrade()
    }

    /// How mounts below it spread to other namespaces.
    #[must_use]
    pub fn propagation(&self) -> Propagation {
        self.links.read().propagation
    }

    /// The peer group it hears of, if that has members.
    #[must_use]
    pub fn master(&self) -> Option<u32> {
        peers::living(self.propagation().master)
    }

    /// What is mounted on `dentry` of this mount.
    #[must_use]
    pub fn child_at(&self, dentry: &Arc<Dentry>) -> Option<Arc<Self>> {
        self.links.read().children.get(&key(dentry)).cloned()
    }

    /// What is mounted on it, oldest first.
    #[must_use]
    pub fn children(&self) -> Vec<Arc<Self>> {
        let mut list: Vec<_> = self.links.read().children.values().cloned().collect();
        list.sort_by_key(|m| m.id);
        list
    }
}

impl Drop for Mount {
    /// With the last mount of a file system its cache of names goes, which holds itself together by cycles.
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
        if self.root.sb().mounts.fetch_sub(1, Ordering::AcqRel) == 1 {
            let mut top = Arc::clone(&self.root);
            while let Some(parent) = top.parent() {
                top = parent;
            }
            top.drop_cache();
            top.fs().unmounted();
        }
    }
}

/// The key of a covered dentry.
fn key(dentry: &Arc<Dentry>) -> usize {
    Arc::as_ptr(dentry).addr()
}
