//! landlock(7): rules and access rights.
#![expect(missing_docs, reason = "the names are Linux's, see landlock(7)")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::flags;

flags! {
    /// Rights on files.
    pub struct LandlockFsAccess: u64 {
        const LANDLOCK_ACCESS_FS_EXECUTE = 0x1;
        const LANDLOCK_ACCESS_FS_WRITE_FILE = 0x2;
        const LANDLOCK_ACCESS_FS_READ_FILE = 0x4;
        const LANDLOCK_ACCESS_FS_READ_DIR = 0x8;
        const LANDLOCK_ACCESS_FS_REMOVE_DIR = 0x10;
        const LANDLOCK_ACCESS_FS_REMOVE_FILE = 0x20;
        const LANDLOCK_ACCESS_FS_MAKE_CHAR = 0x40;
        const LANDLOCK_ACCESS_FS_MAKE_DIR = 0x80;
        const LANDLOCK_ACCESS_FS_MAKE_REG = 0x100;
        const LANDLOCK_ACCESS_FS_MAKE_SOCK = 0x200;
        const LANDLOCK_ACCESS_FS_MAKE_FIFO = 0x400;
        const LANDLOCK_ACCESS_FS_MAKE_BLOCK = 0x800;
        const LANDLOCK_ACCESS_FS_MAKE_SYM = 0x1000;
        const LANDLOCK_ACCESS_FS_REFER = 0x2000;
        const LANDLOCK_ACCESS_FS_TRUNCATE = 0x4000;
        const LANDLOCK_ACCESS_FS_IOCTL_DEV = 0x8000;
    }
}

/// landlock_create_ruleset(2): tell the ABI version.
pub const LANDLOCK_CREATE_RULESET_VERSION: u32 = 1;
pub const LANDLOCK_RULE_PATH_BENEATH: u32 = 1;
pub const LANDLOCK_RULE_NET_PORT: u32 = 2;

/// `struct landlock_ruleset_attr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct LandlockRulesetAttr {
    pub handled_access_fs: u64,
    pub handled_access_net: u64,
    pub scoped: u64,
}

/// `struct landlock_path_beneath_attr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, packed)]
pub struct LandlockPathBeneathAttr {
    pub allowed_access: u64,
    pub parent_fd: i32,
}
