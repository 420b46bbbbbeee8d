//! tmpfs(5): a file system in the sandbox's memory. Data is in the memory file, names and attributes are ours.
//!
//! [`TmpFs`] is an instance, [`node::Node`] an inode. Data: [`content`], which overlay and memfd use too.
//! Locks: `InodeIo`, `Inode` (data, directories), `InodeData` (attributes).

pub mod content;
mod dir;
mod file;
mod meta;
mod node;
mod options;

pub use content::{Budget, Content};
pub use dir::Names;
pub(in crate::fs) use file::MappedContent;
pub use file::{ContentFile, HasContent};
pub use meta::{Meta, Xattrs};
pub use node::{Node, NodeKind};
pub use options::Options;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use abi::statfs::{Statfs, TMPFS_MAGIC};
use abi::{Errno, PAGE_SIZE};
use sync::Mutex;

use crate::error::{Result, err};
use crate::lock_order::Leaf;
use crate::mm::memfile::MemFile;
use crate::vfs::anon::next_dev;
use crate::vfs::{Dentry, FileSystem, Inode};

/// An instance of tmpfs.
#[derive(Debug)]
pub struct TmpFs {
    this: Weak<Self>,
    dev: u64,
    memfile: Arc<MemFile>,
    budget: Arc<Budget>,
    max_inodes: AtomicU64,
    inodes: AtomicU64,
    next_ino: AtomicU64,
    options: Mutex<Options, Leaf>,
    root: Mutex<Root, Leaf>,
}

/// The root directory: ours until somebody asks for it, then theirs.
#[derive(Debug)]
enum Root {
    Fresh(Arc<Node>),
    Given(Weak<Node>),
}

impl TmpFs {
    /// A new instance.
    #[must_use]
    pub fn new(memfile: &Arc<MemFile>, options: Options) -> Arc<Self> {
        let fs = Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            dev: next_dev(),
            memfile: Arc::clone(memfile),
            budget: Budget::new(options.max_pages()),
            max_inodes: AtomicU64::new(options.max_inodes()),
            inodes: AtomicU64::new(0),
            next_ino: AtomicU64::new(1),
            root: Mutex::new(Root::Given(Weak::new())),
            options: Mutex::new(options),
        });
        let (mode, uid, gid) = {
            let options = fs.options.lock();
            (options.mode, options.uid, options.gid)
        };
        let root = Node::root(&fs, mode, uid, gid);
        *fs.root.lock() = Root::Fresh(root);
        fs
    }

    /// A new instance, ready to be mounted.
    pub fn mount(memfile: &Arc<MemFile>, options: Options) -> Result<Arc<Dentry>> {
        Dentry::new_root(Self::new(memfile, options))
    }

    /// Its options.
    #[must_use]
    pub fn options(&self) -> Options {
        self.options.lock().clone()
    }

    /// `mount -o remount`: the limits.
    pub fn remount(&self, options: Options) -> Result<()> {
        self.budget.set_max(options.max_pages())?;
        self.max_inodes.store(options.max_inodes(), Ordering::Relaxed);
        *self.options.lock() = options;
        Ok(())
    }

    /// An empty file of this instance.
    pub(super) fn new_content(&self) -> Content {
        Content::new(Arc::clone(&self.memfile), Arc::clone(&self.budget))
    }

    /// A number for a new inode; ENOSPC at the limit.
    fn take_ino(&self) -> Result<u64> {
        if self.inodes.fetch_add(1, Ordering::Relaxed) >= self.max_inodes.load(Ordering::Relaxed) {
            self.inodes.fetch_sub(1, Ordering::Relaxed);
            return err(Errno::ENOSPC);
        }
        Ok(self.next_ino.fetch_add(1, Ordering::Relaxed))
    }

    fn release_ino(&self) {
        self.inodes.fetch_sub(1, Ordering::Relaxed);
    }
}

impl FileSystem for TmpFs {
    fn name(&self) -> &'static str {
        "tmpfs"
    }

    fn root(&self) -> Arc<dyn Inode> {
        let mut root = self.root.lock();
        let node = match &*root {
            Root::Fresh(node) => Arc::clone(node),
            // Only if somebody asks after the last dentry of the instance is gone.
            Root::Given(node) => node.upgrade().unwrap_or_else(|| {
                let fs = self.this.upgrade().expect("a method is being called");
                Node::root(&fs, 0o1777, 0, 0)
            }),
        };
        *root = Root::Given(Arc::downgrade(&node));
        node
    }

    fn dev(&self) -> u64 {
        self.dev
    }

    fn statfs(&self) -> Result<Statfs> {
        let (max, used) = (self.budget.max(), self.budget.used());
        let (max_inodes, inodes) = (self.max_inodes.load(Ordering::Relaxed), self.inodes.load(Ordering::Relaxed));
        let free = max.saturating_sub(used);
        let mut stat = Statfs {
            f_type: TMPFS_MAGIC,
            f_bsize: i64::try_from(PAGE_SIZE).expect("a page is small"),
            f_frsize: i64::try_from(PAGE_SIZE).expect("a page is small"),
            f_namelen: 255,
            ..Statfs::default()
        };
        // Without limits Linux shows zeroes.
        if self.options.lock().limits_blocks() {
            (stat.f_blocks, stat.f_bfree, stat.f_bavail) = (max, free, free);
        }
        if self.options.lock().limits_inodes() {
            (stat.f_files, stat.f_ffree) = (max_inodes, max_inodes.saturating_sub(inodes));
        }
        Ok(stat)
    }

    fn show_options(&self) -> String {
        self.options.lock().show()
    }
}
