//! Sockets: socket(2) and what is done with one.

pub(crate) mod address;
pub(crate) mod connect;
pub(crate) mod control;
pub(crate) mod options;
pub(crate) mod recv;
pub(crate) mod send;
pub(crate) mod socket;

use std::sync::Arc;
use std::time::{Duration, Instant};

use abi::Errno;
use abi::socket::MsgFlags;
use sentry::error::{Error, Restart, Result};
use sentry::net::{Socket, SocketFile};
use sentry::task::CurrentTask;
use sentry::vfs::File;

use crate::arg::{Fd, flag_args};

flag_args! { MsgFlags: u32 }

/// The socket behind a descriptor; ENOTSOCK for other files.
pub(crate) fn lookup(task: &CurrentTask, fd: Fd) -> Result<(Arc<File>, Arc<dyn Socket>)> {
    let file = task.files().get(fd.0)?;
    let socket = of(&file)?;
    Ok((file, socket))
}

/// The socket behind an open file; ENOTSOCK for others.
pub(crate) fn of(file: &File) -> Result<Arc<dyn Socket>> {
    let socket = file.ops_as::<SocketFile>().ok_or(Errno::ENOTSOCK)?.socket();
    Ok(Arc::clone(socket))
}

/// Tries, and waits for `mask` while it fails with EAGAIN, unless the file or the flags forbid it or `timeout` passes.
fn wait<T>(
    task: &CurrentTask,
    file: &File,
    socket: &dyn Socket,
    mask: u32,
    flags: MsgFlags,
    timeout: Option<Duration>,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    if file.nonblocking() || flags.contains(MsgFlags::MSG_DONTWAIT) {
        return attempt();
    }
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    match task.wait_on(socket.wait_queue(), mask, deadline, attempt) {
        Err(e) if e.is(Errno::ETIMEDOUT) => Err(Errno::EAGAIN.into()),
        // With a timeout the call is not made again after a handler (signal(7)).
        Err(e) if timeout.is_some() && e.code() == Error::from(Restart::Sys).code() => Err(Errno::EINTR.into()),
        other => other,
    }
}
