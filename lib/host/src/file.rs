//! Calls on open regular files that move no data.

use std::os::fd::{AsRawFd, BorrowedFd};

use abi::Errno;

use crate::errno::cvt;

/// fsync(2), or fdatasync(2).
pub fn sync(fd: BorrowedFd<'_>, data_only: bool) -> Result<(), Errno> {
    // SAFETY: neither call touches memory of ours.
    cvt(unsafe { if data_only { libc::fdatasync(fd.as_raw_fd()) } else { libc::fsync(fd.as_raw_fd()) } }).map(drop)
}

/// fallocate(2).
pub fn allocate(fd: BorrowedFd<'_>, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
    let mode = i32::try_from(mode).map_err(|_| Errno::EOPNOTSUPP)?;
    let offset = i64::try_from(offset).map_err(|_| Errno::EINVAL)?;
    let len = i64::try_from(len).map_err(|_| Errno::EINVAL)?;
    // SAFETY: touches no memory of ours but pages of the file, which only `HostSlice` looks at.
    cvt(unsafe { libc::fallocate(fd.as_raw_fd(), mode, offset, len) }).map(drop)
}
