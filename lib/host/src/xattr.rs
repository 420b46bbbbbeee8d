//! Extended attributes of open files, fgetxattr(2) and its family.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use abi::Errno;

use crate::errno::{cvt, cvt_len};

/// fgetxattr(2): the length of the value; it is in `value` if it fits, otherwise ERANGE. An empty `value` only asks.
pub fn get(fd: BorrowedFd<'_>, name: &CStr, value: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: `name` is a C string; the kernel writes at most `value.len()` bytes into `value`.
    let n = unsafe { libc::fgetxattr(fd.as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    cvt_len(n)
}

/// flistxattr(2): names, each followed by a NUL; the length as for [`get`].
pub fn list(fd: BorrowedFd<'_>, names: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most `names.len()` bytes into `names`.
    let n = unsafe { libc::flistxattr(fd.as_raw_fd(), names.as_mut_ptr().cast(), names.len()) };
    cvt_len(n)
}

/// fsetxattr(2).
pub fn set(fd: BorrowedFd<'_>, name: &CStr, value: &[u8], flags: i32) -> Result<(), Errno> {
    // SAFETY: `name` is a C string; the kernel reads `value.len()` bytes of `value`.
    let n = unsafe { libc::fsetxattr(fd.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), flags) };
    cvt(n).map(drop)
}

/// fremovexattr(2).
pub fn remove(fd: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    // SAFETY: `name` is a C string.
    cvt(unsafe { libc::fremovexattr(fd.as_raw_fd(), name.as_ptr()) }).map(drop)
}
