//! A place in an exported tree: an `O_PATH` descriptor and what never changes about its inode.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use abi::Errno;
use abi::stat::FileType;
use host::path::{errno, statx_fd};
use ninep::attr::Device;
use ninep::{Name, Qid, QidKind, Stat};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// A file of the host, opened with O_PATH.
#[derive(Debug)]
pub(crate) struct Node {
    fd: OwnedFd,
    kind: FileType,
    dev: Device,
}

/// What [`Node::child`] asks of the host: the name itself, not what a link of that name leads to.
const RESOLVE: ResolveFlag =
    ResolveFlag::RESOLVE_BENEATH.union(ResolveFlag::RESOLVE_NO_SYMLINKS).union(ResolveFlag::RESOLVE_NO_MAGICLINKS);

impl Node {
    /// The file that `fd` refers to.
    pub(crate) fn new(fd: OwnedFd) -> Result<Self, Errno> {
        Self::with_stat(fd).map(|(node, _)| node)
    }

    /// The file that `fd` refers to, and its attributes.
    pub(crate) fn with_stat(fd: OwnedFd) -> Result<(Self, Stat), Errno> {
        let stat = Stat::from(&statx_fd(fd.as_fd())?);
        let kind = FileType::from_mode(stat.mode).ok_or(Errno::EIO)?;
        Ok((Self { fd, kind, dev: stat.dev }, stat))
    }

    /// The file called `name` in this directory, and its attributes.
    pub(crate) fn child(&self, name: Name<'_>) -> Result<(Self, Stat), Errno> {
        Self::with_stat(self.open_child(name, OFlag::O_PATH, 0)?)
    }

    /// openat2(2) of a name in this directory, which never leaves it. Without O_PATH the caller must be creating a file
    /// with O_EXCL: what exists is only ever opened through `FdDir::reopen`, after its type is known.
    pub(crate) fn open_child(&self, name: Name<'_>, flags: OFlag, mode: u32) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
            .mode(nix::sys::stat::Mode::from_bits_truncate(mode))
            .resolve(RESOLVE);
        openat2(&self.fd, name.as_bytes(), how).map_err(errno)
    }

    /// A new regular file without a name in this directory's filesystem, for reading and writing.
    pub(crate) fn open_unnamed(&self, mode: u32) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new()
            .flags(OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC)
            .mode(nix::sys::stat::Mode::from_bits_truncate(mode))
            .resolve(RESOLVE);
        openat2(&self.fd, ".", how).map_err(errno)
    }

    /// This directory opened anew: half of what it costs by a magic link, which makes an inode of procfs each time.
    pub(crate) fn open_dir(&self, flags: OFlag) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new().flags(flags | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC).resolve(RESOLVE);
        openat2(&self.fd, ".", how).map_err(errno)
    }

    /// Attributes now.
    pub(crate) fn stat(&self) -> Result<Stat, Errno> {
        Ok(Stat::from(&statx_fd(self.fd.as_fd())?))
    }

    /// Target of a symbolic link.
    pub(crate) fn readlink(&self) -> Result<Vec<u8>, Errno> {
        use std::os::unix::ffi::OsStringExt;
        if self.kind != FileType::Symlink {
            return Err(Errno::EINVAL);
        }
        nix::fcntl::readlinkat(&self.fd, "").map(OsStringExt::into_vec).map_err(errno)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn kind(&self) -> FileType {
        self.kind
    }

    pub(crate) fn dev(&self) -> Device {
        self.dev
    }

    /// This node if it is a directory.
    pub(crate) fn as_dir(&self) -> Result<&Self, Errno> {
        if self.kind == FileType::Directory { Ok(self) } else { Err(Errno::ENOTDIR) }
    }
}

/// The identity of a file for the plain dialect, which has 64 bits for it: the inode number, mixed with the device's
/// where that is not the one of the tree's root.
pub(crate) fn qid(stat: &Stat, root: Device) -> Qid {
    let kind = match FileType::from_mode(stat.mode) {
        Some(FileType::Directory) => QidKind::DIR,
        Some(FileType::Symlink) => QidKind::SYMLINK,
        _ => QidKind::FILE,
    };
    let dev = if stat.dev == root { 0 } else { u64::from(stat.dev).wrapping_mul(0x9e37_79b9_7f4a_7c15) };
    let [.., a, b, c, d] =
        stat.mtime.sec.wrapping_mul(1_000_000_000).wrapping_add(stat.mtime.nsec.into()).to_be_bytes();
    Qid { kind, version: u32::from_be_bytes([a, b, c, d]), path: stat.ino ^ dev }
}
