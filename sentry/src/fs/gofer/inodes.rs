//! Which inodes exist: all names of a file share one.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use ninep::Stat;
use ninep::attr::Device;
use ninep::client::{Entry, FidHandle};
use sync::Mutex;

use super::GoferFs;
use super::inode::{Body, GoferInode, Place};
use crate::lock_order::Gofer;

/// What makes a host file the one it is, for as long as somebody holds a descriptor of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    dev: Device,
    ino: u64,
}

impl From<&Stat> for Key {
    fn from(stat: &Stat) -> Self {
        Self { dev: stat.dev, ino: stat.ino }
    }
}

/// The inodes of a file system that are in use.
#[derive(Debug, Default)]
pub(super) struct Inodes {
    table: Mutex<HashMap<Key, Weak<GoferInode>>, Gofer>,
}

impl Inodes {
    /// The inode of `key`, made by `make` if there is none; whether it was there.
    fn get_or_insert(&self, key: Key, make: impl FnOnce() -> Arc<GoferInode>) -> (Arc<GoferInode>, bool) {
        let mut table = self.table.lock();
        if let Some(found) = table.get(&key).and_then(Weak::upgrade) {
            return (found, true);
        }
        let made = make();
        table.insert(key, Arc::downgrade(&made));
        (made, false)
    }

    pub(super) fn get(&self, key: Key) -> Option<Arc<GoferInode>> {
        self.table.lock().get(&key)?.upgrade()
    }

    /// An inode is gone; another of its key may have come meanwhile.
    pub(super) fn remove(&self, key: Key) {
        let mut table = self.table.lock();
        if table.get(&key).is_some_and(|inode| inode.strong_count() == 0) {
            table.remove(&key);
        }
    }
}

impl GoferFs {
    /// The inode of a file that was looked up or made.
    pub(super) fn inode(self: &Arc<Self>, entry: Entry) -> Arc<GoferInode> {
        self.inode_with_fid(Arc::new(entry.fid), entry.stat, entry.target)
    }

    pub(super) fn inode_with_fid(
        self: &Arc<Self>,
        fid: Arc<FidHandle>,
        stat: Stat,
        target: Option<Box<[u8]>>,
    ) -> Arc<GoferInode> {
        let body = Body::new(&stat, target);
        let key = Key::from(&stat);
        let make = || Arc::new(GoferInode::new(Arc::clone(self), key, stat, body, Place::Fid(Arc::clone(&fid))));
        let (inode, known) = self.inodes.get_or_insert(key, make);
        if known {
            inode.found_again(Some(&fid), &stat);
        }
        inode
    }

    /// The inode of a file that a listing told of; it gets a fid when it needs one.
    pub(super) fn inode_listed(
        self: &Arc<Self>,
        dir: &Arc<GoferInode>,
        name: &Arc<[u8]>,
        stat: Stat,
    ) -> Arc<GoferInode> {
        let body = Body::new(&stat, None);
        let key = Key::from(&stat);
        let place = || Place::Named(Arc::clone(dir), Arc::clone(name));
        let make = || Arc::new(GoferInode::new(Arc::clone(self), key, stat, body, place()));
        self.inodes.get_or_insert(key, make).0
    }
}
