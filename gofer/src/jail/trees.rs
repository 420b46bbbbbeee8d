//! The trees that are served, and the one that is not: procfs.

use std::io;
use std::os::fd::AsFd;

use abi::Errno;
use host::mount_fd::{self, attribute};
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::{JailError, Mount};
use crate::{Connection, Export, FdDir};

/// Detaches what is to be served from the rest of the host.
pub(super) fn connection(mount: Mount) -> Result<Connection, JailError> {
    let Mount { socket, path, identity, read_only } = mount;
    // Not without execution: the sandbox maps programs from donated files.
    let attributes = attribute::NO_SUID | attribute::NO_DEV | if read_only { attribute::READ_ONLY } else { 0 };
    let export = mount_fd::clone_tree(&path, attributes).and_then(|tree| {
        let found = host::path::statx_fd(tree.as_fd()).map_err(to_io)?;
        let device = nix::sys::stat::makedev(found.stx_dev_major.into(), found.stx_dev_minor.into());
        if identity.is_some_and(|identity| identity != (device, found.stx_ino)) {
            return Err(io::Error::other("it was replaced meanwhile"));
        }
        Export::new(tree).map_err(to_io)
    });
    match export {
        Ok(export) => Ok(Connection { socket, export: export.read_only(read_only) }),
        Err(error) => Err(JailError::Export { path, error }),
    }
}

/// `/proc/self/fd` of a procfs of our own pid namespace; where that is denied (procfs is masked around us), of the one
/// that is mounted.
pub(super) fn private_fd_dir() -> io::Result<FdDir> {
    let attributes = attribute::NO_SUID | attribute::NO_DEV | attribute::NO_EXEC;
    let private = mount_fd::new(c"proc", &[(c"subset", c"pid")], attributes).and_then(|proc| {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = openat(proc.as_fd(), "self/fd", flags, Mode::empty())?;
        FdDir::new(dir).map_err(to_io)
    });
    private.or_else(|_| FdDir::from_proc().map_err(to_io))
}

fn to_io(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.raw())
}
