//! Inodes of an overlay: [`OverlayNode`], and how one becomes ours (copy-up).

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use abi::Errno;
use abi::stat::{FileType, S_IALLUGO};
use sync::{Mutex, RwLock};

use super::OverlayFs;
use super::names::{DirNames, Known};
use super::place::Place;
use crate::error::{Error, Result, err};
use crate::fs::tmpfs::{Content, HasContent, Meta};
use crate::lock_order;
use crate::vfs::attachments::Attachments;
use crate::vfs::file::AtimePolicy;
use crate::vfs::{Inode, NewKind, NewNode, XattrMode};

/// An inode of an overlay.
#[derive(Debug)]
pub struct OverlayNode {
    this: Weak<Self>,
    pub(super) fs: Arc<OverlayFs>,
    pub(super) ino: u64,
    pub(super) kind: FileType,
    /// What it shows, or showed at first.
    pub(super) lower: Option<Arc<dyn Inode>>,
    pub(super) place: Mutex<Place, lock_order::Leaf>,
    pub(super) meta: Mutex<OwnMeta, lock_order::InodeData>,
    pub(super) body: Body,
    /// Its last name was removed before its attributes were ours.
    pub(super) gone: AtomicBool,
    pub(super) attachments: Attachments,
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
pub(super) struct OwnMeta {
    /// `None`: those below.
    pub(super) meta: Option<Meta>,
    /// Whether extended attributes are ours too.
    pub(super) xattrs: bool,
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

    pub(super) fn lower(&self) -> Result<&Arc<dyn Inode>> {
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
    pub(super) fn own_xattrs(self: &Arc<Self>) -> Result<()> {
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
