//! Calls on names below a directory descriptor, and on descriptors opened with O_PATH, that nix lacks.

use std::os::fd::{AsRawFd, BorrowedFd};

use abi::Errno;
use abi::stat::{Statx, StatxMask};
use nix::NixPath;

use crate::errno::{cvt, last};

/// Turns nix's error into ours; for `map_err`.
pub fn errno(errno: nix::errno::Errno) -> Errno {
    Errno::from_raw(errno as i32)
}

/// statx(2) of what `fd` itself refers to; works for O_PATH descriptors.
pub fn statx_fd(fd: BorrowedFd<'_>) -> Result<Statx, Errno> {
    statx(fd, b"", libc::AT_EMPTY_PATH)
}

/// statx(2) of a name in a directory; a symbolic link is not followed.
pub fn statx_at(dir: BorrowedFd<'_>, name: &[u8]) -> Result<Statx, Errno> {
    if name.is_empty() {
        return Err(Errno::ENOENT);
    }
    statx(dir, name, libc::AT_SYMLINK_NOFOLLOW)
}

fn statx(dir: BorrowedFd<'_>, name: &[u8], flags: libc::c_int) -> Result<Statx, Errno> {
    let mut stat = Statx::default();
    let mask = (StatxMask::STATX_BASIC_STATS | StatxMask::STATX_BTIME).bits();
    let flags = flags | libc::AT_NO_AUTOMOUNT;
    let result = name
        .with_nix_path(|name| {
            let to: *mut Statx = &mut stat;
            // SAFETY: `name` is a C string and `stat` has the layout of struct statx, both alive during the call.
            unsafe { libc::syscall(libc::SYS_statx, dir.as_raw_fd(), name.as_ptr(), flags, mask, to) }
        })
        .map_err(errno)?;
    cvt(result)?;
    Ok(stat)
}

/// getdents64(2): fills `buffer` with entries as [`entries`] reads them; 0 at the end of the directory.
pub fn getdents(dir: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most `buffer.len()` bytes into `buffer`, which is borrowed for the call.
    let n = unsafe { libc::syscall(libc::SYS_getdents64, dir.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()) };
    usize::try_from(n).map_err(|_| last())
}

/// One entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostDirent<'a> {
    /// Inode number.
    pub ino: u64,
    /// Where the directory continues after it, for lseek(2).
    pub next: u64,
    /// `DT_*`.
    pub kind: u8,
    /// Its name.
    pub name: &'a [u8],
}

/// The entries in what [`getdents`] filled.
pub fn entries(mut bytes: &[u8]) -> impl Iterator<Item = HostDirent<'_>> {
    // struct linux_dirent64: d_ino[8] d_off[8] d_reclen[2] d_type[1] d_name.
    std::iter::from_fn(move || {
        let (ino, rest) = bytes.split_first_chunk()?;
        let (next, rest) = rest.split_first_chunk()?;
        let (reclen, rest) = rest.split_first_chunk()?;
        let (kind, _) = rest.split_first()?;
        let record = bytes.get(..usize::from(u16::from_ne_bytes(*reclen)))?;
        let name = record.get(19..)?;
        let name = name.split(|b| *b == 0).next()?;
        bytes = bytes.get(record.len()..)?;
        Some(HostDirent { ino: u64::from_ne_bytes(*ino), next: u64::from_ne_bytes(*next), kind: *kind, name })
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_directory_lists_what_statx_finds() {
        let dir = File::open("/proc/self").expect("procfs");
        let mut buffer = vec![0; 32 << 10];
        let n = getdents(dir.as_fd(), &mut buffer).expect("a directory");
        let found: Vec<_> = entries(&buffer[..n]).collect();
        assert!(found.iter().any(|e| e.name == b"status" && e.kind == libc::DT_REG));
        let exe = statx_at(dir.as_fd(), b"exe").expect("there");
        assert_eq!(u32::from(exe.stx_mode) & libc::S_IFMT, libc::S_IFLNK);
        assert_eq!(statx_at(dir.as_fd(), b"").err(), Some(Errno::ENOENT));
        assert_eq!(u32::from(statx_fd(dir.as_fd()).expect("open").stx_mode) & libc::S_IFMT, libc::S_IFDIR);
    }

    #[test]
    fn cut_entries_end_the_list() {
        assert_eq!(entries(&[1; 18]).count(), 0);
        assert_eq!(entries(&[0; 64]).count(), 0);
        assert_eq!(entries(&[0xff; 64]).count(), 0);
    }
}
