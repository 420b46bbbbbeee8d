//! What the loader tells about the program, for /proc/PID and prctl(2) PR_SET_MM.

use std::sync::Arc;

use abi::UserAddr;

use super::MemoryManager;
use crate::vfs::File;
use crate::vfs::write_access::DenyWrite;

/// Addresses of the program's parts, its auxiliary vector and its file.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the names are those of struct mm_struct, see prctl(2) PR_SET_MM")]
pub struct ProgramInfo {
    pub start_code: UserAddr,
    pub end_code: UserAddr,
    pub start_data: UserAddr,
    pub end_data: UserAddr,
    pub start_brk: UserAddr,
    pub brk: UserAddr,
    pub start_stack: UserAddr,
    pub arg_start: UserAddr,
    pub arg_end: UserAddr,
    pub env_start: UserAddr,
    pub env_end: UserAddr,
    /// Type and value, without the final AT_NULL.
    pub auxv: Arc<[(u64, u64)]>,
    /// /proc/PID/exe.
    pub exe: Option<Arc<File>>,
    /// Keeps the program's file from being written.
    pub deny_write: Option<DenyWrite>,
    /// Where the vDSO is; 0 if there is none.
    pub vdso: UserAddr,
    /// The heap is executable (READ_IMPLIES_EXEC).
    pub heap_exec: bool,
}

impl MemoryManager {
    /// What is known about the program.
    #[must_use]
    pub fn info(&self) -> ProgramInfo {
        self.space.read().info.clone()
    }

    /// Changes what is known about the program; what is replaced is dropped without the lock.
    pub fn update_info(&self, change: impl FnOnce(&mut ProgramInfo)) {
        let mut space = self.space.write();
        let old = space.info.clone();
        change(&mut space.info);
        drop(space);
        drop(old);
    }

    /// The program's file.
    #[must_use]
    pub fn exe(&self) -> Option<Arc<File>> {
        self.space.read().info.exe.clone()
    }
}
