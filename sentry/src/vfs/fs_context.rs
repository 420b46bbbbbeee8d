//! Working directory, root directory, umask and mount namespace of a process: [`FsContext`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sync::RwLock;

use super::{MountNamespace, Path};
use crate::lock_order;
use crate::task::creds::UserNamespace;

/// Working directory, root and umask, shared by tasks cloned with CLONE_FS; also the mount namespace, which such tasks
/// share too.
#[derive(Debug)]
pub struct FsContext {
    places: RwLock<Places, lock_order::FsContext>,
    umask: AtomicU32,
}

#[derive(Clone, Debug)]
struct Places {
    namespace: Arc<MountNamespace>,
    root: Path,
    cwd: Path,
}

impl FsContext {
    /// A context at the root of a namespace.
    #[must_use]
    pub fn new(namespace: Arc<MountNamespace>, umask: u32) -> Arc<Self> {
        let root = namespace.root();
        Self::of(Places { namespace, cwd: root.clone(), root }, umask)
    }

    fn of(places: Places, umask: u32) -> Arc<Self> {
        Arc::new(Self { places: RwLock::new(places), umask: AtomicU32::new(umask & 0o777) })
    }

    /// A copy, for a task cloned without CLONE_FS.
    #[must_use]
    pub fn copy(&self) -> Arc<Self> {
        Self::of(self.places.read().clone(), self.umask())
    }

    /// A copy in a copy of the mount namespace, for CLONE_NEWNS.
    #[must_use]
    pub fn copy_with_new_namespace(&self, owner: Arc<UserNamespace>) -> Arc<Self> {
        let Places { namespace, root, cwd } = self.places.read().clone();
        let mut both = [root, cwd];
        let namespace = namespace.copy(owner, &mut both);
        let [root, cwd] = both;
        Self::of(Places { namespace, root, cwd }, self.umask())
    }

    /// Enters another mount namespace, at its root (setns(2)).
    pub fn enter(&self, namespace: Arc<MountNamespace>) {
        let root = namespace.root();
        let new = Places { namespace, cwd: root.clone(), root };
        let old = std::mem::replace(&mut *self.places.write(), new);
        drop(old);
    }

    /// The mount namespace.
    #[must_use]
    pub fn namespace(&self) -> Arc<MountNamespace> {
        Arc::clone(&self.places.read().namespace)
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> Path {
        self.places.read().root.clone()
    }

    /// The working directory.
    #[must_use]
    pub fn cwd(&self) -> Path {
        self.places.read().cwd.clone()
    }

    /// chroot(2), permission checked.
    pub fn set_root(&self, root: Path) {
        let old = std::mem::replace(&mut self.places.write().root, root);
        drop(old);
    }

    /// chdir(2), permission checked.
    pub fn set_cwd(&self, cwd: Path) {
        let old = std::mem::replace(&mut self.places.write().cwd, cwd);
        drop(old);
    }

    /// pivot_root(2): whoever was at `from` is at `to` now.
    pub fn replace(&self, from: &Path, to: &Path) {
        let mut old = Vec::new();
        let mut places = self.places.write();
        if places.root == *from {
            old.push(std::mem::replace(&mut places.root, to.clone()));
        }
        if places.cwd == *from {
            old.push(std::mem::replace(&mut places.cwd, to.clone()));
        }
        drop(places);
    }

    /// The bits that new files do not get.
    #[must_use]
    pub fn umask(&self) -> u32 {
        self.umask.load(Ordering::Relaxed)
    }

    /// umask(2): returns the old one.
    pub fn set_umask(&self, umask: u32) -> u32 {
        self.umask.swap(umask & 0o777, Ordering::Relaxed)
    }
}
