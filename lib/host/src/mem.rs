//! Memory that others may change at any time: pieces of mapped files, read and written only by copy.

use std::marker::PhantomData;
use std::os::fd::BorrowedFd;

use abi::Errno;

/// A piece of memory, ours or mapped from a file that the application changes while we look. No reference to its bytes is
/// ever made; a SIGBUS while copying (a mapped file became shorter) becomes EFAULT.
#[derive(Debug)]
pub struct HostSlice<'a> {
    start: *mut u8,
    len: usize,
    writable: bool,
    life: PhantomData<&'a mut [u8]>,
}

impl<'a> HostSlice<'a> {
    /// A buffer of ours, to write into.
    #[must_use]
    pub fn from_mut(bytes: &'a mut [u8]) -> Self {
        Self { start: bytes.as_mut_ptr(), len: bytes.len(), writable: true, life: PhantomData }
    }

    /// A buffer of ours, to read from.
    #[must_use]
    pub fn from_ref(bytes: &'a [u8]) -> Self {
        Self { start: bytes.as_ptr().cast_mut(), len: bytes.len(), writable: false, life: PhantomData }
    }

    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first `len` bytes, or all if there are fewer.
    #[must_use]
    pub fn first(self, len: usize) -> Self {
        Self { len: self.len.min(len), ..self }
    }

    /// Without the first `len` bytes.
    #[must_use]
    pub fn skip(&self, len: usize) -> HostSlice<'_> {
        let len = len.min(self.len);
        HostSlice {
            start: self.start.wrapping_add(len),
            len: self.len - len,
            writable: self.writable,
            life: PhantomData,
        }
    }

    /// Copies from `bytes` as much as fits; returns how much.
    pub fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let _ = bytes;
        todo!()
    }

    /// Copies into `bytes` as much as there is; returns how much.
    pub fn read(&self, bytes: &mut [u8]) -> Result<usize, Errno> {
        let _ = bytes;
        todo!()
    }

    /// Zeroes all of it.
    pub fn zero(&self) -> Result<usize, Errno> {
        todo!()
    }

    /// Copies from another piece; the two may be the same memory.
    pub fn copy_from(&self, other: &HostSlice<'_>) -> Result<usize, Errno> {
        let _ = other;
        todo!()
    }

    /// preadv2(2) into it, at `offset`, or at the file's own position for `None`.
    pub fn read_fd(&self, fd: BorrowedFd<'_>, offset: Option<u64>) -> Result<usize, Errno> {
        let _ = (fd, offset, self.writable);
        todo!()
    }

    /// pwritev2(2) from it, at `offset`, or at the file's own position for `None`.
    pub fn write_fd(&self, fd: BorrowedFd<'_>, offset: Option<u64>) -> Result<usize, Errno> {
        let _ = (fd, offset, self.start);
        todo!()
    }
}
