//! Memory that others may change at any time: pieces of mapped files, read and written only by copy.

use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};

use abi::Errno;

use crate::errno::{cvt, cvt_len};
use crate::guard;

/// A piece of memory, ours or mapped from a file that the application changes while we look. No reference to its bytes is
/// ever made; a SIGBUS while copying (a mapped file became shorter) becomes EFAULT if nothing was copied, else a short count.
#[derive(Debug)]
pub struct HostSlice<'a> {
    // Invariant: `start..start + len` is, for `'a`, either a mapping (touched by the routines of `guard` alone) or a live
    // buffer of ours that nobody else uses.
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

    /// A piece of a mapping.
    ///
    /// # Safety
    /// `start..start + len` lies in one mapping that lives for `'a`, is readable, and writable if `writable`; nothing in
    /// this process makes references to it.
    pub(crate) unsafe fn from_mapping(start: *mut u8, len: usize, writable: bool) -> Self {
        Self { start, len, writable, life: PhantomData }
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
        self.copy_from(&HostSlice::from_ref(bytes))
    }

    /// Copies into `bytes` as much as there is; returns how much.
    pub fn read(&self, bytes: &mut [u8]) -> Result<usize, Errno> {
        HostSlice::from_mut(bytes).copy_from(self)
    }

    /// Zeroes all of it.
    pub fn zero(&self) -> Result<usize, Errno> {
        self.check_writable()?;
        // SAFETY: by the invariant the bytes may be written, and a fault makes the routine return.
        let left = unsafe { guard::host_guard_zero(self.start, self.len) };
        partial(self.len, left)
    }

    /// Copies from another piece; the two may be the same memory.
    pub fn copy_from(&self, other: &HostSlice<'_>) -> Result<usize, Errno> {
        self.check_writable()?;
        let len = self.len.min(other.len);
        // SAFETY: by the invariant of both the bytes may be read and written, and a fault makes the routine return.
        let left = unsafe { guard::host_guard_copy(self.start, other.start, len) };
        partial(len, left)
    }

    /// The word at its beginning, read at once. EINVAL if it is not aligned or shorter than a word.
    pub fn load_u32(&self) -> Result<u32, Errno> {
        self.check_word()?;
        // SAFETY: a word at `start` may be read by the invariant and the check; a fault makes the routine return.
        let word = unsafe { guard::host_guard_load(self.start) };
        found(word)
    }

    /// Replaces the word at its beginning by `new` if it is `old`; returns what it was. As [`Self::load_u32`].
    pub fn compare_exchange_u32(&self, old: u32, new: u32) -> Result<u32, Errno> {
        self.check_word()?;
        self.check_writable()?;
        // SAFETY: a word at `start` may be written by the invariant and the checks; a fault makes the routine return.
        let word = unsafe { guard::host_guard_exchange(self.start, old, new) };
        found(word)
    }

    /// Replaces the word at its beginning by what `f` makes of it, atomically; returns what it was.
    pub fn fetch_update_u32(&self, mut f: impl FnMut(u32) -> u32) -> Result<u32, Errno> {
        let mut old = self.load_u32()?;
        loop {
            let seen = self.compare_exchange_u32(old, f(old))?;
            if seen == old {
                return Ok(old);
            }
            old = seen;
        }
    }

    /// preadv2(2) into it, at `offset`, or at the file's own position for `None`.
    pub fn read_fd(&self, fd: BorrowedFd<'_>, offset: Option<u64>) -> Result<usize, Errno> {
        self.check_writable()?;
        // SAFETY: by the invariant the kernel may write these bytes; where it cannot it answers EFAULT.
        cvt_len(unsafe {
            match offset {
                None => libc::read(fd.as_raw_fd(), self.start.cast(), self.len),
                Some(at) => libc::pread(fd.as_raw_fd(), self.start.cast(), self.len, file_offset(at)?),
            }
        })
    }

    /// preadv2(2) with RWF_NOWAIT into it at the file's own position: EAGAIN instead of waiting, EOPNOTSUPP where the file
    /// cannot promise that.
    pub fn read_nowait(&self, fd: BorrowedFd<'_>) -> Result<usize, Errno> {
        self.check_writable()?;
        let iov = libc::iovec { iov_base: self.start.cast(), iov_len: self.len };
        // SAFETY: by the invariant the kernel may write these bytes; where it cannot it answers EFAULT.
        cvt_len(unsafe { libc::preadv2(fd.as_raw_fd(), &raw const iov, 1, -1, libc::RWF_NOWAIT) })
    }

    /// pwritev2(2) from it, at `offset`, or at the file's own position for `None`.
    pub fn write_fd(&self, fd: BorrowedFd<'_>, offset: Option<u64>) -> Result<usize, Errno> {
        // SAFETY: by the invariant the kernel may read these bytes; where it cannot it answers EFAULT.
        cvt_len(unsafe {
            match offset {
                None => libc::write(fd.as_raw_fd(), self.start.cast(), self.len),
                Some(at) => libc::pwrite(fd.as_raw_fd(), self.start.cast(), self.len, file_offset(at)?),
            }
        })
    }

    /// recvfrom(2) into it, with MSG_* `flags`, without an address.
    pub fn recv_fd(&self, fd: BorrowedFd<'_>, flags: i32) -> Result<usize, Errno> {
        self.check_writable()?;
        // SAFETY: by the invariant the kernel may write these bytes; where it cannot it answers EFAULT.
        cvt_len(unsafe { libc::recv(fd.as_raw_fd(), self.start.cast(), self.len, flags) })
    }

    /// sendto(2) from it, with MSG_* `flags`, to the connected peer.
    pub fn send_fd(&self, fd: BorrowedFd<'_>, flags: i32) -> Result<usize, Errno> {
        // SAFETY: by the invariant the kernel may read these bytes; where it cannot it answers EFAULT.
        cvt_len(unsafe { libc::send(fd.as_raw_fd(), self.start.cast(), self.len, flags | libc::MSG_NOSIGNAL) })
    }

    /// Fills it with random bytes from the host, getrandom(2).
    pub fn fill_random(&self) -> Result<usize, Errno> {
        self.check_writable()?;
        // SAFETY: by the invariant the kernel may write these bytes; where it cannot it answers EFAULT.
        cvt_len(unsafe { libc::getrandom(self.start.cast(), self.len, 0) })
    }

    fn check_writable(&self) -> Result<(), Errno> {
        if self.writable { Ok(()) } else { Err(Errno::EFAULT) }
    }

    fn check_word(&self) -> Result<(), Errno> {
        if self.len >= 4 && self.start.addr().is_multiple_of(4) { Ok(()) } else { Err(Errno::EINVAL) }
    }
}

