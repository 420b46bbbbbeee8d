//! Inodes of an overlay: [`OverlayNode`], and how one becomes ours (copy-up).

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::stat::{FileType, S_IALLUGO};
use host::mem::HostSlice;
use sync::{Mutex, RwLock};

use super::OverlayFs;
use super::file::OverlayFile;
use super::names::{DirNames, Known};
use super::place::Place;
use crate::error::{Error, Result, err};
use crate::fs::tmpfs::{Content, HasContent, MappedContent, Meta};
use crate::lock_order;
use crate::mm::Mappable;
use crate::task::CurrentTask;
use crate::vfs::attachments::Attachments;
use crate::vfs::file::AtimePolicy;
use crate::vfs::{Access, Attr, DirEntry, FileOps, FileSystem, Inode, NewKind, NewNode, SetAttr, XattrMode};

/// An inode of an overlay.
#[derive(Debug)]
pub struct OverlayNode {
    this: Weak<Self>,
    pub(super) fs: Arc<OverlayFs>,
    ino: u64,
    kind: FileType,
    /// What it shows, or showed at first.
    pub(super) lower: Option<Arc<dyn Inode>>,
    pub(super) place: Mutex<Place, lock_order::Leaf>,
    meta: Mutex<OwnMeta, lock_order::InodeData>,
    pub(super) body: Body,
    /// Its last name was removed before its attributes were ours.
    gone: AtomicBool,
    attachments: Attachments,
}

/// What differs from kind to kind.
#[derive(Debug)]
pub(super) enum Body {
    /// A regular file; ours once it is written or mapped.
    Regular(OnceLock<Content>),
    /// A directory.
    Directory(RwLock<DirNames, lock_order::Inode>),
    /// A symbolic link of ours; `None`: it is below.
    Symlink(Option<Box<[u8]>>),
    /// A FIFO, socket or device.
    Special(u64),
}

/// Attributes that are ours.
#[derive(Debug, Default)]
struct OwnMeta {
    /// `None`: those below.
    meta: Option<Meta>,
    /// Whether extended attributes are ours too.
    xattrs: bool,
}

impl OverlayNode {
    pub(super) fn root(fs: &Arc<OverlayFs>, lower: Arc<dyn Inode>) -> Result<Arc<Self>> {
        let root = Self::over(fs, lower, Place::Nowhere)?;
        root.set_place(Place::Pinned);
        Ok(root)
    }

    /// A node that shows a lower inode.
    fn over(fs: &Arc<OverlayFs>, lower: Arc<dyn Inode>, place: Place) -> Result<Arc<Self>> {
        let attr = lower.attr()?;
        let kind = FileType::from_mode(attr.mode).ok_or(Errno::EIO)?;
        let body = match kind {
            FileType::Regular => Body::Regular(OnceLock::new()),
            FileType::Directory => Body::Directory(RwLock::default()),
            FileType::Symlink => Body::Symlink(None),
            _ => Body::Special(attr.rdev),
        };
        let make = || Self::with(fs, attr.ino, kind, Some(lower), place, OwnMeta::default(), body);
        if kind != FileType::Directory && attr.nlink > 1 { Ok(fs.shared(attr.ino, make)) } else { Ok(make()) }
    }

