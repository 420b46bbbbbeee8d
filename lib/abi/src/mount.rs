//! mount(2), umount2(2), the new mount calls, statmount(2).
#![expect(missing_docs, reason = "the names are Linux's, see mount(2)")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::{flags, numbers};

flags! {
    /// `mountflags` of mount(2).
    pub struct MountFlags: u64 {
        const MS_RDONLY = 0x1;
        const MS_NOSUID = 0x2;
        const MS_NODEV = 0x4;
        const MS_NOEXEC = 0x8;
        const MS_SYNCHRONOUS = 0x10;
        const MS_REMOUNT = 0x20;
        const MS_MANDLOCK = 0x40;
        const MS_DIRSYNC = 0x80;
        const MS_NOSYMFOLLOW = 0x100;
        const MS_NOATIME = 0x400;
        const MS_NODIRATIME = 0x800;
        const MS_BIND = 0x1000;
        const MS_MOVE = 0x2000;
        const MS_REC = 0x4000;
        const MS_SILENT = 0x8000;
        const MS_POSIXACL = 0x10000;
        const MS_UNBINDABLE = 0x20000;
        const MS_PRIVATE = 0x40000;
        const MS_SLAVE = 0x80000;
        const MS_SHARED = 0x100000;
        const MS_RELATIME = 0x200000;
        const MS_KERNMOUNT = 0x400000;
        const MS_I_VERSION = 0x800000;
        const MS_STRICTATIME = 0x1000000;
        const MS_LAZYTIME = 0x2000000;
    }
}

impl MountFlags {
    /// The magic number that old programs put into the upper half; it is taken off.
    pub const MS_MGC_VAL: u64 = 0xc0ed_0000;
    pub const MS_MGC_MSK: u64 = 0xffff_0000;
    /// The propagation types.
    pub const PROPAGATION: Self = Self::from_bits_retain(1 << 17 | 1 << 18 | 1 << 19 | 1 << 20);
}

flags! {
    /// `flags` of umount2(2).
    pub struct UmountFlags: u32 {
        const MNT_FORCE = 1;
        const MNT_DETACH = 2;
        const MNT_EXPIRE = 4;
        const UMOUNT_NOFOLLOW = 8;
    }
}

flags! {
    /// Attributes of a mount: mount_setattr(2), fsmount(2).
    pub struct MountAttrFlags: u64 {
        const MOUNT_ATTR_RDONLY = 0x1;
        const MOUNT_ATTR_NOSUID = 0x2;
        const MOUNT_ATTR_NODEV = 0x4;
        const MOUNT_ATTR_NOEXEC = 0x8;
        const MOUNT_ATTR_NOATIME = 0x10;
        const MOUNT_ATTR_STRICTATIME = 0x20;
        const MOUNT_ATTR_NODIRATIME = 0x80;
        const MOUNT_ATTR_IDMAP = 0x100000;
        const MOUNT_ATTR_NOSYMFOLLOW = 0x200000;
    }
}

impl MountAttrFlags {
    /// The bits that say how access times are kept; none of them is MOUNT_ATTR_RELATIME.
    pub const MOUNT_ATTR__ATIME: Self = Self::from_bits_retain(0x70);
}

/// `struct mount_attr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct MountAttr {
    pub attr_set: u64,
    pub attr_clr: u64,
    pub propagation: u64,
    pub userns_fd: u64,
}

numbers! {
    /// The name of a command of fsconfig(2).
    pub fn fsconfig_name(u32) {
        FSCONFIG_SET_FLAG = 0,
        FSCONFIG_SET_STRING = 1,
        FSCONFIG_SET_BINARY = 2,
        FSCONFIG_SET_PATH = 3,
        FSCONFIG_SET_PATH_EMPTY = 4,
        FSCONFIG_SET_FD = 5,
        FSCONFIG_CMD_CREATE = 6,
        FSCONFIG_CMD_RECONFIGURE = 7,
        FSCONFIG_CMD_CREATE_EXCL = 8,
    }
}

