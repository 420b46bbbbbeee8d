//! socket(2), socketpair(2).

use std::sync::Arc;

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::socket::{SOCK_TYPE_MASK, SockFlags};
use sentry::error::{Result, err};
use sentry::net::{self, Kind, Owner, Socket, SocketFile};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;
use sentry::vfs::{File, anon};

use crate::arg::Fd;
use crate::fd::{install, install_pair};

/// socket(2).
pub(crate) fn socket(task: &mut CurrentTask, family: u32, kind: u32, protocol: i32) -> Result<Fd> {
    let (kind, flags) = split(kind)?;
    let socket = net::create(task, self::family(family)?, kind, protocol)?;
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
    let (kind, flags) = split(kind)?;
    let (a, b) = net::pair(task, self::family(family)?, kind, protocol)?;
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

fn split(kind: u32) -> Result<(Kind, SockFlags)> {
    let flags = SockFlags::from_bits(kind & !SOCK_TYPE_MASK).ok_or(Errno::EINVAL)?;
    Ok((Kind::new(kind & SOCK_TYPE_MASK)?, flags))
}

fn family(raw: u32) -> Result<u16> {
    match u16::try_from(raw) {
        Ok(family @ 0..=45) => Ok(family),
        _ => err(Errno::EAFNOSUPPORT),
    }
}
