//! Attributes of an inode, and changes to them.

use abi::time::Timespec;

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

/// A time for [`SetAttr`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SetTime {
    /// The current time.
    Now,
    /// This time.
    At(Timespec),
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
