//! A root directory with nothing in it, for a process that shall never open a path.

use std::io;
use std::os::fd::AsFd;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::mount_fd::{self, attribute};

/// Makes the root of this mount namespace an empty read-only file system and detaches everything else. The caller is in a
/// mount namespace of its own and has CAP_SYS_ADMIN there.
pub fn enter() -> io::Result<()> {
    // What happens here must not reach the namespace that ours was copied from.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC, None::<&str>)?;
    let attributes = attribute::READ_ONLY | attribute::NO_SUID | attribute::NO_DEV | attribute::NO_EXEC;
    let root = mount_fd::new(c"tmpfs", &[], attributes)?;
    mount_fd::attach(root.as_fd(), c"/proc")?;
    nix::unistd::fchdir(root.as_fd())?;
    // With both arguments the same the old root comes to lie on top of the new one, and is taken away there.
    nix::unistd::pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    nix::unistd::chdir("/")?;
    Ok(())
}
