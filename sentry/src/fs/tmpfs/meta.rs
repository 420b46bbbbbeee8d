//! Attributes of an inode that we keep ourselves: [`Meta`], with its extended attributes.

use std::collections::BTreeMap;

use abi::Errno;
use abi::stat::{S_IALLUGO, S_IFMT};
use abi::time::Timespec;

use crate::error::{Result, err};
use crate::vfs::attr::now;
use crate::vfs::file::AtimePolicy;
use crate::vfs::{Access, Attr, SetAttr, SetTime, XattrMode};

/// The most bytes of extended attributes an inode may have, names included.
const MAX_XATTRS: usize = 1 << 20;

/// Owner, mode, links, times, extended attributes.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    /// Type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Links.
    pub nlink: u32,
    /// Last access.
    pub atime: Timespec,
    /// Last change of the data.
    pub mtime: Timespec,
    /// Last change of the inode.
    pub ctime: Timespec,
    /// Birth.
    pub btime: Timespec,
    /// Extended attributes; most inodes have none.
    pub xattrs: Option<Box<Xattrs>>,
}

impl Meta {
    /// A new inode's.
    #[must_use]
    pub fn new(mode: u32, uid: u32, gid: u32, nlink: u32) -> Self {
        let time = now();
        Self { mode, uid, gid, nlink, atime: time, mtime: time, ctime: time, btime: time, xattrs: None }
    }

    /// What permission checks need.
    #[must_use]
    pub fn access(&self) -> Access {
        Access { mode: self.mode, uid: self.uid, gid: self.gid }
    }

    /// Puts what is kept here into `attr`.
    pub fn fill(&self, attr: &mut Attr) {
        attr.mode = self.mode;
        attr.uid = self.uid;
        attr.gid = self.gid;
        attr.nlink = self.nlink;
        attr.atime = self.atime;
        attr.mtime = self.mtime;
        attr.ctime = self.ctime;
        attr.btime = Some(self.btime);
    }

    /// Applies a change, but for the size, which counts as a change of the data.
    pub fn apply(&mut self, change: &SetAttr) {
        let time = now();
        if let Some(mode) = change.mode {
            self.mode = self.mode & S_IFMT | mode & S_IALLUGO;
        }
        self.uid = change.uid.unwrap_or(self.uid);
        self.gid = change.gid.unwrap_or(self.gid);
        if change.size.is_some() {
            self.mtime = time;
        }
        self.atime = change.atime.map_or(self.atime, SetTime::resolve);
        self.mtime = change.mtime.map_or(self.mtime, SetTime::resolve);
        self.ctime = time;
    }

    /// The data (or the names of a directory) changed.
    pub fn modified(&mut self) {
        self.mtime = now();
        self.ctime = self.mtime;
    }

    /// The data was read.
    pub fn accessed(&mut self, policy: AtimePolicy) {
        let stale = match policy {
            AtimePolicy::Never => false,
            AtimePolicy::Strict => true,
            AtimePolicy::Relative => {
                // A day needs no exact clock.
                self.atime <= self.mtime || self.atime <= self.ctime || now().tv_sec - self.atime.tv_sec >= 86400
            }
        };
        if stale {
            self.atime = now();
        }
    }

    /// getxattr(2).
    pub fn getxattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.xattrs.as_ref().and_then(|all| all.0.get(name)).cloned().ok_or_else(|| Errno::ENODATA.into())
    }

    /// setxattr(2).
    pub fn setxattr(&mut self, name: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
        let all = self.xattrs.get_or_insert_default();
        let old = all.0.get(name);
        match (mode, old) {
            (XattrMode::Create, Some(_)) => return err(Errno::EEXIST),
            (XattrMode::Replace, None) => return err(Errno::ENODATA),
            _ => {}
        }
        let used: usize = all.0.iter().map(|(name, value)| name.len() + value.len()).sum();
        if used - old.map_or(0, |old| name.len() + old.len()) + name.len() + value.len() > MAX_XATTRS {
            return err(Errno::ENOSPC);
        }
        crate::kernel::room::take(name.len() + value.len())?;
        all.0.insert(name.into(), value.to_vec());
        self.ctime = now();
        Ok(())
    }

    /// All names.
    #[must_use]
    pub fn listxattr(&self) -> Vec<Vec<u8>> {
        self.xattrs.as_ref().map_or_else(Vec::new, |all| all.0.keys().map(|name| name.to_vec()).collect())
    }

    /// removexattr(2).
    pub fn removexattr(&mut self, name: &[u8]) -> Result<()> {
        match self.xattrs.as_mut().and_then(|all| all.0.remove(name)) {
            Some(_) => {
                self.ctime = now();
                Ok(())
            }
            None => err(Errno::ENODATA),
        }
    }
}

/// Extended attributes by name.
#[derive(Clone, Debug, Default)]
pub struct Xattrs(pub BTreeMap<Box<[u8]>, Vec<u8>>);