    fn with(
        fs: &Arc<OverlayFs>,
        ino: u64,
        kind: FileType,
        lower: Option<Arc<dyn Inode>>,
        place: Place,
        meta: OwnMeta,
        body: Body,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            fs: Arc::clone(fs),
            ino,
            kind,
            lower,
            place: Mutex::new(place),
            meta: Mutex::new(meta),
            body,
            gone: AtomicBool::new(false),
            attachments: Attachments::default(),
        })
    }

    /// A new node, in no directory yet.
    pub(super) fn make(fs: &Arc<OverlayFs>, node: &NewNode<'_>, nlink: u32) -> Arc<Self> {
        let content = || OnceLock::from(fs.new_content());
        let (kind, body) = match node.kind {
            NewKind::Regular => (FileType::Regular, Body::Regular(content())),
            NewKind::Directory => (FileType::Directory, Body::Directory(RwLock::default())),
            NewKind::Symlink(target) => (FileType::Symlink, Body::Symlink(Some(target.into()))),
            NewKind::Fifo => (FileType::Fifo, Body::Special(0)),
            NewKind::Socket => (FileType::Socket, Body::Special(0)),
            NewKind::CharDevice(rdev) => (FileType::CharDevice, Body::Special(rdev)),
            NewKind::BlockDevice(rdev) => (FileType::BlockDevice, Body::Special(rdev)),
        };
        let nlink = if kind == FileType::Directory { 2 } else { nlink };
        let meta = Meta::new(kind.mode_bits() | node.mode & S_IALLUGO, node.uid, node.gid, nlink);
        let meta = OwnMeta { meta: Some(meta), xattrs: true };
        Self::with(fs, fs.take_ino(), kind, None, Place::Nowhere, meta, body)
    }

    pub(super) fn ino(&self) -> u64 {
        self.ino
    }

    pub(super) fn is_dir(&self) -> bool {
        self.kind == FileType::Directory
    }

    /// Names beyond those below; ENOTDIR if it is no directory.
    pub(super) fn names(&self) -> Result<&RwLock<DirNames, lock_order::Inode>> {
        match &self.body {
            Body::Directory(names) => Ok(names),
            _ => err(Errno::ENOTDIR),
        }
    }

    /// An inode of this file system; EXDEV for any other.
    pub(super) fn of(&self, inode: &Arc<dyn Inode>) -> Result<Arc<Self>> {
        let any: Arc<dyn Any + Send + Sync> = Arc::clone(inode) as _;
        let node: Arc<Self> = any.downcast().map_err(|_| Error::from(Errno::EXDEV))?;
        if Arc::ptr_eq(&node.fs, &self.fs) { Ok(node) } else { err(Errno::EXDEV) }
    }

    /// Changes attributes, which become ours.
    pub(super) fn change_meta<T>(self: &Arc<Self>, f: impl FnOnce(&mut Meta) -> T) -> Result<T> {
        self.pin();
        self.change_meta_pinned(f)
    }

    /// As [`Self::change_meta`] for a node that is pinned (or in no directory).
    pub(super) fn change_meta_pinned<T>(self: &Arc<Self>, f: impl FnOnce(&mut Meta) -> T) -> Result<T> {
        if let Some(meta) = &mut self.meta.lock().meta {
            return Ok(f(meta));
        }
        let attr = self.lower()?.attr()?;
        let shared = !self.is_dir() && attr.nlink > 1;
        let copy = Meta {
            mode: attr.mode,
            uid: attr.uid,
            gid: attr.gid,
            nlink: if self.gone.load(Ordering::Relaxed) { 0 } else { attr.nlink },
            atime: attr.atime,
            mtime: attr.mtime,
            ctime: attr.ctime,
            btime: attr.btime.unwrap_or(attr.ctime),
            xattrs: None,
        };
        if shared {
            self.fs.keep_shared(self);
        }
        Ok(f(self.meta.lock().meta.get_or_insert(copy)))
    }

    /// A name of it was removed.
    pub(super) fn unlinked(self: &Arc<Self>) -> Result<()> {
        let ours = self.meta.lock().meta.is_some();
        if !ours && (self.is_dir() || self.lower()?.attr()?.nlink <= 1) {
            self.gone.store(true, Ordering::Relaxed);
            return Ok(());
        }
        let is_dir = self.is_dir();
        self.change_meta_pinned(|meta| {
            meta.nlink = if is_dir { 0 } else { meta.nlink.saturating_sub(1) };
            meta.ctime = crate::vfs::attr::now();
        })
    }

    fn lower(&self) -> Result<&Arc<dyn Inode>> {
        self.lower.as_ref().ok_or_else(|| Errno::EIO.into())
    }

    /// The bytes of a regular file, ours or over those below.
    pub(super) fn content_of(&self) -> Result<&Content> {
        let Body::Regular(content) = &self.body else { return err(Errno::EINVAL) };
        if let Some(content) = content.get() {
            return Ok(content);
        }
        let lower = self.lower()?;
        let len = lower.attr()?.size;
        Ok(content.get_or_init(|| self.fs.content_over(lower, len)))
    }

    /// From here on lookups find this node, with attributes of its own, so that writing need not see to it.
    pub(crate) fn prepare_write(&self) -> Result<()> {
        let this = self.this()?;
        this.change_meta(|_| ())?;
        this.content_of()?;
        Ok(())
    }

    /// The bytes, if they differ from those below.
    pub(super) fn changed_content(&self) -> Option<&Content> {
        match &self.body {
            Body::Regular(content) => content.get().filter(|content| self.lower.is_none() || content.is_touched()),
            _ => None,
        }
    }

    /// Looks a name up: what is known here, or else below.
    pub(super) fn find(self: &Arc<Self>, name: &[u8]) -> Result<Arc<Self>> {
        let known = self.names()?.read().get(name);
        match known {
            Known::Node(node) => Ok(node),
            Known::Whiteout => err(Errno::ENOENT),
            Known::Below => match &self.lower {
                None => err(Errno::ENOENT),
                Some(lower) => {
                    let place = Place::Shown(Arc::clone(self), Arc::from(name));
                    Self::over(&self.fs, lower.lookup(name)?, place)
                }
            },
        }
    }

    /// Extended attributes become ours.
    fn own_xattrs(self: &Arc<Self>) -> Result<()> {
        self.change_meta(|_| ())?;
        if self.meta.lock().xattrs {
            return Ok(());
        }
        let mut copies = Vec::new();
        if let Some(lower) = &self.lower {
            for name in lower.listxattr()? {
                let value = lower.getxattr(&name)?;
                copies.push((name, value));
            }
        }
        let mut own = self.meta.lock();
        if !own.xattrs {
            own.xattrs = true;
            if let Some(meta) = &mut own.meta {
                for (name, value) in copies {
                    meta.setxattr(&name, &value, XattrMode::Any)?;
                }
            }
        }
        Ok(())
    }

    /// The node itself, for methods that are not called through an `Arc`.
    pub(super) fn this(&self) -> Result<Arc<Self>> {
        self.this.upgrade().ok_or_else(|| Errno::EIO.into())
    }
}

