//! A file of the tree.

use std::any::Any;
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::stat::FileType;
use host::mem::HostSlice;
use ninep::client::{Entry, FidHandle};
use ninep::{Name, Stat};
use sync::Mutex;

use super::attributes::Attributes;
use super::data::Contents;
use super::directory::Directory;
use super::inodes::Key;
use super::{GoferFs, log_lost};
use crate::error::{Error, Result};
use crate::lock_order::InodeData;
use crate::mm::Mappable;
use crate::task::CurrentTask;
use crate::vfs::attachments::Attachments;
use crate::vfs::{Access, Attr, DirEntry, FileOps, FileSystem, Inode, NewNode, SetAttr, XattrMode};

/// A file, directory, link or special node that a gofer serves.
#[derive(Debug)]
pub struct GoferInode {
    pub(super) fs: Arc<GoferFs>,
    pub(super) key: Key,
    pub(super) attributes: Attributes,
    pub(super) body: Body,
    place: Mutex<Place, InodeData>,
    /// Names of extended attributes, kept where the tree is ours.
    pub(super) xattr_names: Mutex<Option<Arc<[u8]>>, InodeData>,
    attachments: Attachments,
}

/// How the gofer is told which file is meant.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// By the fid that it has.
    Fid(Arc<FidHandle>),
    /// By its name in a directory, until it needs a fid. Only where the tree is ours.
    Named(Arc<GoferInode>, Arc<[u8]>),
    /// Not at all: its last known name was removed before it ever had a fid.
    Gone,
}

/// How the gofer can be told which file is meant: by a fid, or by a name in a directory that has one. In the second case what
/// is asked of the file goes along with the lookup, in one round trip.
#[derive(Debug)]
pub(super) enum Reach {
    Fid(Arc<FidHandle>),
    Name(Arc<FidHandle>, Arc<[u8]>),
}

/// What differs from kind to kind.
#[derive(Debug)]
pub(super) enum Body {
    Regular(Contents),
    Directory(Directory),
    Symlink(OnceLock<Box<[u8]>>),
    /// A FIFO, socket or device node.
    Special,
}

impl Body {
    pub(super) fn new(stat: &Stat, target: Option<Box<[u8]>>) -> Self {
        match FileType::from_mode(stat.mode) {
            Some(FileType::Regular) => Self::Regular(Contents::default()),
            Some(FileType::Directory) => Self::Directory(Directory::default()),
            Some(FileType::Symlink) => Self::Symlink(target.map_or_else(OnceLock::new, OnceLock::from)),
            _ => Self::Special,
        }
    }
}

impl GoferInode {
    pub(super) fn new(fs: Arc<GoferFs>, key: Key, stat: Stat, body: Body, place: Place) -> Self {
        Self {
            fs,
            key,
            attributes: Attributes::new(stat),
            body,
            place: Mutex::new(place),
            xattr_names: Mutex::new(None),
            attachments: Attachments::default(),
        }
    }

    /// The file was looked up anew.
    pub(super) fn found_again(&self, fid: Option<&Arc<FidHandle>>, stat: &Stat) {
        if let Some(fid) = fid {
            let mut place = self.place.lock();
            if !matches!(*place, Place::Fid(_)) {
                *place = Place::Fid(Arc::clone(fid));
            }
        }
        if !self.fs.exclusive() {
            self.attributes.confirm(*stat);
        }
    }

    /// The fid, which is asked for now if the file has none yet. ESTALE if it cannot have one any more.
    pub(super) fn fid(&self) -> Result<Arc<FidHandle>> {
        match self.reach()? {
            Reach::Fid(fid) => Ok(fid),
            Reach::Name(dir, name) => {
                let entry = self.fs.client.lookup(&dir, Name::new(&name)?).map_err(|error| log_lost(&error))?;
                self.reached(entry)
            }
        }
    }

    /// How the gofer can be told now which file is meant.
    pub(super) fn reach(&self) -> Result<Reach> {
        let place = self.place.lock().clone();
        match place {
            Place::Fid(fid) => Ok(Reach::Fid(fid)),
            Place::Named(dir, name) => Ok(Reach::Name(dir.fid()?, name)),
            Place::Gone => Err(Errno::ESTALE.into()),
        }
    }

