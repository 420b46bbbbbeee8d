//! stat(2), statx(2), mknod(2): file attributes, modes and device numbers.
#![expect(missing_docs, reason = "the names are Linux's, see the man pages")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::flags;

pub const S_IFMT: u32 = 0o170000;
pub const S_IFSOCK: u32 = 0o140000;
pub const S_IFLNK: u32 = 0o120000;
pub const S_IFREG: u32 = 0o100000;
pub const S_IFBLK: u32 = 0o60000;
pub const S_IFDIR: u32 = 0o40000;
pub const S_IFCHR: u32 = 0o20000;
pub const S_IFIFO: u32 = 0o10000;
pub const S_ISUID: u32 = 0o4000;
pub const S_ISGID: u32 = 0o2000;
pub const S_ISVTX: u32 = 0o1000;
pub const S_IRWXU: u32 = 0o700;
pub const S_IRUSR: u32 = 0o400;
pub const S_IWUSR: u32 = 0o200;
pub const S_IXUSR: u32 = 0o100;
pub const S_IRWXG: u32 = 0o070;
pub const S_IRGRP: u32 = 0o040;
pub const S_IWGRP: u32 = 0o020;
pub const S_IXGRP: u32 = 0o010;
pub const S_IRWXO: u32 = 0o007;
pub const S_IROTH: u32 = 0o004;
pub const S_IWOTH: u32 = 0o002;
pub const S_IXOTH: u32 = 0o001;
/// Every permission bit, with set-id and sticky.
pub const S_IALLUGO: u32 = 0o7777;
/// The permission bits of owner, group and others.
pub const S_IRWXUGO: u32 = 0o777;
pub const S_IXUGO: u32 = 0o111;

/// What kind of file an inode is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FileType {
    Fifo,
    CharDevice,
    Directory,
    BlockDevice,
    Regular,
    Symlink,
    Socket,
}

impl FileType {
    /// The type in a mode; `None` if its bits name none.
    #[must_use]
    pub const fn from_mode(mode: u32) -> Option<Self> {
        Some(match mode & S_IFMT {
            S_IFIFO => Self::Fifo,
            S_IFCHR => Self::CharDevice,
            S_IFDIR => Self::Directory,
            S_IFBLK => Self::BlockDevice,
            S_IFREG => Self::Regular,
            S_IFLNK => Self::Symlink,
            S_IFSOCK => Self::Socket,
            _ => return None,
        })
    }

    /// The S_IF* bits.
    #[must_use]
    pub const fn mode_bits(self) -> u32 {
        match self {
            Self::Fifo => S_IFIFO,
            Self::CharDevice => S_IFCHR,
            Self::Directory => S_IFDIR,
            Self::BlockDevice => S_IFBLK,
            Self::Regular => S_IFREG,
            Self::Symlink => S_IFLNK,
            Self::Socket => S_IFSOCK,
        }
    }

    /// The DT_* byte of a directory entry.
    #[must_use]
    pub const fn dirent_type(self) -> u8 {
        match self {
            Self::Fifo => 1,
            Self::CharDevice => 2,
            Self::Directory => 4,
            Self::BlockDevice => 6,
            Self::Regular => 8,
            Self::Symlink => 10,
            Self::Socket => 12,
        }
    }

    /// The type a DT_* byte names; `None` for DT_UNKNOWN and anything else.
    #[must_use]
    pub const fn from_dirent_type(d_type: u8) -> Option<Self> {
        if d_type > 12 { None } else { Self::from_mode((d_type as u32) << 12) }
    }

    /// Whether the file is a character or block device.
    #[must_use]
    pub const fn is_device(self) -> bool {
        matches!(self, Self::CharDevice | Self::BlockDevice)
    }
}

/// A file mode: type, set-id and sticky bits, permissions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(transparent)]
pub struct Mode(pub u32);

impl Mode {
    /// A mode of a type and permission bits (anything else in `perm` is dropped).
    #[must_use]
    pub const fn new(file_type: FileType, perm: u32) -> Self {
        Self(file_type.mode_bits() | perm & S_IALLUGO)
    }

    /// The type; `None` if the bits name none.
    #[must_use]
    pub const fn file_type(self) -> Option<FileType> {
        FileType::from_mode(self.0)
    }