pub const FSOPEN_CLOEXEC: u32 = 1;
pub const FSMOUNT_CLOEXEC: u32 = 1;
pub const FSPICK_CLOEXEC: u32 = 0x1;
pub const FSPICK_SYMLINK_NOFOLLOW: u32 = 0x2;
pub const FSPICK_NO_AUTOMOUNT: u32 = 0x4;
pub const FSPICK_EMPTY_PATH: u32 = 0x8;
pub const OPEN_TREE_CLONE: u32 = 0x1;
pub const OPEN_TREE_CLOEXEC: u32 = 0x80000;

flags! {
    /// `flags` of move_mount(2).
    pub struct MoveMountFlags: u32 {
        const MOVE_MOUNT_F_SYMLINKS = 0x1;
        const MOVE_MOUNT_F_AUTOMOUNTS = 0x2;
        const MOVE_MOUNT_F_EMPTY_PATH = 0x4;
        const MOVE_MOUNT_T_SYMLINKS = 0x10;
        const MOVE_MOUNT_T_AUTOMOUNTS = 0x20;
        const MOVE_MOUNT_T_EMPTY_PATH = 0x40;
        const MOVE_MOUNT_SET_GROUP = 0x100;
        const MOVE_MOUNT_BENEATH = 0x200;
    }
}

/// `struct mnt_id_req` of statmount(2) and listmount(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct MntIdReq {
    pub size: u32,
    pub spare: u32,
    pub mnt_id: u64,
    pub param: u64,
    pub mnt_ns_id: u64,
}

pub const MNT_ID_REQ_SIZE_VER0: u32 = 24;
pub const MNT_ID_REQ_SIZE_VER1: u32 = 32;
/// listmount(2): the root of the namespace.
pub const LSMT_ROOT: u64 = u64::MAX;
pub const LISTMOUNT_REVERSE: u32 = 1;

flags! {
    /// What statmount(2) is asked for and gave.
    pub struct StatmountMask: u64 {
        const STATMOUNT_SB_BASIC = 0x1;
        const STATMOUNT_MNT_BASIC = 0x2;
        const STATMOUNT_PROPAGATE_FROM = 0x4;
        const STATMOUNT_MNT_ROOT = 0x8;
        const STATMOUNT_MNT_POINT = 0x10;
        const STATMOUNT_FS_TYPE = 0x20;
        const STATMOUNT_MNT_NS_ID = 0x40;
        const STATMOUNT_MNT_OPTS = 0x80;
        const STATMOUNT_FS_SUBTYPE = 0x100;
        const STATMOUNT_SB_SOURCE = 0x200;
        const STATMOUNT_OPT_ARRAY = 0x400;
        const STATMOUNT_OPT_SEC_ARRAY = 0x800;
        const STATMOUNT_SUPPORTED_MASK = 0x1000;
    }
}

/// `struct statmount`; strings follow it, at offsets from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Statmount {
    pub size: u32,
    pub mnt_opts: u32,
    pub mask: u64,
    pub sb_dev_major: u32,
    pub sb_dev_minor: u32,
    pub sb_magic: u64,
    pub sb_flags: u32,
    pub fs_type: u32,
    pub mnt_id: u64,
    pub mnt_parent_id: u64,
    pub mnt_id_old: u32,
    pub mnt_parent_id_old: u32,
    pub mnt_attr: u64,
    pub mnt_propagation: u64,
    pub mnt_peer_group: u64,
    pub mnt_master: u64,
    pub propagate_from: u64,
    pub mnt_root: u32,
    pub mnt_point: u32,
    pub mnt_ns_id: u64,
    pub fs_subtype: u32,
    pub sb_source: u32,
    pub opt_num: u32,
    pub opt_array: u32,
    pub opt_sec_num: u32,
    pub opt_sec_array: u32,
    pub supported_mask: u64,
    pub _spare: [u64; 45],
}

impl Default for Statmount {
    fn default() -> Self {
        zerocopy::FromZeros::new_zeroed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_the_kernel_headers() {
        use linux_raw_sys::general as raw;
        assert_eq!(size_of::<MountAttr>(), size_of::<raw::mount_attr>());
        assert_eq!(size_of::<MntIdReq>(), size_of::<raw::mnt_id_req>());
        assert_eq!(size_of::<Statmount>(), size_of::<raw::statmount>());
        assert_eq!(core::mem::offset_of!(Statmount, mnt_ns_id), core::mem::offset_of!(raw::statmount, mnt_ns_id));
    }
}