    /// The file was looked up by its name, and has a fid from now on.
    pub(super) fn reached(&self, entry: Entry) -> Result<Arc<FidHandle>> {
        if Key::from(&entry.stat) != self.key {
            return Err(Errno::ESTALE.into());
        }
        if let (Body::Symlink(target), Some(found)) = (&self.body, entry.target) {
            let _ = target.set(found);
        }
        let mut place = self.place.lock();
        if let Place::Fid(fid) = &*place {
            return Ok(Arc::clone(fid));
        }
        let fid = Arc::new(entry.fid);
        *place = Place::Fid(Arc::clone(&fid));
        Ok(fid)
    }

    /// The file has another name now, which matters if it has no fid.
    pub(super) fn moved(&self, dir: &Arc<Self>, name: &[u8]) {
        let mut place = self.place.lock();
        if matches!(*place, Place::Named(..)) {
            *place = Place::Named(Arc::clone(dir), name.into());
        }
    }

    /// A name of the file was removed: the one by which it is known, if it has no fid.
    pub(super) fn unnamed(&self) {
        let mut place = self.place.lock();
        if matches!(*place, Place::Named(..)) {
            *place = Place::Gone;
        }
    }

    /// An inode of this file system; EXDEV for any other.
    pub(super) fn of(inode: &Arc<dyn Inode>) -> Result<Arc<Self>> {
        let any: Arc<dyn Any + Send + Sync> = Arc::clone(inode) as _;
        any.downcast().map_err(|_| Error::from(Errno::EXDEV))
    }
}

impl Drop for GoferInode {
    fn drop(&mut self) {
        self.fs.inodes.remove(self.key);
    }
}

impl Inode for GoferInode {
    fn fs(&self) -> Arc<dyn FileSystem> {
        Arc::clone(&self.fs) as _
    }

    fn attr(&self) -> Result<Attr> {
        self.current_attr()
    }

    fn access(&self) -> Result<Access> {
        Ok(self.attributes.access())
    }

    fn set_attr(&self, change: &SetAttr) -> Result<()> {
        self.change_attr(change)
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        Ok(self.find(name)?)
    }

    fn revalidate(&self, name: &[u8], child: Option<&Arc<dyn Inode>>) -> bool {
        self.still_is(name, child)
    }

    fn create(&self, name: &[u8], node: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        Ok(self.make(name, node)?)
    }

    fn create_tmpfile(&self, node: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        Ok(self.make_unnamed(node)?)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        self.add_link(name, target)
    }

    fn unlink(&self, name: &[u8], child: &Arc<dyn Inode>) -> Result<()> {
        self.remove(name, child, false)
    }

    fn rmdir(&self, name: &[u8], child: &Arc<dyn Inode>) -> Result<()> {
        self.remove(name, child, true)
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
        self.move_name((name, child), (new_dir, new_name), replaced, exchange)
    }

    fn readlink(&self) -> Result<Vec<u8>> {
        self.target().map(<[u8]>::to_vec)
    }

    fn readdir(&self, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        self.list(from, emit)
    }

    fn open(self: Arc<Self>, _task: &CurrentTask, flags: OpenFlags) -> Result<Arc<dyn FileOps>> {
        Ok(Arc::new(self.open_contents(flags)?))
    }

    fn attachments(&self) -> &Attachments {
        &self.attachments
    }

    fn read_into(&self, pos: u64, dst: &HostSlice<'_>) -> Result<usize> {
        let file = self.handle(false)?;
        Ok(dst.read_fd(file.as_fd(), Some(pos))?)
    }

    fn mappable(self: Arc<Self>) -> Option<Arc<dyn Mappable>> {
        // So that a fault need not ask for it.
        self.handle(false).ok()?;
        Some(self)
    }

    fn getxattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.xattr(name)
    }

    fn setxattr(&self, name: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
        self.set_xattr(name, value, mode)
    }

    fn listxattr(&self) -> Result<Vec<Vec<u8>>> {
        self.xattrs()
    }

    fn removexattr(&self, name: &[u8]) -> Result<()> {
        self.remove_xattr(name)
    }
}
