//! Vectored I/O: `struct iovec` and the flags of preadv2(2).
#![expect(missing_docs, reason = "the names are Linux's, see the man pages")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::flags;

/// `struct iovec`, both fields as the application wrote them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Iovec {
    pub iov_base: u64,
    pub iov_len: u64,
}

/// The most segments a vectored call takes.
pub const UIO_MAXIOV: usize = 1024;
/// The most bytes one read or write moves (MAX_RW_COUNT).
pub const MAX_RW_COUNT: u64 = 0x7fff_f000;

flags! {
    /// `flags` of preadv2(2) and pwritev2(2).
    pub struct RwFlags: u32 {
        const RWF_HIPRI = 0x1;
        const RWF_DSYNC = 0x2;
        const RWF_SYNC = 0x4;
        const RWF_NOWAIT = 0x8;
        const RWF_APPEND = 0x10;
        const RWF_NOAPPEND = 0x20;
        const RWF_ATOMIC = 0x40;
        const RWF_DONTCACHE = 0x80;
    }
}
