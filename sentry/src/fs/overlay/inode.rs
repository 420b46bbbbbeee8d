//! What the VFS asks of an overlay's inodes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::stat::FileType;
use host::mem::HostSlice;

use super::OverlayNode;
use super::file::OverlayFile;
use super::node::Body;
use crate::error::{Result, err};
use crate::fs::tmpfs::MappedContent;
use crate::mm::Mappable;
use crate::task::CurrentTask;
use crate::vfs::attachments::Attachments;
use crate::vfs::{Access, Attr, DirEntry, FileOps, FileSystem, Inode, NewNode, SetAttr, XattrMode};

/// The length of accesses that regular files advise: a call costs what copying that much does, so programs that go by it
/// (stdio, cmp, cp) need not make sixteen times as many. Linux's network file systems advise the like.
const BLKSIZE: u32 = 64 << 10;

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
                attr.blksize = BLKSIZE;
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
