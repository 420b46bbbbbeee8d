//! membarrier(2).
#![expect(missing_docs, reason = "the names are Linux's, see membarrier(2)")]

use crate::names::flags;

flags! {
    /// Commands, each one bit; MEMBARRIER_CMD_QUERY is none of them.
    pub struct MembarrierCmd: u32 {
        const MEMBARRIER_CMD_GLOBAL = 0x1;
        const MEMBARRIER_CMD_GLOBAL_EXPEDITED = 0x2;
        const MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED = 0x4;
        const MEMBARRIER_CMD_PRIVATE_EXPEDITED = 0x8;
        const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED = 0x10;
        const MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE = 0x20;
        const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 0x40;
        const MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ = 0x80;
        const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ = 0x100;
        const MEMBARRIER_CMD_GET_REGISTRATIONS = 0x200;
    }
}

/// The only flag: `cpu_id` counts.
pub const MEMBARRIER_CMD_FLAG_CPU: u32 = 1;