impl HasContent for OverlayNode {
    fn content(&self) -> &Content {
        match &self.body {
            Body::Regular(content) => content.get().expect("made when the file was opened or mapped"),
            _ => unreachable!("only regular files are opened as such"),
        }
    }

    fn accessed(&self, policy: AtimePolicy) {
        if policy != AtimePolicy::Never
            && let Some(meta) = &mut self.meta.lock().meta
        {
            meta.accessed(policy);
        }
    }

    fn modified(&self) {
        if let Some(meta) = &mut self.meta.lock().meta {
            meta.modified();
        }
    }
}

impl Inode for OverlayNode {
    fn fs(&self) -> Arc<dyn FileSystem> {
        Arc::clone(&self.fs) as Arc<dyn FileSystem>
    }

    fn attr(&self) -> Result<Attr> {
        let mut attr = match &self.lower {
            Some(lower) => lower.attr()?,
            None => Attr { blksize: 4096, ..Attr::default() },
        };
        (attr.dev, attr.ino) = (self.fs.dev(), self.ino);
        match &self.body {
            Body::Regular(_) => {
                if let Some(content) = self.changed_content() {
                    (attr.size, attr.blocks) = (content.size(), content.blocks());
                }
            }
            Body::Directory(_) if self.lower.is_none() => attr.size = 4096,
            Body::Symlink(Some(target)) => attr.size = target.len() as u64,
            Body::Directory(_) | Body::Symlink(None) => {}
            Body::Special(rdev) => attr.rdev = *rdev,
        }
        match &self.meta.lock().meta {
            Some(meta) => meta.fill(&mut attr),
            None if self.gone.load(Ordering::Relaxed) => attr.nlink = 0,
            None => {}
        }
        Ok(attr)
    }

    fn access(&self) -> Result<Access> {
        if let Some(meta) = &self.meta.lock().meta {
            return Ok(meta.access());
        }
        self.lower()?.access()
    }

    fn file_type(&self) -> Result<FileType> {
        Ok(self.kind)
    }

    fn set_attr(&self, change: &SetAttr) -> Result<()> {
        let this = self.this()?;
        this.pin();
        if let Some(size) = change.size {
            this.content_of()?.truncate(size, |_| Ok(()))?;
        }
        this.change_meta_pinned(|meta| meta.apply(change))
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        Ok(self.this()?.find(name)?)
    }

    fn create(&self, name: &[u8], node: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        Ok(self.this()?.create_node(name, node)?)
    }

    fn create_tmpfile(&self, node: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        Ok(Self::make(&self.fs, node, 0))
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        self.this()?.add_link(name, &self.of(target)?)
    }

    fn unlink(&self, name: &[u8], child: &Arc<dyn Inode>) -> Result<()> {
        self.this()?.remove(name, &self.of(child)?)
    }

    fn rmdir(&self, name: &[u8], child: &Arc<dyn Inode>) -> Result<()> {
        let child = self.of(child)?;
        child.check_empty()?;
        self.this()?.remove(name, &child)
    }

