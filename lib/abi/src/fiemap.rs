//! Where a file has data: `linux/fiemap.h`.
#![expect(missing_docs, reason = "the names are Linux's")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::ioctl::iowr;

/// `struct fiemap` without the extents behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Fiemap {
    pub fm_start: u64,
    pub fm_length: u64,
    pub fm_flags: u32,
    pub fm_mapped_extents: u32,
    pub fm_extent_count: u32,
    pub fm_reserved: u32,
}

/// `struct fiemap_extent`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct FiemapExtent {
    pub fe_logical: u64,
    pub fe_physical: u64,
    pub fe_length: u64,
    pub fe_reserved64: [u64; 2],
    pub fe_flags: u32,
    pub fe_reserved: [u32; 3],
}

pub const FS_IOC_FIEMAP: u32 = iowr::<Fiemap>(b'f', 11);
pub const FIEMAP_FLAG_SYNC: u32 = 1;
pub const FIEMAP_FLAG_CACHE: u32 = 4;
pub const FIEMAP_EXTENT_LAST: u32 = 1;
pub const FIEMAP_EXTENT_UNKNOWN: u32 = 2;
/// More do not fit in 32 bits of length.
pub const FIEMAP_MAX_EXTENTS: u32 = u32::MAX / size_of::<FiemapExtent>() as u32;

const _: () = assert!(size_of::<FiemapExtent>() == 56 && FS_IOC_FIEMAP == 0xc020_660b);
