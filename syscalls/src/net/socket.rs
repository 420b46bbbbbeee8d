//! socket(2), socketpair(2).

use std::sync::Arc;

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::socket::{AF_MAX, SOCK_MAX, SOCK_TYPE_MASK, SockFlags};
use sentry::error::{Result, err};
use sentry::net::{self, Kind, Owner, Socket, SocketFile};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;
use sentry::vfs::{File, anon};

use crate::arg::Fd;
use crate::fd::{install, install_pair};

/// socket(2).
pub(crate) fn socket(task: &mut CurrentTask, family: u32, kind: u32, protocol: i32) -> Result<Fd> {
    let (family, kind, flags) = what(family, kind)?;
    let socket = net::create(task, family, kind, protocol)?;
    install(task, file(task, socket, flags), flags.contains(SockFlags::SOCK_CLOEXEC))
}

/// socketpair(2).
pub(crate) fn socketpair(
    task: &mut CurrentTask,
    family: u32,
    kind: u32,
    protocol: i32,
    fds: UserPtr<[i32; 2]>,
) -> Result<()> {
    let (family, kind, flags) = what(family, kind)?;
    let (a, b) = net::pair(task, family, kind, protocol)?;
    let files = [file(task, a, flags), file(task, b, flags)];
    let numbers = install_pair(task, files, flags.contains(SockFlags::SOCK_CLOEXEC))?;
    if let Err(fault) = task.mm().write(fds, &numbers) {
        for fd in numbers {
            let _ = task.files().remove(fd);
        }
        return Err(fault);
    }
    Ok(())
}

/// The open file of a new socket.
pub(super) fn file(task: &CurrentTask, socket: Arc<dyn Socket>, flags: SockFlags) -> Arc<File> {
    let mut open = OpenFlags::O_RDWR;
    open.set(OpenFlags::O_NONBLOCK, flags.contains(SockFlags::SOCK_NONBLOCK));
    let uid = task.creds().fsuid;
    let path = anon::socket_path(uid, task.creds().fsgid);
    if let Ok(attr) = path.attr() {
        socket.set_owner(task, Owner { ino: attr.ino, uid });
    }
    File::new(SocketFile::new(socket), path, open)
}

/// What is asked for, checked in the order of Linux: the family counts before a type that is valid but that nobody has.
fn what(family: u32, kind: u32) -> Result<(u16, Kind, SockFlags)> {
    let flags = SockFlags::from_bits(kind & !SOCK_TYPE_MASK).ok_or(Errno::EINVAL)?;
    let family = u16::try_from(family).ok().filter(|family| *family < AF_MAX).ok_or(Errno::EAFNOSUPPORT)?;
    let kind = kind & SOCK_TYPE_MASK;
    if kind < SOCK_MAX && !net::has_family(family) {
        return err(Errno::EAFNOSUPPORT);
    }
    Ok((family, Kind::new(kind)?, flags))
}
