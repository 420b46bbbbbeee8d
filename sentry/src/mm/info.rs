//! What the loader tells about the program, for /proc/PID and prctl(2) PR_SET_MM.

use std::sync::Arc;

use abi::{Errno, UserAddr};

use super::MemoryManager;
use super::vma::{Vma, VmaName};
use crate::error::{Result, err};
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

    /// prctl(2) PR_SET_VMA_ANON_NAME: names anonymous memory for /proc/PID/maps; `None` takes the name away. ENOMEM if there
    /// is a hole, EBADF for mapped files.
    pub fn name_anonymous(&self, addr: UserAddr, len: u64, name: Option<&[u8]>) -> Result<()> {
        if !addr.is_page_aligned() {
            return err(Errno::EINVAL);
        }
        let name = name.map(|text| VmaName::Anon(text.into()));
        self.change(|change| {
            let range = change.user_range(addr, len, Errno::ENOMEM)?;
            if range.is_empty() {
                return Ok(());
            }
            if change.space.vmas.touching(range).any(Vma::is_of_file) {
                return err(Errno::EBADF);
            }
            change.update_areas(range, |vma| vma.name.clone_from(&name));
            if change.space.vmas.covers(range) { Ok(()) } else { err(Errno::ENOMEM) }
        })
    }

    /// Whether the kernel's own area of that name is at `addr`.
    pub(super) fn is_special(&self, addr: UserAddr, name: &str) -> bool {
        let space = self.space.read();
        let found = space.vmas.find(addr);
        found.is_some_and(|vma| matches!(vma.name, Some(VmaName::Special(own)) if own == name))
    }

    /// The program's file.
    #[must_use]
    pub fn exe(&self) -> Option<Arc<File>> {
        self.space.read().info.exe.clone()
    }
}