/// Whether bytes of `fd` from `offset` on are data or a hole, and where that ends: SEEK_DATA and SEEK_HOLE of lseek(2).
/// Moves the file's own position.
pub fn seek_extent(fd: BorrowedFd<'_>, offset: u64, hole: bool) -> Result<u64, Errno> {
    let whence = if hole { libc::SEEK_HOLE } else { libc::SEEK_DATA };
    // SAFETY: lseek touches no memory of ours.
    let at = unsafe { libc::lseek(fd.as_raw_fd(), file_offset(offset)?, whence) };
    u64::try_from(cvt(at)?).map_err(|_| Errno::EIO)
}

fn file_offset(at: u64) -> Result<i64, Errno> {
    i64::try_from(at).map_err(|_| Errno::EINVAL)
}

/// What a copy of `len` bytes that left `left` reports.
fn partial(len: usize, left: usize) -> Result<usize, Errno> {
    if left == len && len > 0 { Err(Errno::EFAULT) } else { Ok(len - left) }
}

fn found(word: guard::Word) -> Result<u32, Errno> {
    if word.failed != 0 {
        return Err(Errno::EFAULT);
    }
    u32::try_from(word.value).map_err(|_| Errno::EFAULT)
}

#[cfg(test)]
mod tests {
    use super::HostSlice;
    use abi::Errno;

    #[test]
    fn copies_of_every_short_length_are_exact() {
        let from: Vec<u8> = (0..=255).collect();
        for len in 0..=200 {
            let mut to = vec![0xee; len + 8];
            let n = HostSlice::from_mut(&mut to[4..len + 4]).write(&from).expect("our own memory");
            assert_eq!(n, len);
            assert_eq!(&to[4..len + 4], &from[..len]);
            assert_eq!((&to[..4], &to[len + 4..]), (&[0xee; 4][..], &[0xee; 4][..]));
        }
    }

    #[test]
    fn read_only_pieces_refuse_writes() {
        let bytes = [1u8; 4];
        assert_eq!(HostSlice::from_ref(&bytes).zero(), Err(Errno::EFAULT));
    }

    #[test]
    fn words_are_updated_in_place() {
        let mut words = [7u32.to_ne_bytes(), [0; 4]].concat();
        let mut aligned = [0u8; 16];
        let skip = aligned.as_ptr().align_offset(4);
        aligned[skip..skip + 8].copy_from_slice(&words);
        let word = HostSlice::from_mut(&mut aligned[skip..skip + 4]);
        assert_eq!(word.fetch_update_u32(|v| v * 3), Ok(7));
        assert_eq!(word.load_u32(), Ok(21));
        assert_eq!(word.compare_exchange_u32(5, 6), Ok(21));
        words.truncate(2);
        assert_eq!(HostSlice::from_mut(&mut words).load_u32(), Err(Errno::EINVAL));
    }
}
