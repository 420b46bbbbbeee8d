//! Inodes of tmpfs: [`Node`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use abi::Errno;
use abi::fcntl::{FallocateMode, OpenFlags, Seals};
use abi::stat::{FileType, S_IALLUGO, S_IFDIR, S_IXUGO};
use host::mem::HostSlice;
use sync::{Mutex, RwLock};

use super::dir::Names;
use super::file::{ContentFile, HasContent, MappedContent};
use super::{Content, Meta, TmpFs};
use crate::error::{Result, err};
use crate::lock_order;
use crate::mm::Mappable;
use crate::task::CurrentTask;
use crate::vfs::attachments::Attachments;
use crate::vfs::attr::now;
use crate::vfs::file::AtimePolicy;
use crate::vfs::{Access, Attr, DirEntry, FileOps, FileSystem, Inode, NewKind, NewNode, SetAttr, XattrMode};

/// What a name in a directory adds to its size.
const DIRENT_SIZE: u64 = 20;

/// An inode of tmpfs.
#[derive(Debug)]
pub struct Node {
    fs: Arc<TmpFs>,
    ino: u64,
    kind: NodeKind,
    meta: Mutex<Meta, lock_order::InodeData>,
    seals: AtomicU32,
    attachments: Attachments,
}

/// What kind of inode, and what it holds.
#[derive(Debug)]
pub enum NodeKind {
    /// A regular file.
    Regular(Content),
    /// A directory.
    Directory(RwLock<Names<Arc<Node>>, lock_order::Inode>),
    /// A symbolic link.
    Symlink(Box<[u8]>),
    /// A FIFO, socket or device, with its number.
    Special(u64),
}

impl Node {
    pub(super) fn root(fs: &Arc<TmpFs>, mode: u32, uid: u32, gid: u32) -> Arc<Self> {
        let ino = fs.take_ino().unwrap_or(1);
        Self::with(fs, ino, NodeKind::Directory(RwLock::default()), Meta::new(S_IFDIR | mode, uid, gid, 2))
    }

    fn with(fs: &Arc<TmpFs>, ino: u64, kind: NodeKind, meta: Meta) -> Arc<Self> {
        Arc::new(Self {
            fs: Arc::clone(fs),
            ino,
            kind,
            meta: Mutex::new(meta),
            // Only memfd_create(2) makes files that can be sealed.
            seals: AtomicU32::new(Seals::F_SEAL_SEAL.bits()),
            attachments: Attachments::default(),
        })
    }

    /// A regular file without a name, as memfd_create(2) makes.
    pub fn new_unnamed(fs: &Arc<TmpFs>, mode: u32, uid: u32, gid: u32) -> Result<Arc<Self>> {
        let node = NewNode { kind: NewKind::Regular, mode, uid, gid };
        Self::make(fs, &node, 0)
    }

    fn make(fs: &Arc<TmpFs>, node: &NewNode<'_>, nlink: u32) -> Result<Arc<Self>> {
        let ino = fs.take_ino()?;
        let (kind, of) = match node.kind {
            NewKind::Regular => (NodeKind::Regular(fs.new_content()), FileType::Regular),
            NewKind::Directory => (NodeKind::Directory(RwLock::default()), FileType::Directory),
            NewKind::Symlink(target) => (NodeKind::Symlink(target.into()), FileType::Symlink),
            NewKind::Fifo => (NodeKind::Special(0), FileType::Fifo),
            NewKind::Socket => (NodeKind::Special(0), FileType::Socket),
            NewKind::CharDevice(rdev) => (NodeKind::Special(rdev), FileType::CharDevice),
            NewKind::BlockDevice(rdev) => (NodeKind::Special(rdev), FileType::BlockDevice),
        };
        let nlink = if of == FileType::Directory { 2 } else { nlink };
        let mode = of.mode_bits() | node.mode & S_IALLUGO;
        Ok(Self::with(fs, ino, kind, Meta::new(mode, node.uid, node.gid, nlink)))
    }

    /// The bytes, if it is a regular file.
    #[must_use]
    pub fn regular(&self) -> Option<&Content> {
        match &self.kind {
            NodeKind::Regular(content) => Some(content),
            _ => None,
        }
    }

    /// What may not be done with it any more.
    #[must_use]
    pub fn seals(&self) -> Seals {
        Seals::from_bits_retain(self.seals.load(Ordering::SeqCst))
    }

    /// Replaces its seals.
    pub fn set_seals(&self, seals: Seals) {
        self.seals.store(seals.bits(), Ordering::SeqCst);
    }

    /// The names, if it is a directory.
    fn names(&self) -> Result<&RwLock<Names<Arc<Self>>, lock_order::Inode>> {
        match &self.kind {
            NodeKind::Directory(names) => Ok(names),
            _ => err(Errno::ENOTDIR),
        }
    }

