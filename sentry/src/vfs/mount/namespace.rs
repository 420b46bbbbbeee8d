//! Mount namespaces (mount_namespaces(7)).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use sync::{Mutex, MutexGuard, WaitQueue};

use super::change::CopyAs;
use super::{Mount, key};
use crate::lock_order::Mounts;
use crate::task::creds::UserNamespace;
use crate::task::namespaces::NsId;
use crate::vfs::{Dentry, MountFlags, Path};

/// A tree of mounts, seen by the tasks in it.
#[derive(Debug)]
pub struct MountNamespace {
    id: NsId,
    owner: Arc<UserNamespace>,
    root: OnceLock<Mutex<Arc<Mount>, crate::lock_order::MountLinks>>,
    /// Counts changes; /proc/PID/mounts is ready with POLLPRI after one.
    changes: AtomicU64,
    changed: WaitQueue,
}

/// All changes of all trees of mounts, one at a time.
static CHANGE: Mutex<(), Mounts> = Mutex::new(());

impl MountNamespace {
    /// A namespace whose root is a new mount of the file system that begins at `root`.
    #[must_use]
    pub fn new(root: Arc<Dentry>, source: &[u8], flags: MountFlags, owner: Arc<UserNamespace>) -> Arc<Self> {
        Self::over(&Mount::new(root, source, flags), owner)
    }

    /// A namespace over a tree of mounts that is in none.
    fn over(root: &Arc<Mount>, owner: Arc<UserNamespace>) -> Arc<Self> {
        let namespace = Arc::new(Self {
            id: NsId::new(),
            owner,
            root: OnceLock::new(),
            changes: AtomicU64::new(0),
            changed: WaitQueue::new(),
        });
        let _ = namespace.root.set(Mutex::new(Arc::clone(root)));
        for mount in super::change::tree(root) {
            mount.links.write().namespace = Arc::downgrade(&namespace);
        }
        namespace
    }

    /// Its inode number in /proc/PID/ns/mnt.
    #[must_use]
    pub fn id(&self) -> NsId {
        self.id
    }

    /// The user namespace whose CAP_SYS_ADMIN may change it.
    #[must_use]
    pub fn owner(&self) -> &Arc<UserNamespace> {
        &self.owner
    }

    /// The mount at the top.
    #[must_use]
    pub fn root_mount(&self) -> Arc<Mount> {
        let root = self.root.get().expect("set when the namespace was made");
        Arc::clone(&root.lock())
    }

    pub(super) fn set_root_mount(&self, mount: &Arc<Mount>) {
        let root = self.root.get().expect("set when the namespace was made");
        let old = std::mem::replace(&mut *root.lock(), Arc::clone(mount));
        drop(old);
    }

    /// The topmost place of the tree: where the root directory of a new process is.
    #[must_use]
    pub fn root(&self) -> Path {
        Path::root_of(&self.root_mount()).through_mounts()
    }

    /// All mounts, parents before children.
    #[must_use]
    pub fn mounts(&self) -> Vec<Arc<Mount>> {
        super::change::tree(&self.root_mount())
    }

    /// A copy of the tree for CLONE_NEWNS, and what each of `places` (a root or working directory) is in it.
    #[must_use]
    pub fn copy(&self, owner: Arc<UserNamespace>, places: &mut [Path]) -> Arc<Self> {
        let _change = Self::lock_changes();
        // In the hands of less privileged users it hears of what happens here, but does not tell.
        let how = if Arc::ptr_eq(&owner, &self.owner) { CopyAs::Peer } else { CopyAs::Slave };
        let (root, map) = super::change::copy_tree(&Path::root_of(&self.root_mount()), true, how);
        for place in places {
            if let Some(mount) = map.get(&place.mount.id) {
                place.mount = Arc::clone(mount);
            }
        }
        Self::over(&root, owner)
    }

    /// Told with POLLPRI | POLLERR when something is mounted or unmounted.
    #[must_use]
    pub fn changed(&self) -> &WaitQueue {
        &self.changed
    }

    /// How many changes there were.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub(super) fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::Release);
        self.changed.notify(abi::poll::POLLPRI | abi::poll::POLLERR);
    }

    pub(super) fn lock_changes() -> MutexGuard<'static, ()> {
        CHANGE.lock()
    }
}

impl Drop for MountNamespace {
    /// The last task left: everything in it is unmounted.
    fn drop(&mut self) {
        let Some(root) = self.root.take() else { return };
        super::change::dissolve(&root.into_inner());
    }
}

/// Old mount ids to the copies.
pub(super) type Copies = HashMap<u64, Arc<Mount>>;

/// Puts `mount` on `at`, which nothing covers yet.
pub(super) fn attach(mount: &Arc<Mount>, at: Path) {
    at.dentry.mounts.fetch_add(1, Ordering::AcqRel);
    let parent = Arc::clone(&at.mount);
    let place = key(&at.dentry);
    mount.links.write().at = Some(at);
    parent.links.write().children.insert(place, Arc::clone(mount));
}

/// Takes `mount` off its place.
pub(super) fn detach(mount: &Arc<Mount>) {
    let Some(at) = mount.links.write().at.take() else { return };
    let child = at.mount.links.write().children.remove(&key(&at.dentry));
    drop(child);
    at.dentry.mounts.fetch_sub(1, Ordering::AcqRel);
    at.dentry.unpin();
}
