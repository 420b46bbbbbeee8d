//! Attributes of an inode, and changes to them.

use std::time::{SystemTime, UNIX_EPOCH};

use abi::time::Timespec;

/// The current time, as timestamps of inodes take it.
#[must_use]
pub fn now() -> Timespec {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timespec {
            tv_sec: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(since.subsec_nanos()),
        },
        Err(_) => Timespec::ZERO,
    }
}

/// What stat(2) and statx(2) tell about an inode.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attr {
    /// Device of the file system: `makedev` form.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Type and permissions, as in `st_mode`.
    pub mode: u32,
    /// Links.
    pub nlink: u32,
    /// Owner (in the root user namespace of the sandbox).
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Which device a device node names.
    pub rdev: u64,
    /// Bytes.
    pub size: u64,
    /// Preferred I/O size.
    pub blksize: u32,
    /// 512-byte blocks in use.
    pub blocks: u64,
    /// Last access.
    pub atime: Timespec,
    /// Last change of the data.
    pub mtime: Timespec,
    /// Last change of the inode.
    pub ctime: Timespec,
    /// Birth, if the file system knows it.
    pub btime: Option<Timespec>,
}

/// What a permission check needs to know of an inode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Type and permissions, as in `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl From<&Attr> for Access {
    fn from(attr: &Attr) -> Self {
        Self { mode: attr.mode, uid: attr.uid, gid: attr.gid }
    }
}

/// A time for [`SetAttr`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SetTime {
    /// The current time.
    Now,
    /// This time.
    At(Timespec),
}

impl SetTime {
    /// The time itself.
    #[must_use]
    pub fn resolve(self) -> Timespec {
        match self {
            Self::Now => now(),
            Self::At(time) => time,
        }
    }
}

/// What to change; permission was checked by the VFS, which also cleared set-id bits where it must.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetAttr {
    /// Permission bits (07777), without the type.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Truncate or extend.
    pub size: Option<u64>,
    /// Last access.
    pub atime: Option<SetTime>,
    /// Last change of the data.
    pub mtime: Option<SetTime>,
}

impl SetAttr {
    /// Puts the changes, but for the size, into `attr`, and the current time into its ctime.
    pub fn apply(&self, attr: &mut Attr) {
        if let Some(mode) = self.mode {
            attr.mode = attr.mode & abi::stat::S_IFMT | mode & abi::stat::S_IALLUGO;
        }
        attr.uid = self.uid.unwrap_or(attr.uid);
        attr.gid = self.gid.unwrap_or(attr.gid);
        attr.atime = self.atime.map_or(attr.atime, SetTime::resolve);
        attr.mtime = self.mtime.map_or(attr.mtime, SetTime::resolve);
        attr.ctime = now();
    }
}
