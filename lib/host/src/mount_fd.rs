//! Mounts that are nowhere: file systems and copies of trees that exist only as descriptors, fsmount(2) and open_tree(2).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::NixPath;

/// Attributes of a mount, `MOUNT_ATTR_*`.
pub mod attribute {
    /// Nothing on it can be changed.
    pub const READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY;
    /// Set-id bits have no effect.
    pub const NO_SUID: u64 = libc::MOUNT_ATTR_NOSUID;
    /// Device nodes cannot be opened.
    pub const NO_DEV: u64 = libc::MOUNT_ATTR_NODEV;
    /// Nothing on it can be executed or mapped executable.
    pub const NO_EXEC: u64 = libc::MOUNT_ATTR_NOEXEC;
}

/// Makes a file system of type `kind` with the given options, and a mount of it.
pub fn new(kind: &CStr, options: &[(&CStr, &CStr)], attributes: u64) -> io::Result<OwnedFd> {
    // SAFETY: the string is NUL terminated; the call makes a descriptor.
    let context = own(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })?;
    for (key, value) in options {
        configure(context.as_fd(), FSCONFIG_SET_STRING, key.as_ptr(), value.as_ptr())?;
    }
    configure(context.as_fd(), FSCONFIG_CMD_CREATE, std::ptr::null(), std::ptr::null())?;
    // SAFETY: numbers only; the call makes a descriptor.
    own(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes) })
}

/// A copy of the tree of mounts at `path` (what is mounted below it included), with these attributes added everywhere.
/// What is mounted or unmounted at the original later does not show in it.
pub fn clone_tree(path: &Path, attributes: u64) -> io::Result<OwnedFd> {
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE as libc::c_uint;
    let tree = path.with_nix_path(|path| {
        // SAFETY: the path is NUL terminated; the call makes a descriptor.
        own(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
    })??;
    let mut set = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    // SAFETY: the structure is as long as the length that goes with it, and alive during the call.
    check(unsafe {
        let (set, len) = (&raw mut set, size_of::<libc::mount_attr>());
        libc::syscall(libc::SYS_mount_setattr, tree.as_raw_fd(), c"".as_ptr(), flags, set, len)
    })?;
    Ok(tree)
}

/// Mounts a mount that is nowhere at `path`.
pub fn attach(mount: BorrowedFd<'_>, path: &CStr) -> io::Result<()> {
    let from = c"".as_ptr();
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH;
    // SAFETY: both strings are NUL terminated.
    check(unsafe { libc::syscall(libc::SYS_move_mount, mount.as_raw_fd(), from, libc::AT_FDCWD, path.as_ptr(), flags) })
        .map(drop)
}

const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;

fn configure(
    context: BorrowedFd<'_>,
    command: libc::c_uint,
    key: *const libc::c_char,
    value: *const libc::c_char,
) -> io::Result<()> {
    // SAFETY: private to this module, whose callers pass NUL terminated strings, or null where the command takes none.
    check(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key, value, 0) }).map(drop)
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Takes a descriptor that a system call has just returned.
fn own(result: libc::c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(check(result)?).map_err(io::Error::other)?;
    // SAFETY: the callers pass what the kernel has just made for us, or an error, which was handled above.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
