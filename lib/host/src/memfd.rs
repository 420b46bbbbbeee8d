//! Files that exist only in memory, memfd_create(2).

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use abi::Errno;

use crate::errno::cvt;

/// MFD_NOEXEC_SEAL, since Linux 6.3; the libc crate may not have it.
const MFD_NOEXEC_SEAL: u32 = 0x8;

/// An empty memory file: close-on-exec, sealable, and where the host knows how never executable as a program (mapping it
/// executable stays possible).
pub fn create(name: &str) -> Result<OwnedFd, Errno> {
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    let open = |flags: u32| {
        // SAFETY: the name is NUL-terminated; the call touches nothing else of ours.
        cvt(unsafe { libc::memfd_create(name.as_ptr(), flags) })
    };
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let fd = open(flags | MFD_NOEXEC_SEAL).or_else(|e| if e == Errno::EINVAL { open(flags) } else { Err(e) })?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// ftruncate(2).
pub fn set_len(fd: BorrowedFd<'_>, len: u64) -> Result<(), Errno> {
    let len = i64::try_from(len).map_err(|_| Errno::EINVAL)?;
    // SAFETY: touches no memory of ours (mapped pages that vanish are `Mapping`'s concern).
    cvt(unsafe { libc::ftruncate(fd.as_raw_fd(), len) }).map(drop)
}

/// Forbids for ever to change the length and to add further seals.
pub fn seal_len(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: touches no memory.
    cvt(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) }).map(drop)
}

/// Gives the pages of a range back to the host; they read as zeroes from then on. fallocate(2), FALLOC_FL_PUNCH_HOLE.
pub fn punch(fd: BorrowedFd<'_>, offset: u64, len: u64) -> Result<(), Errno> {
    let (offset, len) =
        (i64::try_from(offset).map_err(|_| Errno::EINVAL)?, i64::try_from(len).map_err(|_| Errno::EINVAL)?);
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    loop {
        // SAFETY: touches no memory of ours but the pages of the file, which only `HostSlice` looks at.
        match cvt(unsafe { libc::fallocate(fd.as_raw_fd(), mode, offset, len) }) {
            Err(Errno::EINTR) => {}
            other => return other.map(drop),
        }
    }
}

/// How many bytes of memory the file holds, fstat(2) `st_blocks`.
pub fn resident(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: on success the kernel has filled the structure, which is as big as it expects.
    let stat = unsafe {
        cvt(libc::fstat(fd.as_raw_fd(), stat.as_mut_ptr()))?;
        stat.assume_init()
    };
    Ok(u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512))
}
