//! A host file mapped into this process, to be read and written through [`HostSlice`]s.

use std::os::fd::{AsRawFd, BorrowedFd};

use abi::Errno;

use crate::errno::last;
use crate::guard;
use crate::mem::HostSlice;

/// A shared mapping of a piece of a file; unmapped when dropped. Its pages may change or vanish at any time: only
/// [`HostSlice`] touches them.
#[derive(Debug)]
pub struct Mapping {
    // Invariant: `start..start + len` is mapped readable (and writable if `writable`) from `new` to `drop`, and no
    // reference to its bytes is ever made.
    start: *mut u8,
    len: usize,
    writable: bool,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is only touched by routines that tolerate races.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of `fd` at `offset` (page aligned), without reserving memory for them.
    pub fn new(fd: BorrowedFd<'_>, offset: u64, len: usize, writable: bool) -> Result<Self, Errno> {
        guard::install();
        let prot = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
        let offset = i64::try_from(offset).map_err(|_| Errno::EINVAL)?;
        // SAFETY: the kernel chooses an address where nothing is mapped, so nothing of ours changes.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, fd.as_raw_fd(), offset) };
        if start == libc::MAP_FAILED {
            return Err(last());
        }
        Ok(Self { start: start.cast(), len, writable })
    }

    /// Leaves it out of core dumps of this process.
    pub fn dont_dump(&self) {
        // SAFETY: advice about our own mapping; it changes nothing that can be read.
        unsafe {
            libc::madvise(self.start.cast(), self.len, libc::MADV_DONTDUMP);
        }
    }

    /// Where it is in this process, for those that hand it on to the host's kernel (a virtual machine's memory).
    #[must_use]
    pub fn address(&self) -> u64 {
        self.start.addr() as u64
    }

    /// Forgets which pages of the file are mapped, from `at` on (page aligned), clipped to the mapping. What they hold stays,
    /// and whoever follows this mapping in the host's kernel (a virtual machine) forgets them as well, before this returns.
    pub fn forget(&self, at: usize, len: usize) -> Result<(), Errno> {
        let at = at.min(self.len);
        let len = len.min(self.len - at);
        // SAFETY: the range lies in our mapping, which is shared: its pages stay in the file, and are mapped again by a touch.
        crate::errno::cvt(unsafe { libc::madvise(self.start.add(at).cast(), len, libc::MADV_DONTNEED) }).map(drop)
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is empty; never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it may be written.
    #[must_use]
    pub fn writable(&self) -> bool {
        self.writable
    }

    /// `len` bytes from `at` on, clipped to the mapping.
    #[must_use]
    #[inline]
    pub fn slice(&self, at: usize, len: usize) -> HostSlice<'_> {
        let at = at.min(self.len);
        let len = len.min(self.len - at);
        // SAFETY: clipped to the mapping, which lives as long as `self`; the rest is its invariant.
        unsafe { HostSlice::from_mapping(self.start.add(at), len, self.writable) }
    }

    /// mincore(2): for each page from `at` (page aligned) on whether the file has it in memory; swapped pages it does not
    /// count. As many pages as `pages` has room for.
    pub fn in_core(&self, at: usize, pages: &mut [u8]) -> Result<(), Errno> {
        let len = pages.len().saturating_mul(4096);
        if at > self.len || len > self.len - at {
            return Err(Errno::EINVAL);
        }
        // SAFETY: the range lies in our mapping, and the kernel writes one byte for each of its pages.
        let ret = unsafe { libc::mincore(self.start.add(at).cast(), len, pages.as_mut_ptr()) };
        crate::errno::cvt(ret).map(drop)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours alone, and slices of it cannot outlive `self`.
        unsafe {
            libc::munmap(self.start.cast(), self.len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Mapping;
    use crate::memfd;
    use abi::Errno;
    use std::os::fd::AsFd;

    #[test]
    fn a_file_that_became_shorter_is_a_short_count_then_efault() {
        let fd = memfd::create("test").expect("memfd");
        memfd::set_len(fd.as_fd(), 8192).expect("grow");
        let map = Mapping::new(fd.as_fd(), 0, 8192, true).expect("map");
        assert_eq!(map.slice(0, 8192).write(&[7; 8192]), Ok(8192));
        memfd::set_len(fd.as_fd(), 4096).expect("shrink");
        let mut bytes = [0; 8192];
        assert_eq!(map.slice(0, 8192).read(&mut bytes), Ok(4096));
        assert_eq!(bytes[4095], 7);
        assert_eq!(map.slice(4096, 64).read(&mut bytes), Err(Errno::EFAULT));
        assert_eq!(map.slice(4096, 4).load_u32(), Err(Errno::EFAULT));
        assert_eq!(map.slice(4096, 4).compare_exchange_u32(0, 1), Err(Errno::EFAULT));
        assert_eq!(map.slice(4000, 500).zero(), Ok(96));
        assert!(map.slice(9000, 10).is_empty());
    }
}
