//! open(2), fcntl(2), fallocate(2), renameat2(2), openat2(2): flags, commands and structures.
#![expect(missing_docs, reason = "the names are Linux's, see the man pages")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::{flags, numbers};

flags! {
    /// `flags` of open(2), and the status flags of an open file. The access mode is in the two lowest bits, see [`OpenFlags::access`].
    pub struct OpenFlags: u32 {
        const O_WRONLY = 0x1;
        const O_RDWR = 0x2;
        const O_CREAT = 0x40;
        const O_EXCL = 0x80;
        const O_NOCTTY = 0x100;
        const O_TRUNC = 0x200;
        const O_APPEND = 0x400;
        const O_NONBLOCK = 0x800;
        const O_SYNC = 0x101000;
        const O_DSYNC = 0x1000;
        const FASYNC = 0x2000;
        const O_TMPFILE = 0x410000;
        const O_DIRECT = 0x4000;
        const O_LARGEFILE = 0x8000;
        const O_DIRECTORY = 0x10000;
        const O_NOFOLLOW = 0x20000;
        const O_NOATIME = 0x40000;
        const O_CLOEXEC = 0x80000;
        const O_PATH = 0x200000;
    }
}

impl OpenFlags {
    /// Access mode read-only: the absence of the others.
    pub const O_RDONLY: Self = Self::empty();
    /// The bits of the access mode.
    pub const O_ACCMODE: Self = Self::from_bits_retain(3);
    /// The bit of O_TMPFILE that is not O_DIRECTORY.
    pub const __O_TMPFILE: Self = Self::from_bits_retain(0x40_0000);
    /// What F_SETFL may change.
    pub const SETFL: Self = Self::from_bits_retain(0x2000 | 0x400 | 0x800 | 0x4000 | 0x4_0000);

    /// The access mode.
    #[must_use]
    pub const fn access(self) -> AccessMode {
        match self.bits() & 3 {
            0 => AccessMode::ReadOnly,
            1 => AccessMode::WriteOnly,
            2 => AccessMode::ReadWrite,
            _ => AccessMode::None,
        }
    }

    /// Whether the access mode lets the descriptor read.
    #[must_use]
    pub const fn readable(self) -> bool {
        matches!(self.access(), AccessMode::ReadOnly | AccessMode::ReadWrite)
    }

    /// Whether the access mode lets the descriptor write.
    #[must_use]
    pub const fn writable(self) -> bool {
        matches!(self.access(), AccessMode::WriteOnly | AccessMode::ReadWrite)
    }
}

/// The access mode of an open file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessMode {
    /// O_RDONLY
    ReadOnly,
    /// O_WRONLY
    WriteOnly,
    /// O_RDWR
    ReadWrite,
    /// Mode 3: permission to read and write is checked, only ioctl works.
    None,
}

/// The working directory in place of a directory descriptor.
pub const AT_FDCWD: i32 = -100;

flags! {
    /// `flags` of the *at(2) calls.
    pub struct AtFlags: u32 {
        const AT_SYMLINK_NOFOLLOW = 0x100;
        const AT_REMOVEDIR = 0x200;
        const AT_SYMLINK_FOLLOW = 0x400;
        const AT_NO_AUTOMOUNT = 0x800;
        const AT_EMPTY_PATH = 0x1000;
        const AT_STATX_FORCE_SYNC = 0x2000;
        const AT_STATX_DONT_SYNC = 0x4000;
        const AT_RECURSIVE = 0x8000;
    }
}

impl AtFlags {
    /// faccessat2(2): check with the effective ids. Shares its bit with AT_REMOVEDIR.
    pub const AT_EACCESS: Self = Self::from_bits_retain(0x200);
    /// The two bits that choose how statx(2) synchronises.
    pub const AT_STATX_SYNC_TYPE: Self = Self::from_bits_retain(0x6000);
}

flags! {
    /// `mode` of access(2).
    pub struct AccessBits: u32 {
        const R_OK = 4;
        const W_OK = 2;
        const X_OK = 1;
    }
}

numbers! {
    /// The name of a command of fcntl(2).
    pub fn fcntl_name(u32) {
        F_DUPFD = 0,
        F_GETFD = 1,
        F_SETFD = 2,
        F_GETFL = 3,
        F_SETFL = 4,
        F_GETLK = 5,
        F_SETLK = 6,
        F_SETLKW = 7,
        F_SETOWN = 8,
        F_GETOWN = 9,
        F_SETSIG = 10,
        F_GETSIG = 11,
        F_SETOWN_EX = 15,
        F_GETOWN_EX = 16,
        F_GETOWNER_UIDS = 17,
        F_OFD_GETLK = 36,
        F_OFD_SETLK = 37,
        F_OFD_SETLKW = 38,
        F_SETLEASE = 1024,
        F_GETLEASE = 1025,
        F_NOTIFY = 1026,
        F_DUPFD_QUERY = 1027,
        F_CREATED_QUERY = 1028,
        F_CANCELLK = 1029,
        F_DUPFD_CLOEXEC = 1030,
        F_SETPIPE_SZ = 1031,
        F_GETPIPE_SZ = 1032,
        F_ADD_SEALS = 1033,
        F_GET_SEALS = 1034,
        F_GET_RW_HINT = 1035,
        F_SET_RW_HINT = 1036,
        F_GET_FILE_RW_HINT = 1037,
        F_SET_FILE_RW_HINT = 1038,
    }
}

pub const FD_CLOEXEC: u32 = 1;