    fn is_dir(&self) -> bool {
        matches!(self.kind, NodeKind::Directory(_))
    }

    /// A directory lost or got a subdirectory or name.
    fn changed(&self, subdirs: i32) {
        let mut meta = self.meta.lock();
        meta.nlink = meta.nlink.saturating_add_signed(subdirs);
        meta.modified();
    }

    /// A name of it is gone.
    fn unlinked(&self) {
        let mut meta = self.meta.lock();
        meta.nlink = if self.is_dir() { 0 } else { meta.nlink.saturating_sub(1) };
        meta.ctime = now();
    }

    /// As a node of this file system.
    fn of<'a>(&self, inode: &'a Arc<dyn Inode>) -> Result<&'a Self> {
        let any: &dyn std::any::Any = &**inode;
        match any.downcast_ref::<Self>() {
            Some(node) if Arc::ptr_eq(&node.fs, &self.fs) => Ok(node),
            _ => err(Errno::EXDEV),
        }
    }

    fn check_empty(&self) -> Result<()> {
        match &self.kind {
            NodeKind::Directory(names) if !names.read().is_empty() => err(Errno::ENOTEMPTY),
            _ => Ok(()),
        }
    }
}

impl HasContent for Node {
    fn content(&self) -> &Content {
        self.regular().expect("only regular files are opened as such")
    }

    fn accessed(&self, policy: AtimePolicy) {
        if policy != AtimePolicy::Never {
            self.meta.lock().accessed(policy);
        }
    }

    fn modified(&self) {
        self.meta.lock().modified();
    }

    fn check_write(&self, offset: u64, len: u64) -> Result<()> {
        crate::fs::memfd::check_write(self.seals(), self.content().size(), offset, len)
    }

    // Seals against writing forbid holes; room may be made for as long as the file may grow.
    fn check_allocate(&self, mode: u32, offset: u64, len: u64) -> Result<()> {
        let hole = FallocateMode::from_bits_retain(mode).contains(FallocateMode::FALLOC_FL_PUNCH_HOLE);
        let (seals, size) = (self.seals(), self.content().size());
        if hole {
            crate::fs::memfd::check_write(seals - Seals::F_SEAL_GROW, size, offset, len)
        } else {
            crate::fs::memfd::check_write(seals & Seals::F_SEAL_GROW, size, offset, len)
        }
    }

    fn allow_shared_write(&self) -> Result<()> {
        crate::fs::memfd::check_write(self.seals(), 0, 0, 0)
    }
}

impl Inode for Node {
    fn fs(&self) -> Arc<dyn FileSystem> {
        Arc::clone(&self.fs) as Arc<dyn FileSystem>
    }

    fn attr(&self) -> Result<Attr> {
        let mut attr = Attr { dev: self.fs.dev(), ino: self.ino, blksize: 4096, ..Attr::default() };
        match &self.kind {
            NodeKind::Regular(content) => (attr.size, attr.blocks) = (content.size(), content.blocks()),
            NodeKind::Directory(names) => attr.size = (names.read().len() as u64 + 2) * DIRENT_SIZE,
            NodeKind::Symlink(target) => attr.size = target.len() as u64,
            NodeKind::Special(rdev) => attr.rdev = *rdev,
        }
        self.meta.lock().fill(&mut attr);
        Ok(attr)
    }

    fn access(&self) -> Result<Access> {
        Ok(self.meta.lock().access())
    }

    fn set_attr(&self, change: &SetAttr) -> Result<()> {
        if let Some(size) = change.size {
            let content = self.regular().ok_or(Errno::EINVAL)?;
            content.truncate(size, |old| crate::fs::memfd::check_resize(self.seals(), old, size))?;
        }
        let mut meta = self.meta.lock();
        if let Some(mode) = change.mode
            && (mode ^ meta.mode) & S_IXUGO != 0
            && self.seals().contains(Seals::F_SEAL_EXEC)
        {
            return err(Errno::EPERM);
        }
        meta.apply(change);
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        match self.names()?.read().get(name) {
            Some(node) => Ok(Arc::clone(node) as Arc<dyn Inode>),
            None => err(Errno::ENOENT),
        }
    }

    fn create(&self, name: &[u8], node: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        let made = Self::make(&self.fs, node, 1)?;
        {
            let mut names = self.names()?.write();
            if names.get(name).is_some() {
                return err(Errno::EEXIST);
            }
            names.insert(name, Arc::clone(&made));
        }
        self.changed(i32::from(made.is_dir()));
        Ok(made)
    }

