//! Building blocks of file systems whose content is computed: procfs, sysfs and their like.
//!
//! A [`Tree`] is one such file system (its device number and inode numbers). [`dir::StaticDir`] has fixed children,
//! [`text::TextFile`] makes its text when it is opened, [`link::Link`] its target when it is read. What is more dynamic
//! implements [`crate::vfs::Inode`] itself with the help of [`Meta`].

pub mod dir;
pub mod link;
pub mod text;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use abi::statfs::Statfs;
use sync::Mutex;

use crate::error::Result;
use crate::lock_order::InodeData;
use crate::time::Clocks;
use crate::vfs::attachments::Attachments;
use crate::vfs::{Attr, Caching, FileSystem, Inode, SetAttr};

/// A file system of computed content.
#[derive(Debug)]
pub struct Tree {
    this: Weak<Self>,
    name: &'static str,
    magic: i64,
    dev: u64,
    caching: Caching,
    next_ino: AtomicU64,
    root: OnceLock<Arc<dyn Inode>>,
    born: abi::time::Timespec,
}

impl Tree {
    /// An empty one; the caller sets its root. `magic` is for statfs(2).
    #[must_use]
    pub fn new(name: &'static str, magic: i64, dev: u64, caching: Caching, clocks: &Clocks) -> Arc<Self> {
        let born = clocks.realtime();
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            name,
            magic,
            dev,
            caching,
            next_ino: AtomicU64::new(1),
            root: OnceLock::new(),
            born,
        })
    }

    /// Sets the root, once.
    pub fn set_root(&self, root: Arc<dyn Inode>) {
        let _ = self.root.set(root);
    }

    /// What an inode of this tree starts with: an inode number of its own, and the time the tree was made.
    #[must_use]
    pub fn meta(&self, mode: u32, nlink: u32) -> Meta {
        self.meta_with_ino(self.next_ino.fetch_add(1, Ordering::Relaxed), mode, nlink)
    }

    /// As [`Self::meta`] with a number of the caller's choice (above those given out in order).
    #[must_use]
    pub fn meta_with_ino(&self, ino: u64, mode: u32, nlink: u32) -> Meta {
        let attr = Attr {
            dev: self.dev,
            ino,
            mode,
            nlink,
            blksize: 4096,
            atime: self.born,
            mtime: self.born,
            ctime: self.born,
            ..Attr::default()
        };
        Meta { tree: self.this.clone(), attr: Mutex::new(attr), attachments: Attachments::default() }
    }
}

impl FileSystem for Tree {
    fn name(&self) -> &'static str {
        self.name
    }

    fn root(&self) -> Arc<dyn Inode> {
        Arc::clone(self.root.get().expect("the maker of a tree sets its root before it hands it out"))
    }

    fn dev(&self) -> u64 {
        self.dev
    }

    fn statfs(&self) -> Result<Statfs> {
        Ok(Statfs { f_type: self.magic, f_bsize: 4096, f_frsize: 4096, f_namelen: 255, ..Statfs::default() })
    }

    fn caching(&self) -> Caching {
        self.caching
    }
}

/// What every computed inode has.
#[derive(Debug)]
pub struct Meta {
    tree: Weak<Tree>,
    attr: Mutex<Attr, InodeData>,
    attachments: Attachments,
}

impl Meta {
    /// The file system.
    #[must_use]
    pub fn tree(&self) -> Arc<Tree> {
        self.tree.upgrade().expect("a mount keeps the tree of its inodes alive")
    }

    /// The attributes.
    #[must_use]
    pub fn attr(&self) -> Attr {
        *self.attr.lock()
    }

    /// Gives the inode to somebody.
    #[must_use]
    pub fn owned_by(self, uid: u32, gid: u32) -> Self {
        {
            let mut attr = self.attr.lock();
            (attr.uid, attr.gid) = (uid, gid);
        }
        self
    }

    /// Applies what may change: mode and owner last as long as the inode; size and times are ignored.
    pub fn set_attr(&self, change: &SetAttr) {
        let mut attr = self.attr.lock();
        if let Some(mode) = change.mode {
            attr.mode = attr.mode & !0o7777 | mode & 0o7777;
        }
        attr.uid = change.uid.unwrap_or(attr.uid);
        attr.gid = change.gid.unwrap_or(attr.gid);
    }

    /// Locks, watches and such.
    #[must_use]
    pub fn attachments(&self) -> &Attachments {
        &self.attachments
    }
}

/// The methods of [`Inode`] that a `meta: Meta` field answers.
macro_rules! meta_inode {
    () => {
        fn fs(&self) -> std::sync::Arc<dyn $crate::vfs::FileSystem> {
            self.meta.tree()
        }

        fn attr(&self) -> $crate::error::Result<$crate::vfs::Attr> {
            Ok(self.meta.attr())
        }

        fn set_attr(&self, change: &$crate::vfs::SetAttr) -> $crate::error::Result<()> {
            self.meta.set_attr(change);
            Ok(())
        }

        fn attachments(&self) -> &$crate::vfs::attachments::Attachments {
            self.meta.attachments()
        }
    };
}

pub(crate) use meta_inode;
