//! The memory file: one memfd that holds all memory of a sandbox, used in ranges with reference counts.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use host::mem::HostSlice;

use crate::error::Result;

/// All memory of a sandbox.
#[derive(Debug)]
pub struct MemFile {}

/// A page-aligned range of the memory file that its owner keeps alive. Cloning adds a reference; the last drop punches the
/// range out of the file.
#[derive(Debug)]
pub struct MemRange {}

impl MemFile {
    /// The host file, to be mapped into address spaces.
    #[must_use]
    pub fn file(&self) -> &Arc<OwnedFd> {
        todo!()
    }

    /// A contiguous, zeroed range of `len` bytes (a multiple of the page size). ENOMEM when the sandbox's limit is reached.
    pub fn allocate(self: &Arc<Self>, len: u64) -> Result<MemRange> {
        let _ = len;
        todo!()
    }
}

impl MemRange {
    /// Where it is in the memory file.
    #[must_use]
    pub fn offset(&self) -> u64 {
        todo!()
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        todo!()
    }

    /// Whether it is empty; never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes `at..at+len` of the range, through the sentry's mapping of the file; clipped to the range.
    #[must_use]
    pub fn slice(&self, at: u64, len: usize) -> HostSlice<'_> {
        let _ = (at, len);
        todo!()
    }
}