    fn create_tmpfile(&self, node: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        Ok(Self::make(&self.fs, node, 0)?)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let node = Arc::clone(target);
        self.of(&node)?;
        let any: Arc<dyn std::any::Any + Send + Sync> = node;
        let node = any.downcast::<Self>().map_err(|_| Errno::EXDEV)?;
        {
            let mut names = self.names()?.write();
            if names.get(name).is_some() {
                return err(Errno::EEXIST);
            }
            names.insert(name, Arc::clone(&node));
        }
        {
            let mut meta = node.meta.lock();
            meta.nlink = meta.nlink.checked_add(1).ok_or(Errno::EMLINK)?;
            meta.ctime = now();
        }
        self.changed(0);
        Ok(())
    }

    fn unlink(&self, name: &[u8], _: &Arc<dyn Inode>) -> Result<()> {
        let node = self.names()?.write().remove(name).ok_or(Errno::ENOENT)?;
        node.unlinked();
        self.changed(0);
        Ok(())
    }

    fn rmdir(&self, name: &[u8], child: &Arc<dyn Inode>) -> Result<()> {
        let node = self.of(child)?;
        node.check_empty()?;
        self.names()?.write().remove(name);
        node.unlinked();
        self.changed(-1);
        Ok(())
    }

    fn rename(
        &self,
        name: &[u8],
        _: &Arc<dyn Inode>,
        new_dir: &Arc<dyn Inode>,
        new_name: &[u8],
        replaced: Option<&Arc<dyn Inode>>,
        exchange: bool,
    ) -> Result<()> {
        let to = self.of(new_dir)?;
        if let Some(replaced) = replaced
            && !exchange
        {
            self.of(replaced)?.check_empty()?;
        }
        let moved = self.names()?.write().remove(name).ok_or(Errno::ENOENT)?;
        let moved_dir = moved.is_dir();
        let old = to.names()?.write().insert(new_name, Arc::clone(&moved));
        moved.meta.lock().ctime = now();
        self.changed(-i32::from(moved_dir));
        to.changed(i32::from(moved_dir));
        if let Some(old) = old {
            let old_dir = old.is_dir();
            to.changed(-i32::from(old_dir));
            if exchange {
                old.meta.lock().ctime = now();
                self.names()?.write().insert(name, old);
                self.changed(i32::from(old_dir));
            } else {
                old.unlinked();
            }
        }
        Ok(())
    }

    fn readlink(&self) -> Result<Vec<u8>> {
        match &self.kind {
            NodeKind::Symlink(target) => Ok(target.to_vec()),
            _ => err(Errno::EINVAL),
        }
    }

    fn readdir(&self, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        let names = self.names()?.read();
        for (name, node, next) in names.from(from) {
            let kind = node.file_type()?.dirent_type();
            if !emit(DirEntry { name, ino: node.ino, kind, next }) {
                break;
            }
        }
        drop(names);
        Ok(())
    }

    fn open(self: Arc<Self>, _: &CurrentTask, _: OpenFlags) -> Result<Arc<dyn FileOps>> {
        match &self.kind {
            NodeKind::Regular(_) => Ok(Arc::new(ContentFile(self))),
            _ => err(Errno::ENXIO),
        }
    }

    fn attachments(&self) -> &Attachments {
        &self.attachments
    }

    fn read_into(&self, pos: u64, dst: &HostSlice<'_>) -> Result<usize> {
        self.regular().ok_or(Errno::EINVAL)?.read_into(pos, dst)
    }

    fn mappable(self: Arc<Self>) -> Option<Arc<dyn Mappable>> {
        self.regular()?;
        Some(Arc::new(MappedContent(self)))
    }

    fn getxattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.meta.lock().getxattr(name)
    }

    fn setxattr(&self, name: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
        self.meta.lock().setxattr(name, value, mode)
    }

    fn listxattr(&self) -> Result<Vec<Vec<u8>>> {
        Ok(self.meta.lock().listxattr())
    }

    fn removexattr(&self, name: &[u8]) -> Result<()> {
        self.meta.lock().removexattr(name)
    }
}

impl Drop for Node {
    /// A tree that nobody can reach any more is taken apart without recursion, however deep it is.
    fn drop(&mut self) {
        self.fs.release_ino();
        let mut stack: Vec<Arc<Self>> = self.take_names();
        while let Some(node) = stack.pop() {
            if let Some(mut node) = Arc::into_inner(node) {
                stack.extend(node.take_names());
            }
        }
    }
}

impl Node {
    fn take_names(&mut self) -> Vec<Arc<Self>> {
        match &mut self.kind {
            NodeKind::Directory(names) => names.get_mut().take_all().collect(),
            _ => Vec::new(),
        }
    }
}
