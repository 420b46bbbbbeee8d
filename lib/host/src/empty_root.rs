//! A root directory with nothing in it, for a process that shall never open a path.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Makes the root of this mount namespace an empty read-only file system and detaches everything else. The caller is in a
/// mount namespace of its own and has CAP_SYS_ADMIN there.
pub fn enter() -> io::Result<()> {
    // What happens here must not reach the namespace that ours was copied from.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC, None::<&str>)?;
    let root = read_only_tmpfs()?;
    // SAFETY: all pointers are to NUL terminated strings; the call moves a mount that we have just made.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            root.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            c"/proc".as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    })?;
    nix::unistd::fchdir(root.as_fd())?;
    // With both arguments the same the old root comes to lie on top of the new one, and is taken away there.
    nix::unistd::pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    nix::unistd::chdir("/")?;
    Ok(())
}

fn read_only_tmpfs() -> io::Result<OwnedFd> {
    let attributes =
        libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
    // SAFETY: the string is NUL terminated; the call makes a descriptor.
    let context = own(unsafe { libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), FSOPEN_CLOEXEC) })?;
    let null = std::ptr::null::<libc::c_char>();
    // SAFETY: this command takes neither key nor value.
    check(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), FSCONFIG_CMD_CREATE, null, null, 0) })?;
    // SAFETY: numbers only; the call makes a descriptor.
    own(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes) })
}

const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Takes a descriptor that a system call has just returned.
fn own(result: libc::c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(check(result)?).map_err(io::Error::other)?;
    // SAFETY: the callers pass what the kernel has just made for us, or an error, which was handled above.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