    fn rename(
        &self,
        name: &[u8],
        child: &Arc<dyn Inode>,
        new_dir: &Arc<dyn Inode>,
        new_name: &[u8],
        replaced: Option<&Arc<dyn Inode>>,
        exchange: bool,
    ) -> Result<()> {
        let replaced = replaced.map(|inode| self.of(inode)).transpose()?;
        self.this()?.move_name((name, &self.of(child)?), (&self.of(new_dir)?, new_name), replaced.as_ref(), exchange)
    }

    fn readlink(&self) -> Result<Vec<u8>> {
        match &self.body {
            Body::Symlink(Some(target)) => Ok(target.to_vec()),
            Body::Symlink(None) => self.lower()?.readlink(),
            _ => err(Errno::EINVAL),
        }
    }

    fn readdir(&self, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        self.list(from, emit)
    }

    fn open(self: Arc<Self>, task: &CurrentTask, flags: OpenFlags) -> Result<Arc<dyn FileOps>> {
        if self.kind != FileType::Regular {
            return err(Errno::ENXIO);
        }
        if flags.writable() {
            self.prepare_write()?;
        }
        let below = match &self.lower {
            Some(lower) if self.changed_content().is_none() => {
                let read_only = flags - OpenFlags::O_ACCMODE - OpenFlags::O_APPEND;
                Some(Arc::clone(lower).open(task, read_only)?)
            }
            _ => None,
        };
        Ok(Arc::new(OverlayFile::new(self, below)))
    }

    fn attachments(&self) -> &Attachments {
        &self.attachments
    }

    fn read_into(&self, pos: u64, dst: &HostSlice<'_>) -> Result<usize> {
        match (&self.lower, self.changed_content()) {
            (Some(lower), None) => lower.read_into(pos, dst),
            _ => self.content_of()?.read_into(pos, dst),
        }
    }

    fn mappable(self: Arc<Self>) -> Option<Arc<dyn Mappable>> {
        self.content_of().ok()?;
        // What is below needs its descriptor, which a fault could not ask for.
        if let Some(lower) = &self.lower {
            Arc::clone(lower).mappable()?;
        }
        Some(Arc::new(MappedContent(self)))
    }

    fn getxattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        let own = self.meta.lock();
        match (&own.meta, &self.lower) {
            (Some(meta), _) if own.xattrs => meta.getxattr(name),
            (_, Some(lower)) => {
                let lower = Arc::clone(lower);
                drop(own);
                lower.getxattr(name)
            }
            _ => err(Errno::ENODATA),
        }
    }

    fn setxattr(&self, name: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
        let this = self.this()?;
        this.own_xattrs()?;
        this.change_meta_pinned(|meta| meta.setxattr(name, value, mode))?
    }

    fn listxattr(&self) -> Result<Vec<Vec<u8>>> {
        let own = self.meta.lock();
        match (&own.meta, &self.lower) {
            (Some(meta), _) if own.xattrs => Ok(meta.listxattr()),
            (_, Some(lower)) => {
                let lower = Arc::clone(lower);
                drop(own);
                lower.listxattr()
            }
            _ => Ok(Vec::new()),
        }
    }

    fn removexattr(&self, name: &[u8]) -> Result<()> {
        // What is not there need not be copied to be removed.
        self.getxattr(name)?;
        let this = self.this()?;
        this.own_xattrs()?;
        this.change_meta_pinned(|meta| meta.removexattr(name))?
    }
}

impl Drop for OverlayNode {
    /// A tree that nobody can reach any more is taken apart without recursion, however deep it is.
    fn drop(&mut self) {
        let mut stack = self.take_children();
        while let Some(node) = stack.pop() {
            if let Some(mut node) = Arc::into_inner(node) {
                stack.extend(node.take_children());
            }
        }
        let mut place = std::mem::replace(self.place.get_mut(), Place::Nowhere);
        while let Place::Shown(dir, _) = place {
            place = match Arc::into_inner(dir) {
                Some(mut dir) => std::mem::replace(dir.place.get_mut(), Place::Nowhere),
                None => break,
            };
        }
    }
}

impl OverlayNode {
    fn take_children(&mut self) -> Vec<Arc<Self>> {
        match &mut self.body {
            Body::Directory(names) => names.get_mut().take_all(),
            _ => Vec::new(),
        }
    }
}
