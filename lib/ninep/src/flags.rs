//! Flag sets of messages, with 9P2000.L's numbers (Linux's generic ones).

use bitflags::bitflags;

use crate::wire::{DecodeError, Reader, Wire, Writer};

bitflags! {
    /// open(2) flags of `Tlopen`, `Tlcreate` and their extensions.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct OpenFlags: u32 {
        /// Write only.
        const WRITE = 0o1;
        /// Read and write.
        const READ_WRITE = 0o2;
        /// Create if absent.
        const CREATE = 0o100;
        /// Fail if present.
        const EXCLUSIVE = 0o200;
        /// Not as a controlling terminal.
        const NO_CTTY = 0o400;
        /// Cut to zero length.
        const TRUNCATE = 0o1000;
        /// Write at the end.
        const APPEND = 0o2000;
        /// Do not block.
        const NON_BLOCK = 0o4000;
        /// Write data through.
        const DATA_SYNC = 0o10000;
        /// Without the host's page cache.
        const DIRECT = 0o40000;
        /// 64-bit offsets.
        const LARGE_FILE = 0o100000;
        /// Fail unless a directory.
        const DIRECTORY = 0o200000;
        /// Do not follow a symbolic link.
        const NO_FOLLOW = 0o400000;
        /// Leave the access time alone.
        const NO_ATIME = 0o1000000;
        /// Close on exec.
        const CLOSE_EXEC = 0o2000000;
        /// Write data and metadata through.
        const SYNC = 0o4000000;
        const _ = !0;
    }

    /// What `Tgetattr` asks for and `Rgetattr` holds.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct AttrMask: u64 {
        /// Everything stat(2) tells.
        const BASIC = 0x7ff;
        /// Birth time.
        const BTIME = 0x800;
        /// Inode generation.
        const GEN = 0x1000;
        /// Data version.
        const DATA_VERSION = 0x2000;
        const _ = !0;
    }

    /// Which attributes `Tsetattr` sets.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct SetMask: u32 {
        /// Permission bits.
        const MODE = 0x1;
        /// Owner.
        const UID = 0x2;
        /// Group.
        const GID = 0x4;
        /// Length.
        const SIZE = 0x8;
        /// Access time, to now unless `ATIME_SET`.
        const ATIME = 0x10;
        /// Modification time, to now unless `MTIME_SET`.
        const MTIME = 0x20;
        /// Change time, always to now.
        const CTIME = 0x40;
        /// Access time, to the one given.
        const ATIME_SET = 0x80;
        /// Modification time, to the one given.
        const MTIME_SET = 0x100;
        const _ = !0;
    }

    /// renameat2(2) flags.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct RenameFlags: u32 {
        /// Fail if the new name exists.
        const NO_REPLACE = 1;
        /// Swap the two.
        const EXCHANGE = 2;
        /// Leave a whiteout behind.
        const WHITEOUT = 4;
        const _ = !0;
    }

    /// fallocate(2) modes.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct AllocateMode: u32 {
        /// Do not extend the file.
        const KEEP_SIZE = 1;
        /// Free the range.
        const PUNCH_HOLE = 2;
        /// Cut the range out.
        const COLLAPSE_RANGE = 8;
        /// Zero the range.
        const ZERO_RANGE = 0x10;
        /// Shift what follows to make room.
        const INSERT_RANGE = 0x20;
        const _ = !0;
    }

    /// `Tunlinkat` flags.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct UnlinkFlags: u32 {
        /// Remove a directory, AT_REMOVEDIR.
        const REMOVE_DIR = 0x200;
        const _ = !0;
    }
}

impl OpenFlags {
    /// Whether the file is opened for writing.
    #[must_use]
    pub fn writes(self) -> bool {
        self.intersects(Self::WRITE | Self::READ_WRITE)
    }

    /// Whether the file is opened for reading.
    #[must_use]
    pub fn reads(self) -> bool {
        !self.contains(Self::WRITE)
    }
}

macro_rules! on_the_wire {
    ($($name:ident),*) => {$(
        impl<'a> Wire<'a> for $name {
            fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
                Wire::get(r).map(Self::from_bits_retain)
            }
            fn put(&self, w: &mut Writer<'_>) {
                self.bits().put(w);
            }
        }
    )*};
}

on_the_wire!(OpenFlags, AttrMask, SetMask, RenameFlags, AllocateMode, UnlinkFlags);
