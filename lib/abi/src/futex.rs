//! futex(2), robust lists, futex_waitv(2).
#![expect(missing_docs, reason = "the names are Linux's, see futex(2)")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::{flags, numbers};

numbers! {
    /// The name of an operation of futex(2), its flags taken off.
    pub fn futex_op_name(u32) {
        FUTEX_WAIT = 0,
        FUTEX_WAKE = 1,
        FUTEX_FD = 2,
        FUTEX_REQUEUE = 3,
        FUTEX_CMP_REQUEUE = 4,
        FUTEX_WAKE_OP = 5,
        FUTEX_LOCK_PI = 6,
        FUTEX_UNLOCK_PI = 7,
        FUTEX_TRYLOCK_PI = 8,
        FUTEX_WAIT_BITSET = 9,
        FUTEX_WAKE_BITSET = 10,
        FUTEX_WAIT_REQUEUE_PI = 11,
        FUTEX_CMP_REQUEUE_PI = 12,
        FUTEX_LOCK_PI2 = 13,
    }
}

pub const FUTEX_PRIVATE_FLAG: u32 = 0x80;
pub const FUTEX_CLOCK_REALTIME: u32 = 0x100;
pub const FUTEX_CMD_MASK: u32 = 0xfffffe7f;
pub const FUTEX_WAITERS: u32 = 0x80000000;
pub const FUTEX_OWNER_DIED: u32 = 0x40000000;
pub const FUTEX_TID_MASK: u32 = 0x3fffffff;
pub const FUTEX_BITSET_MATCH_ANY: u32 = 0xffffffff;

pub const FUTEX_OP_SET: u32 = 0;
pub const FUTEX_OP_ADD: u32 = 1;
pub const FUTEX_OP_OR: u32 = 2;
pub const FUTEX_OP_ANDN: u32 = 3;
pub const FUTEX_OP_XOR: u32 = 4;
pub const FUTEX_OP_OPARG_SHIFT: u32 = 8;
pub const FUTEX_OP_CMP_EQ: u32 = 0;
pub const FUTEX_OP_CMP_NE: u32 = 1;
pub const FUTEX_OP_CMP_LT: u32 = 2;
pub const FUTEX_OP_CMP_LE: u32 = 3;
pub const FUTEX_OP_CMP_GT: u32 = 4;
pub const FUTEX_OP_CMP_GE: u32 = 5;

/// Most entries of a robust list that are followed.
pub const ROBUST_LIST_LIMIT: u32 = 2048;
/// Low bit of a robust list entry's address: the futex is a PI futex.
pub const ROBUST_LIST_PI: u64 = 1;

/// `struct robust_list_head`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct RobustListHead {
    /// Address of the first entry (the head's own address if the list is empty); bit 0 is the PI flag.
    pub list: u64,
    /// From an entry to its futex word.
    pub futex_offset: i64,
    /// The entry being added or removed.
    pub list_op_pending: u64,
}

/// `struct futex_waitv`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct FutexWaitv {
    pub val: u64,
    pub uaddr: u64,
    pub flags: u32,
    pub _reserved: u32,
}

/// Most entries of futex_waitv(2).
pub const FUTEX_WAITV_MAX: u32 = 128;

flags! {
    /// Flags of futex_waitv(2), futex_wake(2), futex_wait(2), futex_requeue(2); the two lowest bits are the size.
    pub struct Futex2Flags: u32 {
        const FUTEX2_SIZE_U64 = 0x3;
        const FUTEX2_SIZE_U32 = 0x2;
        const FUTEX2_SIZE_U16 = 0x1;
        const FUTEX2_NUMA = 0x4;
        const FUTEX2_MPOL = 0x8;
        const FUTEX2_PRIVATE = 0x80;
    }
}

/// The bits of the size in [`Futex2Flags`].
pub const FUTEX2_SIZE_MASK: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_the_kernel_headers() {
        assert_eq!(size_of::<RobustListHead>(), size_of::<linux_raw_sys::general::robust_list_head>());
        assert_eq!(size_of::<FutexWaitv>(), size_of::<linux_raw_sys::general::futex_waitv>());
    }
}
