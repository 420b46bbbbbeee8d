//! Opening again what a descriptor refers to.
//!
//! An `O_PATH` descriptor cannot be read, truncated or chmod'ed, and the host has no call that makes an ordinary
//! descriptor of one, except by the magic links in `/proc/self/fd`. The gofer's root has no procfs, so it keeps a
//! descriptor of that directory from before it entered its root. The magic link named by a descriptor's number leads to
//! the very inode, whatever its names have become.
//!
//! A directory descriptor outside the root is a way out of it for whoever takes the process over. `jail::private_fd_dir`
//! therefore takes one from a procfs of the gofer's own pid namespace that is mounted nowhere: it shows the gofer alone,
//! whose root is the jail, and its `..` ends at itself.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use abi::Errno;
use host::path::errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FchmodatFlags, Mode, UtimensatFlags, fchmodat, utimensat};
use nix::sys::time::TimeSpec;

/// The directory `/proc/self/fd`, as a descriptor.
#[derive(Debug)]
pub struct FdDir {
    dir: OwnedFd,
}

impl FdDir {
    /// Takes the directory from a procfs that is mounted now.
    pub fn from_proc() -> Result<Self, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = nix::fcntl::open("/proc/self/fd", flags, Mode::empty()).map_err(errno)?;
        Self::new(dir)
    }

    /// Takes a descriptor of the directory, and tries it.
    pub fn new(dir: OwnedFd) -> Result<Self, Errno> {
        let this = Self { dir };
        this.reopen(this.dir.as_fd(), OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        Ok(this)
    }

    /// The number of the directory's descriptor.
    pub(crate) fn raw(&self) -> i32 {
        self.dir.as_raw_fd()
    }

    /// Opens anew what `fd` refers to. The caller knows that this is a regular file or a directory, or `flags` has
    /// O_PATH: opening anything else may block or have effects.
    pub(crate) fn reopen(&self, fd: BorrowedFd<'_>, flags: OFlag) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
        openat(&self.dir, Number::of(fd).as_bytes(), flags, Mode::empty()).map_err(errno)
    }

    pub(crate) fn chmod(&self, fd: BorrowedFd<'_>, mode: Mode) -> Result<(), Errno> {
        let name = Number::of(fd);
        fchmodat(&self.dir, name.as_bytes(), mode, FchmodatFlags::FollowSymlink).map_err(errno)
    }

    pub(crate) fn set_times(&self, fd: BorrowedFd<'_>, atime: &TimeSpec, mtime: &TimeSpec) -> Result<(), Errno> {
        // The magic link is followed, and what it leads to is not, even if that is a symbolic link.
        let name = Number::of(fd);
        utimensat(&self.dir, name.as_bytes(), atime, mtime, UtimensatFlags::FollowSymlink).map_err(errno)
    }

    pub(crate) fn link(&self, fd: BorrowedFd<'_>, dir: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
        let from = Number::of(fd);
        nix::unistd::linkat(&self.dir, from.as_bytes(), dir, name, AtFlags::AT_SYMLINK_FOLLOW).map_err(errno)
    }
}

/// The number of a descriptor in decimal.
struct Number {
    digits: [u8; 10],
    start: usize,
}

impl Number {
    fn of(fd: BorrowedFd<'_>) -> Self {
        Self::of_raw(fd.as_raw_fd())
    }

    fn of_raw(raw: i32) -> Self {
        let mut rest = raw.unsigned_abs();
        let mut this = Self { digits: *b"0000000000", start: 10 };
        for digit in this.digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            this.start -= 1;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        this
    }

    fn as_bytes(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        let file = std::fs::File::open("/dev/null").expect("there");
        assert_eq!(Number::of(file.as_fd()).as_bytes(), file.as_raw_fd().to_string().as_bytes());
        for raw in [0, 9, 10, 1_048_570, i32::MAX] {
            assert_eq!(Number::of_raw(raw).as_bytes(), raw.to_string().as_bytes());
        }
    }

    #[test]
    fn what_was_renamed_and_removed_is_reopened() {
        let dir = std::env::temp_dir().join(format!("fd-dir-{}", std::process::id()));
        std::fs::write(&dir, b"content").expect("room");
        let path = nix::fcntl::open(&dir, OFlag::O_PATH, Mode::empty()).expect("there");
        std::fs::remove_file(&dir).expect("ours");
        let file = FdDir::from_proc().expect("procfs").reopen(path.as_fd(), OFlag::O_RDONLY).expect("alive");
        assert_eq!(std::io::read_to_string(std::fs::File::from(file)).expect("readable"), "content");
    }
}
