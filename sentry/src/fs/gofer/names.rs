//! Making, linking, moving and removing names.

use std::sync::Arc;

use abi::Errno;
use abi::stat::{S_IFBLK, S_IFCHR, S_IFIFO, S_IFSOCK};
use ninep::Name;
use ninep::attr::Device;
use ninep::client::{Creation, Owner};
use ninep::flags::{RenameFlags, UnlinkFlags};

use super::inode::{Body, GoferInode};
use super::log_lost;
use crate::error::{Result, err};
use crate::vfs::{Inode, NewKind, NewNode};

impl GoferInode {
    pub(super) fn make(&self, name: &[u8], node: &NewNode<'_>) -> Result<Arc<Self>> {
        let (dir, entry_name) = (self.fid()?, Name::new(name)?);
        let owner = Owner { uid: node.uid, gid: node.gid };
        let special = |kind: u32, rdev: u64| Creation::Node(kind | node.mode, Device::from(rdev));
        let what = match node.kind {
            NewKind::Regular => {
                let created = self.fs.client.create(&dir, entry_name, node.mode, owner);
                let (entry, fd) = created.map_err(|error| log_lost(&error))?;
                self.name_added(name, &entry.stat);
                let inode = self.fs.inode(entry);
                if let Some(fd) = fd {
                    inode.donated(fd);
                }
                return Ok(inode);
            }
            NewKind::Directory => Creation::Directory(node.mode),
            NewKind::Symlink(target) => Creation::Symlink(target),
            NewKind::Fifo => special(S_IFIFO, 0),
            NewKind::Socket => special(S_IFSOCK, 0),
            NewKind::CharDevice(rdev) => special(S_IFCHR, rdev),
            NewKind::BlockDevice(rdev) => special(S_IFBLK, rdev),
        };
        let entry = self.fs.client.make(&dir, entry_name, what, owner).map_err(|error| log_lost(&error))?;
        self.name_added(name, &entry.stat);
        Ok(self.fs.inode(entry))
    }

    pub(super) fn make_unnamed(&self, node: &NewNode<'_>) -> Result<Arc<Self>> {
        let owner = Owner { uid: node.uid, gid: node.gid };
        let created = self.fs.client.create_unnamed(&*self.fid()?, node.mode, owner);
        let (entry, fd) = created.map_err(|error| log_lost(&error))?;
        let inode = self.fs.inode(entry);
        if let Some(fd) = fd {
            inode.donated(fd);
        }
        Ok(inode)
    }

    pub(super) fn add_link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let target = Self::of(target)?;
        if !Arc::ptr_eq(&target.fs, &self.fs) {
            return err(Errno::EXDEV);
        }
        let linked = self.fs.client.link(&*target.fid()?, &*self.fid()?, Name::new(name)?);
        linked.map_err(|error| log_lost(&error))?;
        target.attributes.touch();
        self.name_added(name, &target.attributes.last());
        Ok(())
    }

    pub(super) fn remove(&self, name: &[u8], child: &Arc<dyn Inode>, directory: bool) -> Result<()> {
        let child = Self::of(child)?;
        child.keep_if_used()?;
        let flags = if directory { UnlinkFlags::REMOVE_DIR } else { UnlinkFlags::empty() };
        let removed = self.fs.client.unlink(&*self.fid()?, Name::new(name)?, flags);
        removed.map_err(|error| log_lost(&error))?;
        self.name_removed(name);
        child.unnamed();
        child.attributes.touch();
        Ok(())
    }

    pub(super) fn move_name(
        &self,
        (name, child): (&[u8], &Arc<dyn Inode>),
        (new_dir, new_name): (&Arc<dyn Inode>, &[u8]),
        replaced: Option<&Arc<dyn Inode>>,
        exchange: bool,
    ) -> Result<()> {
        let (child, new_dir) = (Self::of(child)?, Self::of(new_dir)?);
        let replaced = replaced.map(Self::of).transpose()?;
        if let Some(replaced) = &replaced
            && !exchange
        {
            replaced.keep_if_used()?;
        }
        let flags = if exchange { RenameFlags::EXCHANGE } else { RenameFlags::empty() };
        let (from, to) = (self.fid()?, new_dir.fid()?);
        let renamed = self.fs.client.rename((&from, Name::new(name)?), (&to, Name::new(new_name)?), flags);
        renamed.map_err(|error| log_lost(&error))?;

        match (&replaced, exchange) {
            (Some(other), true) => {
                self.name_added(name, &other.attributes.last());
                if let Some(this) = self.this() {
                    other.moved(&this, name);
                }
                other.attributes.touch();
            }
            (replaced, _) => {
                self.name_removed(name);
                if let Some(replaced) = replaced {
                    replaced.unnamed();
                    replaced.attributes.touch();
                }
            }
        }
        new_dir.name_added(new_name, &child.attributes.last());
        child.moved(&new_dir, new_name);
        child.attributes.touch();
        Ok(())
    }

    /// Before its name goes: a file that may be used without a name needs a fid, which it can get only by its name. A
    /// regular file that nobody opened is not asked for; what still points at it then sees ESTALE.
    fn keep_if_used(self: &Arc<Self>) -> Result<()> {
        // The dentry, and the caller's reference to what it holds.
        const UNUSED: usize = 2;
        if matches!(self.body, Body::Directory(_)) || Arc::strong_count(self) > UNUSED {
            self.fid()?;
        }
        Ok(())
    }

    /// Target of a symbolic link.
    pub(super) fn target(&self) -> Result<&[u8]> {
        let Body::Symlink(target) = &self.body else { return err(Errno::EINVAL) };
        if let Some(known) = target.get() {
            return Ok(known);
        }
        // To have a fid may already have told it.
        let fid = self.fid()?;
        if target.get().is_none() {
            let told = self.fs.client.readlink(&fid).map_err(|error| log_lost(&error))?;
            let _ = target.set(told);
        }
        Ok(target.get().ok_or(Errno::EIO)?)
    }
}
