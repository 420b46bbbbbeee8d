//! statfs(2): the structure, its flags, and the magic numbers of filesystems.
#![expect(missing_docs, reason = "the names are Linux's, see the man pages")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::{flags, numbers};

/// `struct statfs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Statfs {
    pub f_type: i64,
    pub f_bsize: i64,
    pub f_blocks: u64,
    pub f_bfree: u64,
    pub f_bavail: u64,
    pub f_files: u64,
    pub f_ffree: u64,
    pub f_fsid: [i32; 2],
    pub f_namelen: i64,
    pub f_frsize: i64,
    pub f_flags: i64,
    pub f_spare: [i64; 4],
}

/// `struct ustat`. No file system has a name or a pack name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Ustat {
    pub f_tfree: i32,
    pub pad: u32,
    pub f_tinode: u64,
    pub f_fname: [u8; 6],
    pub f_fpack: [u8; 6],
    pub pad2: u32,
}

flags! {
    /// `f_flags` of [`Statfs`].
    pub struct StatfsFlags: u64 {
        const ST_RDONLY = 0x1;
        const ST_NOSUID = 0x2;
        const ST_NODEV = 0x4;
        const ST_NOEXEC = 0x8;
        const ST_SYNCHRONOUS = 0x10;
        const ST_VALID = 0x20;
        const ST_MANDLOCK = 0x40;
        const ST_NOATIME = 0x400;
        const ST_NODIRATIME = 0x800;
        const ST_RELATIME = 0x1000;
        const ST_NOSYMFOLLOW = 0x2000;
    }
}

numbers! {
    /// The name of a filesystem's magic number.
    pub fn magic_name(i64) {
        EXT4_SUPER_MAGIC = 0xef53,
        TMPFS_MAGIC = 0x1021994,
        PROC_SUPER_MAGIC = 0x9fa0,
        SYSFS_MAGIC = 0x62656572,
        DEVPTS_SUPER_MAGIC = 0x1cd1,
        OVERLAYFS_SUPER_MAGIC = 0x794c7630,
        SOCKFS_MAGIC = 0x534f434b,
        PIPEFS_MAGIC = 0x50495045,
        ANON_INODE_FS_MAGIC = 0x9041934,
        V9FS_MAGIC = 0x1021997,
        CGROUP_SUPER_MAGIC = 0x27e0eb,
        CGROUP2_SUPER_MAGIC = 0x63677270,
        RAMFS_MAGIC = 0x858458f6,
        NSFS_MAGIC = 0x6e736673,
        FUSE_SUPER_MAGIC = 0x65735546,
        XFS_SUPER_MAGIC = 0x58465342,
        BTRFS_SUPER_MAGIC = 0x9123683e,
        NFS_SUPER_MAGIC = 0x6969,
        HUGETLBFS_MAGIC = 0x958458f6,
        SECURITYFS_MAGIC = 0x73636673,
        DEBUGFS_MAGIC = 0x64626720,
        TRACEFS_MAGIC = 0x74726163,
        BPF_FS_MAGIC = 0xcafe4a11,
        MQUEUE_MAGIC = 0x19800202,
        PIDFS_MAGIC = 0x50494446,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_matches_the_kernel_headers() {
        use linux_raw_sys::general as raw;
        assert_eq!(size_of::<Statfs>(), size_of::<raw::statfs64>());
        assert_eq!(core::mem::offset_of!(Statfs, f_flags), core::mem::offset_of!(raw::statfs64, f_flags));
    }
}
