//! Attributes of files and filesystems.

use abi::stat::{Statx, StatxTimestamp};

use crate::flags::{AttrMask, SetMask};
use crate::types::Qid;
use crate::wire::wire_struct;

/// A point in time since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp {
    /// Seconds, negative before 1970.
    pub sec: i64,
    /// Nanoseconds within the second.
    pub nsec: u32,
}

wire_struct!(Timestamp { sec, nsec });

/// A device number in two halves, as statx(2) has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

wire_struct!(Device { major, minor });

/// All that statx(2) tells of a file; what the messages of the extended dialect carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stat {
    /// The filesystem it is on.
    pub dev: Device,
    /// Its number there.
    pub ino: u64,
    /// Type and permissions.
    pub mode: u32,
    /// Number of names.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The device it stands for.
    pub rdev: Device,
    /// Length in bytes.
    pub size: u64,
    /// Space taken, in units of 512 bytes.
    pub blocks: u64,
    /// Preferred size of an input or output operation.
    pub blksize: u32,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of contents.
    pub mtime: Timestamp,
    /// Last change of attributes.
    pub ctime: Timestamp,
    /// Birth, zero where the filesystem does not tell.
    pub btime: Timestamp,
}

wire_struct!(Stat { dev, ino, mode, nlink, uid, gid, rdev, size, blocks, blksize, atime, mtime, ctime, btime });

/// The body of `Rgetattr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    /// Which fields hold something.
    pub valid: AttrMask,
    /// The file.
    pub qid: Qid,
    /// Type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of names.
    pub nlink: u64,
    /// The device it stands for, in the encoding of Linux's `dev_t`.
    pub rdev: u64,
    /// Length in bytes.
    pub size: u64,
    /// Preferred size of an input or output operation.
    pub blksize: u64,
    /// Space taken, in units of 512 bytes.
    pub blocks: u64,
    /// Last access.
    pub atime: WideTimestamp,
    /// Last change of contents.
    pub mtime: WideTimestamp,
    /// Last change of attributes.
    pub ctime: WideTimestamp,
    /// Birth.
    pub btime: WideTimestamp,
    /// Inode generation.
    pub generation: u64,
    /// Data version.
    pub data_version: u64,
}

wire_struct!(Attr {
    valid,
    qid,
    mode,
    uid,
    gid,
    nlink,
    rdev,
    size,
    blksize,
    blocks,
    atime,
    mtime,
    ctime,
    btime,
    generation,
    data_version,
});

/// A point in time as the plain dialect writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct WideTimestamp {
    /// Seconds since the epoch, in two's complement.
    pub sec: i64,
    /// Nanoseconds within the second.
    pub nsec: u64,
}

wire_struct!(WideTimestamp { sec, nsec });

impl From<Timestamp> for WideTimestamp {
    fn from(t: Timestamp) -> Self {
        Self { sec: t.sec, nsec: t.nsec.into() }
    }
}

impl From<WideTimestamp> for Timestamp {
    fn from(t: WideTimestamp) -> Self {
        Self { sec: t.sec, nsec: u32::try_from(t.nsec).unwrap_or(0) }
    }
}

impl From<&Attr> for Stat {
    /// What the plain dialect tells, as far as it goes: all files appear to be on device 0.
    fn from(a: &Attr) -> Self {
        Self {
            dev: Device::default(),
            ino: a.qid.path,
            mode: a.mode,
            nlink: u32::try_from(a.nlink).unwrap_or(u32::MAX),
            uid: a.uid,
            gid: a.gid,
            rdev: a.rdev.into(),
            size: a.size,
            blocks: a.blocks,
            blksize: u32::try_from(a.blksize).unwrap_or(4096),
            atime: a.atime.into(),
            mtime: a.mtime.into(),
            ctime: a.ctime.into(),
            btime: a.btime.into(),
        }
    }
}

impl Stat {
    /// The body of `Rgetattr` for this file.
    #[must_use]
    pub fn to_attr(self, qid: Qid) -> Attr {
        let btime = if self.btime == Timestamp::default() { AttrMask::empty() } else { AttrMask::BTIME };
        Attr {
            valid: AttrMask::BASIC | btime,
            qid,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            nlink: self.nlink.into(),
            rdev: self.rdev.into(),
            size: self.size,
            blksize: self.blksize.into(),
            blocks: self.blocks,
            atime: self.atime.into(),
            mtime: self.mtime.into(),
            ctime: self.ctime.into(),
            btime: self.btime.into(),
            generation: 0,
            data_version: 0,
        }
    }
}

impl From<u64> for Device {
    fn from(dev: u64) -> Self {
        Self { major: abi::stat::major(dev), minor: abi::stat::minor(dev) }
    }
}

impl From<Device> for u64 {
    fn from(dev: Device) -> Self {
        abi::stat::makedev(dev.major, dev.minor)
    }
}

impl From<&Statx> for Stat {
    fn from(x: &Statx) -> Self {
        let time = |t: StatxTimestamp| Timestamp { sec: t.tv_sec, nsec: t.tv_nsec };
        Self {
            dev: Device { major: x.stx_dev_major, minor: x.stx_dev_minor },
            ino: x.stx_ino,
            mode: x.stx_mode.into(),
            nlink: x.stx_nlink,
            uid: x.stx_uid,
            gid: x.stx_gid,
            rdev: Device { major: x.stx_rdev_major, minor: x.stx_rdev_minor },
            size: x.stx_size,
            blocks: x.stx_blocks,
            blksize: x.stx_blksize,
            atime: time(x.stx_atime),
            mtime: time(x.stx_mtime),
            ctime: time(x.stx_ctime),
            btime: time(x.stx_btime),
        }
    }
}

/// Attributes to set; the part that `Tsetattr` and its extension share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SetAttr {
    /// Which of the fields to set.
    pub valid: SetMask,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// Access time.
    pub atime: WideTimestamp,
    /// Modification time.
    pub mtime: WideTimestamp,
}

wire_struct!(SetAttr { valid, mode, uid, gid, size, atime, mtime });

/// The body of `Rstatfs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct StatFs {
    /// Magic number of the filesystem type.
    pub kind: u32,
    /// Block size, the unit of the counts below.
    pub bsize: u32,
    /// Blocks in all.
    pub blocks: u64,
    /// Free blocks.
    pub bfree: u64,
    /// Blocks free to users other than root.
    pub bavail: u64,
    /// Inodes in all.
    pub files: u64,
    /// Free inodes.
    pub ffree: u64,
    /// Identity of the filesystem.
    pub fsid: u64,
    /// Longest name.
    pub namelen: u32,
}

wire_struct!(StatFs { kind, bsize, blocks, bfree, bavail, files, ffree, fsid, namelen });
