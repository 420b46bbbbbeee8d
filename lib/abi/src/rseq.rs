//! rseq(2): restartable sequences.
#![expect(missing_docs, reason = "the names are Linux's, see linux/rseq.h")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct rseq`, the area a thread registers; its first 32 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Rseq {
    pub cpu_id_start: u32,
    pub cpu_id: u32,
    /// Address of a [`RseqCs`], or null.
    pub rseq_cs: u64,
    pub flags: u32,
    pub node_id: u32,
    pub mm_cid: u32,
    pub _pad: u32,
}

/// `struct rseq_cs`: one critical section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct RseqCs {
    pub version: u32,
    pub flags: u32,
    pub start_ip: u64,
    pub post_commit_offset: u64,
    pub abort_ip: u64,
}

pub const RSEQ_FLAG_UNREGISTER: u32 = 1;
pub const RSEQ_CPU_ID_UNINITIALIZED: u32 = u32::MAX;
pub const RSEQ_CPU_ID_REGISTRATION_FAILED: u32 = u32::MAX - 1;
/// Flags of a critical section; deprecated, and any of them kills the program.
pub const RSEQ_CS_FLAGS: u32 = 7;
/// Bytes of the area in the first published version.
pub const ORIG_RSEQ_SIZE: u32 = 32;
/// Bytes of the area that this kernel fills (AT_RSEQ_FEATURE_SIZE).
pub const RSEQ_FEATURE_SIZE: u32 = 28;
/// Alignment of the area (AT_RSEQ_ALIGN).
pub const RSEQ_ALIGN: u32 = 32;
