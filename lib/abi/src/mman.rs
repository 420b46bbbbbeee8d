//! mmap(2) and its family: protections, flags and advice.
#![expect(missing_docs, reason = "the names are Linux's, see the man pages")]

use crate::names::{flags, numbers};

flags! {
    /// `prot` of mmap(2) and mprotect(2). No bit is PROT_NONE.
    pub struct Prot: u32 {
        const PROT_READ = 0x1;
        const PROT_WRITE = 0x2;
        const PROT_EXEC = 0x4;
        const PROT_SEM = 0x8;
        const PROT_GROWSDOWN = 0x1000000;
        const PROT_GROWSUP = 0x2000000;
    }
}

impl Prot {
    /// No access.
    pub const PROT_NONE: Self = Self::empty();
    /// Read, write and execute together.
    pub const RWX: Self = Self::from_bits_retain(7);
}

flags! {
    /// `flags` of mmap(2). The two lowest bits and the next two are the type, see [`MapFlags::map_type`].
    pub struct MapFlags: u32 {
        const MAP_SHARED_VALIDATE = 0x3;
        const MAP_SHARED = 0x1;
        const MAP_PRIVATE = 0x2;
        const MAP_FIXED = 0x10;
        const MAP_ANONYMOUS = 0x20;
        const MAP_32BIT = 0x40;
        const MAP_GROWSDOWN = 0x100;
        const MAP_DENYWRITE = 0x800;
        const MAP_EXECUTABLE = 0x1000;
        const MAP_LOCKED = 0x2000;
        const MAP_NORESERVE = 0x4000;
        const MAP_POPULATE = 0x8000;
        const MAP_NONBLOCK = 0x10000;
        const MAP_STACK = 0x20000;
        const MAP_HUGETLB = 0x40000;
        const MAP_SYNC = 0x80000;
        const MAP_FIXED_NOREPLACE = 0x100000;
    }
}

impl MapFlags {
    /// The bits of the mapping's type.
    pub const MAP_TYPE: Self = Self::from_bits_retain(0xf);
    /// Where the log2 of a huge page's size stands.
    pub const MAP_HUGE_SHIFT: u32 = 26;
    /// The bits of a huge page's size, shifted down.
    pub const MAP_HUGE_MASK: u32 = 0x3f;
    /// What every mapping understood before MAP_SHARED_VALIDATE; unknown bits beyond are ignored by the older types.
    pub const LEGACY_MAP_MASK: Self = Self::from_bits_retain(
        0x1 | 0x2
            | 0x10
            | 0x20
            | 0x40
            | 0x100
            | 0x800
            | 0x1000
            | 0x2000
            | 0x4000
            | 0x8000
            | 0x1_0000
            | 0x2_0000
            | 0x4_0000
            | 0x3f << 26,
    );

    /// MAP_SHARED, MAP_PRIVATE or MAP_SHARED_VALIDATE; `None` for anything else, which is EINVAL.
    #[must_use]
    pub const fn map_type(self) -> Option<MapType> {
        match self.bits() & 0xf {
            1 => Some(MapType::Shared),
            2 => Some(MapType::Private),
            3 => Some(MapType::SharedValidate),
            _ => None,
        }
    }
}

/// The type of a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapType {
    /// MAP_SHARED
    Shared,
    /// MAP_PRIVATE
    Private,
    /// MAP_SHARED_VALIDATE
    SharedValidate,
}

flags! {
    /// `flags` of mremap(2).
    pub struct MremapFlags: u32 {
        const MREMAP_MAYMOVE = 0x1;
        const MREMAP_FIXED = 0x2;
        const MREMAP_DONTUNMAP = 0x4;
    }
}

flags! {
    /// `flags` of msync(2).
    pub struct MsyncFlags: u32 {
        const MS_ASYNC = 0x1;
        const MS_INVALIDATE = 0x2;
        const MS_SYNC = 0x4;
    }
}

flags! {
    /// `flags` of mlockall(2).
    pub struct MlockallFlags: u32 {
        const MCL_CURRENT = 0x1;
        const MCL_FUTURE = 0x2;
        const MCL_ONFAULT = 0x4;
    }
}

/// mlock2(2): lock pages as they are touched.
pub const MLOCK_ONFAULT: u32 = 1;

flags! {
    /// `flags` of memfd_create(2).
    pub struct MemfdFlags: u32 {
        const MFD_CLOEXEC = 0x1;
        const MFD_ALLOW_SEALING = 0x2;
        const MFD_HUGETLB = 0x4;
        const MFD_NOEXEC_SEAL = 0x8;
        const MFD_EXEC = 0x10;
    }
}

/// The longest name memfd_create(2) takes, without its NUL.
pub const MFD_NAME_MAX_LEN: usize = 249;

numbers! {
    /// The name of `advice` of madvise(2).
    pub fn madvise_name(u32) {
        MADV_NORMAL = 0,
        MADV_RANDOM = 1,
        MADV_SEQUENTIAL = 2,
        MADV_WILLNEED = 3,
        MADV_DONTNEED = 4,
        MADV_FREE = 8,
        MADV_REMOVE = 9,
        MADV_DONTFORK = 10,
        MADV_DOFORK = 11,
        MADV_MERGEABLE = 12,
        MADV_UNMERGEABLE = 13,
        MADV_HUGEPAGE = 14,
        MADV_NOHUGEPAGE = 15,
        MADV_DONTDUMP = 16,
        MADV_DODUMP = 17,
        MADV_WIPEONFORK = 18,
        MADV_KEEPONFORK = 19,
        MADV_COLD = 20,
        MADV_PAGEOUT = 21,
        MADV_POPULATE_READ = 22,
        MADV_POPULATE_WRITE = 23,
        MADV_DONTNEED_LOCKED = 24,
        MADV_COLLAPSE = 25,
        MADV_HWPOISON = 100,
        MADV_SOFT_OFFLINE = 101,
        MADV_GUARD_INSTALL = 102,
        MADV_GUARD_REMOVE = 103,
    }
}

numbers! {
    /// The name of a policy of set_mempolicy(2).
    pub fn mempolicy_name(u32) {
        MPOL_DEFAULT = 0,
        MPOL_PREFERRED = 1,
        MPOL_BIND = 2,
        MPOL_INTERLEAVE = 3,
        MPOL_LOCAL = 4,
        MPOL_PREFERRED_MANY = 5,
        MPOL_WEIGHTED_INTERLEAVE = 6,
    }
}

flags! {
    /// Flags in the mode of set_mempolicy(2).
    pub struct MempolicyModeFlags: u32 {
        const MPOL_F_STATIC_NODES = 0x8000;
        const MPOL_F_RELATIVE_NODES = 0x4000;
        const MPOL_F_NUMA_BALANCING = 0x2000;
    }
}

flags! {
    /// `flags` of get_mempolicy(2).
    pub struct GetMempolicyFlags: u32 {
        const MPOL_F_NODE = 0x1;
        const MPOL_F_ADDR = 0x2;
        const MPOL_F_MEMS_ALLOWED = 0x4;
    }
}

flags! {
    /// `flags` of mbind(2) and move_pages(2).
    pub struct MbindFlags: u32 {
        const MPOL_MF_STRICT = 0x1;
        const MPOL_MF_MOVE = 0x2;
        const MPOL_MF_MOVE_ALL = 0x4;
    }
}