    /// Permissions, set-id and sticky bits.
    #[must_use]
    pub const fn perm(self) -> u32 {
        self.0 & S_IALLUGO
    }

    /// The same type with other permission bits.
    #[must_use]
    pub const fn with_perm(self, perm: u32) -> Self {
        Self(self.0 & S_IFMT | perm & S_IALLUGO)
    }

    #[must_use]
    pub const fn is_dir(self) -> bool {
        self.0 & S_IFMT == S_IFDIR
    }

    #[must_use]
    pub const fn is_regular(self) -> bool {
        self.0 & S_IFMT == S_IFREG
    }

    #[must_use]
    pub const fn is_symlink(self) -> bool {
        self.0 & S_IFMT == S_IFLNK
    }

    #[must_use]
    pub const fn is_setuid(self) -> bool {
        self.0 & S_ISUID != 0
    }

    /// Whether exec changes the group: set-group-id on a group-executable file.
    #[must_use]
    pub const fn is_setgid_exec(self) -> bool {
        self.0 & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP
    }

    #[must_use]
    pub const fn is_sticky(self) -> bool {
        self.0 & S_ISVTX != 0
    }
}

impl core::fmt::Debug for Mode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:#o}", self.0)
    }
}

/// A device number as the kernel encodes it towards applications (`new_encode_dev`, stat's `st_rdev`).
#[must_use]
pub const fn makedev(major: u32, minor: u32) -> u64 {
    let (major, minor) = (major as u64, minor as u64);
    (major & 0xffff_f000) << 32 | (major & 0xfff) << 8 | (minor & 0xffff_ff00) << 12 | minor & 0xff
}

/// The major number of a device number.
#[must_use]
pub const fn major(dev: u64) -> u32 {
    ((dev >> 32) & 0xffff_f000 | (dev >> 8) & 0xfff) as u32
}

/// The minor number of a device number.
#[must_use]
pub const fn minor(dev: u64) -> u32 {
    ((dev >> 12) & 0xffff_ff00 | dev & 0xff) as u32
}

/// `struct stat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Stat {
    pub st_dev: u64,
    pub st_ino: u64,
    pub st_nlink: u64,
    pub st_mode: u32,
    pub st_uid: u32,
    pub st_gid: u32,
    pub _pad: u32,
    pub st_rdev: u64,
    pub st_size: i64,
    pub st_blksize: i64,
    pub st_blocks: i64,
    pub st_atime: i64,
    pub st_atime_nsec: i64,
    pub st_mtime: i64,
    pub st_mtime_nsec: i64,
    pub st_ctime: i64,
    pub st_ctime_nsec: i64,
    pub _unused: [i64; 3],
}

/// `struct statx_timestamp`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct StatxTimestamp {
    pub tv_sec: i64,
    pub tv_nsec: u32,
    pub _pad: i32,
}

/// `struct statx`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Statx {
    pub stx_mask: u32,
    pub stx_blksize: u32,
    pub stx_attributes: u64,
    pub stx_nlink: u32,
    pub stx_uid: u32,
    pub stx_gid: u32,
    pub stx_mode: u16,
    pub _pad: u16,
    pub stx_ino: u64,
    pub stx_size: u64,
    pub stx_blocks: u64,
    pub stx_attributes_mask: u64,
    pub stx_atime: StatxTimestamp,
    pub stx_btime: StatxTimestamp,
    pub stx_ctime: StatxTimestamp,
    pub stx_mtime: StatxTimestamp,
    pub stx_rdev_major: u32,
    pub stx_rdev_minor: u32,
    pub stx_dev_major: u32,
    pub stx_dev_minor: u32,
    pub stx_mnt_id: u64,
    pub stx_dio_mem_align: u32,
    pub stx_dio_offset_align: u32,
    pub stx_subvol: u64,
    pub stx_atomic_write_unit_min: u32,
    pub stx_atomic_write_unit_max: u32,
    pub stx_atomic_write_segments_max: u32,
    pub stx_dio_read_offset_align: u32,
    pub stx_atomic_write_unit_max_opt: u32,
    pub _pad2: u32,
    pub _spare: [u64; 8],
}