numbers! {
    /// The name of a lock type.
    pub fn lock_type_name(i16) {
        F_RDLCK = 0,
        F_WRLCK = 1,
        F_UNLCK = 2,
    }
}

flags! {
    /// `operation` of flock(2).
    pub struct FlockOp: u32 {
        const LOCK_SH = 1;
        const LOCK_EX = 2;
        const LOCK_NB = 4;
        const LOCK_UN = 8;
    }
}

/// `struct flock`: a record lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Flock {
    pub l_type: i16,
    pub l_whence: i16,
    pub _pad: u32,
    pub l_start: i64,
    pub l_len: i64,
    pub l_pid: i32,
    pub _pad2: u32,
}

pub const F_OWNER_TID: i32 = 0;
pub const F_OWNER_PID: i32 = 1;
pub const F_OWNER_PGRP: i32 = 2;

/// `struct f_owner_ex` of F_SETOWN_EX.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct FOwnerEx {
    pub type_: i32,
    pub pid: i32,
}

/// `struct open_how` of openat2(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct OpenHow {
    pub flags: u64,
    pub mode: u64,
    pub resolve: u64,
}

/// The first published size of [`OpenHow`].
pub const OPEN_HOW_SIZE_VER0: usize = 24;

flags! {
    /// `resolve` of openat2(2).
    pub struct ResolveFlags: u64 {
        const RESOLVE_NO_XDEV = 0x1;
        const RESOLVE_NO_MAGICLINKS = 0x2;
        const RESOLVE_NO_SYMLINKS = 0x4;
        const RESOLVE_BENEATH = 0x8;
        const RESOLVE_IN_ROOT = 0x10;
        const RESOLVE_CACHED = 0x20;
    }
}

flags! {
    /// `mode` of fallocate(2).
    pub struct FallocateMode: u32 {
        const FALLOC_FL_KEEP_SIZE = 0x1;
        const FALLOC_FL_PUNCH_HOLE = 0x2;
        const FALLOC_FL_NO_HIDE_STALE = 0x4;
        const FALLOC_FL_COLLAPSE_RANGE = 0x8;
        const FALLOC_FL_ZERO_RANGE = 0x10;
        const FALLOC_FL_INSERT_RANGE = 0x20;
        const FALLOC_FL_UNSHARE_RANGE = 0x40;
    }
}

flags! {
    /// Seals of a memfd, F_ADD_SEALS.
    pub struct Seals: u32 {
        const F_SEAL_SEAL = 0x1;
        const F_SEAL_SHRINK = 0x2;
        const F_SEAL_GROW = 0x4;
        const F_SEAL_WRITE = 0x8;
        const F_SEAL_FUTURE_WRITE = 0x10;
        const F_SEAL_EXEC = 0x20;
    }
}

flags! {
    /// `flags` of renameat2(2).
    pub struct RenameFlags: u32 {
        const RENAME_NOREPLACE = 0x1;
        const RENAME_EXCHANGE = 0x2;
        const RENAME_WHITEOUT = 0x4;
    }
}

flags! {
    /// `flags` of close_range(2).
    pub struct CloseRangeFlags: u32 {
        const CLOSE_RANGE_UNSHARE = 0x2;
        const CLOSE_RANGE_CLOEXEC = 0x4;
    }
}

flags! {
    /// `flags` of sync_file_range(2).
    pub struct SyncFileRangeFlags: u32 {
        const SYNC_FILE_RANGE_WAIT_BEFORE = 0x1;
        const SYNC_FILE_RANGE_WRITE = 0x2;
        const SYNC_FILE_RANGE_WAIT_AFTER = 0x4;
    }
}

flags! {
    /// Events of dnotify, F_NOTIFY.
    pub struct DnotifyFlags: u32 {
        const DN_ACCESS = 0x1;
        const DN_MODIFY = 0x2;
        const DN_CREATE = 0x4;
        const DN_DELETE = 0x8;
        const DN_RENAME = 0x10;
        const DN_ATTRIB = 0x20;
        const DN_MULTISHOT = 0x80000000;
    }
}

numbers! {
    /// The name of `whence` of lseek(2).
    pub fn whence_name(u32) {
        SEEK_SET = 0,
        SEEK_CUR = 1,
        SEEK_END = 2,
        SEEK_DATA = 3,
        SEEK_HOLE = 4,
    }
}

numbers! {
    /// The name of `advice` of posix_fadvise(2).
    pub fn fadvise_name(u32) {
        POSIX_FADV_NORMAL = 0,
        POSIX_FADV_RANDOM = 1,
        POSIX_FADV_SEQUENTIAL = 2,
        POSIX_FADV_WILLNEED = 3,
        POSIX_FADV_DONTNEED = 4,
        POSIX_FADV_NOREUSE = 5,
    }
}

numbers! {
    /// The name of a write life-time hint.
    pub fn rw_hint_name(u64) {
        RWH_WRITE_LIFE_NOT_SET = 0,
        RWH_WRITE_LIFE_NONE = 1,
        RWH_WRITE_LIFE_SHORT = 2,
        RWH_WRITE_LIFE_MEDIUM = 3,
        RWH_WRITE_LIFE_LONG = 4,
        RWH_WRITE_LIFE_EXTREME = 5,
    }
}

/// The largest handle of name_to_handle_at(2).
pub const MAX_HANDLE_SZ: u32 = 128;

/// The fixed part of `struct file_handle`; `handle_bytes` bytes follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct FileHandleHeader {
    pub handle_bytes: u32,
    pub handle_type: i32,
}
