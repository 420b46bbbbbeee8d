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

/// fstat(2).
pub fn stat(fd: BorrowedFd<'_>) -> Result<abi::stat::Stat, Errno> {
    let found = nix::sys::stat::fstat(fd).map_err(|e| Errno::from_raw(e as i32))?;
    Ok(abi::stat::Stat {
        st_dev: found.st_dev,
        st_ino: found.st_ino,
        st_mode: found.st_mode,
        st_uid: found.st_uid,
        st_gid: found.st_gid,
        st_rdev: found.st_rdev,
        st_size: found.st_size,
        st_blocks: found.st_blocks,
        ..abi::stat::Stat::default()
    })
}

/// F_GETFL.
pub fn flags(fd: BorrowedFd<'_>) -> Result<u32, Errno> {
    // SAFETY: the command takes no pointer.
    cvt(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) }).map(i32::cast_unsigned)
}

/// FIONREAD.
pub fn readable_bytes(fd: BorrowedFd<'_>) -> Result<i32, Errno> {
    let mut n: libc::c_int = 0;
    // SAFETY: the pointer is to a live integer, which is what the request writes.
    cvt(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut n) })?;
    Ok(n)
}

/// read(2), made again when a signal interrupts it.
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match nix::unistd::read(fd, buffer) {
            Err(nix::errno::Errno::EINTR) => {}
            other => return other.map_err(|e| Errno::from_raw(e as i32)),
        }
    }
}

/// Writes once, as for packets: whole or not at all.
pub fn write_once(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    nix::unistd::write(fd, bytes).map_err(|e| Errno::from_raw(e as i32))
}

/// write(2) until all is written.
pub fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match nix::unistd::write(fd, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(Errno::from_raw(e as i32)),
        }
    }
    Ok(())
}