flags! {
    /// `mask` of statx(2).
    pub struct StatxMask: u32 {
        const STATX_BASIC_STATS = 0x7ff;
        const STATX_TYPE = 0x1;
        const STATX_MODE = 0x2;
        const STATX_NLINK = 0x4;
        const STATX_UID = 0x8;
        const STATX_GID = 0x10;
        const STATX_ATIME = 0x20;
        const STATX_MTIME = 0x40;
        const STATX_CTIME = 0x80;
        const STATX_INO = 0x100;
        const STATX_SIZE = 0x200;
        const STATX_BLOCKS = 0x400;
        const STATX_BTIME = 0x800;
        const STATX_MNT_ID = 0x1000;
        const STATX_DIOALIGN = 0x2000;
        const STATX_MNT_ID_UNIQUE = 0x4000;
        const STATX_SUBVOL = 0x8000;
        const STATX_WRITE_ATOMIC = 0x10000;
        const STATX_DIO_READ_ALIGN = 0x20000;
    }
}

/// The bit of a statx mask that makes it EINVAL.
pub const STATX__RESERVED: u32 = 0x8000_0000;

flags! {
    /// `stx_attributes`.
    pub struct StatxAttributes: u64 {
        const STATX_ATTR_COMPRESSED = 0x4;
        const STATX_ATTR_IMMUTABLE = 0x10;
        const STATX_ATTR_APPEND = 0x20;
        const STATX_ATTR_NODUMP = 0x40;
        const STATX_ATTR_ENCRYPTED = 0x800;
        const STATX_ATTR_AUTOMOUNT = 0x1000;
        const STATX_ATTR_MOUNT_ROOT = 0x2000;
        const STATX_ATTR_VERITY = 0x100000;
        const STATX_ATTR_DAX = 0x200000;
        const STATX_ATTR_WRITE_ATOMIC = 0x400000;
    }
}

/// `tv_nsec` of utimensat(2): the current time.
pub const UTIME_NOW: i64 = (1 << 30) - 1;
/// `tv_nsec` of utimensat(2): leave it as it is.
pub const UTIME_OMIT: i64 = (1 << 30) - 2;

#[cfg(test)]
mod tests {
    use linux_raw_sys::general as raw;

    use super::*;

    #[test]
    fn layouts_match_the_kernel_headers() {
        assert_eq!(size_of::<Stat>(), size_of::<raw::stat>());
        assert_eq!(core::mem::offset_of!(Stat, st_rdev), core::mem::offset_of!(raw::stat, st_rdev));
        assert_eq!(core::mem::offset_of!(Stat, st_ctime_nsec), core::mem::offset_of!(raw::stat, st_ctime_nsec));
        assert_eq!(size_of::<Statx>(), size_of::<raw::statx>());
        assert_eq!(core::mem::offset_of!(Statx, stx_mnt_id), core::mem::offset_of!(raw::statx, stx_mnt_id));
        assert_eq!(core::mem::offset_of!(Statx, stx_subvol), core::mem::offset_of!(raw::statx, stx_subvol));
        assert_eq!(
            core::mem::offset_of!(Statx, stx_dio_read_offset_align),
            core::mem::offset_of!(raw::statx, stx_dio_read_offset_align)
        );
    }

    #[test]
    fn device_numbers_round_trip() {
        assert_eq!(makedev(5, 1), 0x501);
        for (ma, mi) in [(0, 0), (136, 3), (0xfff, 0xf_ffff), (0x1234_5678, 0x9abc_def0)] {
            assert_eq!((major(makedev(ma, mi)), minor(makedev(ma, mi))), (ma, mi));
        }
        assert_eq!(makedev(259, 70000), libc::makedev(259, 70000));
    }

    #[test]
    fn file_types_round_trip() {
        for t in [FileType::Fifo, FileType::Directory, FileType::Regular, FileType::Symlink, FileType::Socket] {
            assert_eq!(FileType::from_mode(t.mode_bits() | 0o644), Some(t));
            assert_eq!(FileType::from_dirent_type(t.dirent_type()), Some(t));
        }
        assert_eq!(FileType::from_dirent_type(0), None);
        assert_eq!(FileType::from_dirent_type(255), None);
    }
}
