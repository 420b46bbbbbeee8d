//! Pages of a memory file that this process and others look at together, touched only through atomics.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use abi::Errno;

use crate::memfd;

/// A memory file of fixed size, mapped here for reading and writing.
#[derive(Debug)]
pub struct SharedPages {
    file: OwnedFd,
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping lives as long as the value and is reached only through atomics.
unsafe impl Send for SharedPages {}
// SAFETY: as above.
unsafe impl Sync for SharedPages {}

impl SharedPages {
    /// A new file of `len` bytes, all zero. Memory is used only for pages that were written.
    pub fn new(name: &str, len: usize) -> Result<Self, Errno> {
        let file = memfd::create(name)?;
        memfd::set_len(file.as_fd(), len as u64)?;
        memfd::seal_len(file.as_fd())?;
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, file.as_raw_fd(), 0) };
        match NonNull::new(start.cast::<u8>()) {
            Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => Ok(Self { file, start, len }),
            _ => Err(crate::errno::last()),
        }
    }

    /// The file, for others to map.
    #[must_use]
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Where it is in this process, for those that hand it on to the host's kernel (a virtual machine's memory).
    #[must_use]
    pub fn address(&self) -> u64 {
        self.start.as_ptr().addr() as u64
    }

    /// Bytes in the file.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The aligned 32-bit word at `offset`.
    ///
    /// # Panics
    /// If `offset` is not aligned or outside of the file.
    #[must_use]
    pub fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(
            offset.is_multiple_of(4) && self.len.checked_sub(4).is_some_and(|last| offset <= last),
            "bad word offset"
        );
        // SAFETY: checked above to be inside and aligned; all access to the mapping is atomic.
        unsafe { AtomicU32::from_ptr(self.start.as_ptr().add(offset).cast()) }
    }

    /// The aligned 64-bit word at `offset`.
    ///
    /// # Panics
    /// If `offset` is not aligned or outside of the file.
    #[must_use]
    pub fn long(&self, offset: usize) -> &AtomicU64 {
        assert!(
            offset.is_multiple_of(8) && self.len.checked_sub(8).is_some_and(|last| offset <= last),
            "bad word offset"
        );
        // SAFETY: checked above to be inside and aligned; all access to the mapping is atomic.
        unsafe { AtomicU64::from_ptr(self.start.as_ptr().add(offset).cast()) }
    }
}

impl Drop for SharedPages {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nothing borrows any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
