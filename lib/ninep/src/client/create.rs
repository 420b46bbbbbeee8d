//! Making files.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use abi::Errno;

use super::{Client, Entry, FidHandle, Result};
use crate::attr::{Device, SetAttr};
use crate::flags::{OpenFlags, SetMask};
use crate::message::{Tcreatex, Tlcreate, Tmake, Tmkdir, Tmknod, Tsymlink, Ttmpfile};
use crate::name::Name;
use crate::wire::Str;

/// Whose a new file is.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What to make.
#[derive(Clone, Copy, Debug)]
pub enum Creation<'a> {
    /// A directory with these permissions.
    Directory(u32),
    /// A symbolic link to this.
    Symlink(&'a [u8]),
    /// A fifo, socket or device node: type and permissions, and the device's number.
    Node(u32, Device),
}

const S_IFDIR: u32 = 0o040_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFREG: u32 = 0o100_000;

impl Client {
    /// Creates a regular file, which must not exist. The descriptor, if the server gave one, is open for reading and
    /// writing.
    pub fn create(
        self: &Arc<Self>,
        dir: &FidHandle,
        name: Name<'_>,
        mode: u32,
        owner: Owner,
    ) -> Result<(Entry, Option<OwnedFd>)> {
        let fid = FidHandle::new(self)?;
        let Owner { uid, gid } = owner;
        if self.extended() {
            let ask = Tcreatex { dfid: dir.fid(), newfid: fid.fid(), name, mode, uid, gid };
            let (stat, fd) = self.call(&ask, |r, fd| (r.stat, fd))?;
            return Ok((Entry { fid, stat, target: None }, fd));
        }
        self.walk_to(dir, &[], &fid)?;
        let flags = OpenFlags::CREATE | OpenFlags::EXCLUSIVE | OpenFlags::READ_WRITE;
        self.call(&Tlcreate { fid: fid.fid(), name, flags, mode: S_IFREG | mode, gid }, |_, _| ())?;
        drop(fid);
        Ok((self.own_new(dir, name, owner)?, None))
    }

    /// Creates a regular file without a name, which [`Self::link`] may give it, O_TMPFILE; EOPNOTSUPP from the plain
    /// dialect.
    pub fn create_unnamed(
        self: &Arc<Self>,
        dir: &FidHandle,
        mode: u32,
        Owner { uid, gid }: Owner,
    ) -> Result<(Entry, Option<OwnedFd>)> {
        if !self.extended() {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let fid = FidHandle::new(self)?;
        let ask = Ttmpfile { dfid: dir.fid(), newfid: fid.fid(), mode, uid, gid };
        let (stat, fd) = self.call(&ask, |r, fd| (r.stat, fd))?;
        Ok((Entry { fid, stat, target: None }, fd))
    }

    /// Makes a file of another kind, which must not exist.
    pub fn make(self: &Arc<Self>, dir: &FidHandle, name: Name<'_>, what: Creation<'_>, owner: Owner) -> Result<Entry> {
        let Owner { uid, gid } = owner;
        let dfid = dir.fid();
        if self.extended() {
            let fid = FidHandle::new(self)?;
            let (mode, rdev, target) = match what {
                Creation::Directory(mode) => (S_IFDIR | mode, Device::default(), &b""[..]),
                Creation::Symlink(target) => (S_IFLNK | 0o777, Device::default(), target),
                Creation::Node(mode, rdev) => (mode, rdev, &b""[..]),
            };
            let ask = Tmake { dfid, newfid: fid.fid(), name, mode, rdev, uid, gid, target: Str(target) };
            let stat = self.call(&ask, |r, _| r.stat)?;
            let target = matches!(what, Creation::Symlink(_)).then(|| target.into());
            return Ok(Entry { fid, stat, target });
        }
        match what {
            Creation::Directory(mode) => self.call(&Tmkdir { dfid, name, mode, gid }, |_, _| ())?,
            Creation::Symlink(target) => self.call(&Tsymlink { dfid, name, target: Str(target), gid }, |_, _| ())?,
            Creation::Node(mode, rdev) => self.call(&Tmknod { dfid, name, mode, rdev, gid }, |_, _| ())?,
        }
        self.own_new(dir, name, owner)
    }

    /// The plain dialect creates as the user who attached: hand the new file to its owner.
    fn own_new(self: &Arc<Self>, dir: &FidHandle, name: Name<'_>, owner: Owner) -> Result<Entry> {
        let mut entry = self.lookup(dir, name)?;
        if (entry.stat.uid, entry.stat.gid) != (owner.uid, owner.gid) {
            let valid = SetMask::UID | SetMask::GID;
            let attr = SetAttr { valid, uid: owner.uid, gid: owner.gid, ..SetAttr::default() };
            match self.set_attr(&entry.fid, attr) {
                Ok(stat) => entry.stat = stat,
                // A server that runs as an ordinary user cannot give files away.
                Err(error) if error.errno() == Errno::EPERM => {}
                Err(error) => return Err(error),
            }
        }
        Ok(entry)
    }
}
