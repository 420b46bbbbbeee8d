//! A mounted file system instance as the VFS sees it: what all its dentries share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use sync::Mutex;

use super::{Caching, FileSystem};
use crate::lock_order::Rename;

/// One per [`FileSystem`] and tree of dentries.
#[derive(Debug)]
pub struct SuperBlock {
    fs: Arc<dyn FileSystem>,
    caching: Caching,
    read_only: AtomicBool,
    /// Held over a rename between two directories, so that ancestry stands still.
    pub(super) rename: Mutex<(), Rename>,
    /// Counts moves of dentries: a path that was printed meanwhile is printed again.
    pub(super) moves: AtomicU64,
    /// Names in the dentry cache.
    pub(super) cached: AtomicUsize,
    /// Mounts of it, in all namespaces and detached ones.
    pub(super) mounts: AtomicUsize,
}

impl SuperBlock {
    pub(super) fn new(fs: Arc<dyn FileSystem>) -> Arc<Self> {
        let caching = fs.caching();
        Arc::new(Self {
            fs,
            caching,
            read_only: AtomicBool::new(false),
            rename: Mutex::new(()),
            moves: AtomicU64::new(0),
            cached: AtomicUsize::new(0),
            mounts: AtomicUsize::new(0),
        })
    }

    /// The file system.
    #[must_use]
    pub fn fs(&self) -> &Arc<dyn FileSystem> {
        &self.fs
    }

    /// How its names may be cached.
    #[must_use]
    pub fn caching(&self) -> Caching {
        self.caching
    }

    /// Whether the instance as a whole is read-only (`mount -o remount,ro` without `bind`).
    #[must_use]
    pub fn read_only(&self) -> bool {
        self.read_only.load(Ordering::Relaxed)
    }

    /// Makes the instance read-only or writable.
    pub fn set_read_only(&self, read_only: bool) {
        self.read_only.store(read_only, Ordering::Relaxed);
    }
}
