//! bind(2), connect(2), listen(2), accept(2), shutdown(2).

use abi::poll::{POLLIN, POLLOUT};
use abi::socket::{MsgFlags, SHUT_RD, SHUT_RDWR, SHUT_WR, SO_ERROR, SOL_SOCKET, SockFlags};
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::net::{Connect, Shutdown};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use super::{address, lookup, socket, wait};
use crate::arg::{Fd, flag_args};
use crate::fd::install;

flag_args! { SockFlags: u32 }

/// bind(2).
pub(crate) fn bind(task: &mut CurrentTask, fd: Fd, addr: UserAddr, len: i32) -> Result<()> {
    let (_, socket) = lookup(task, fd)?;
    let addr = address::load(task, addr, len)?;
    socket.bind(task, &addr)
}

/// connect(2).
pub(crate) fn connect(task: &mut CurrentTask, fd: Fd, addr: UserAddr, len: i32) -> Result<()> {
    let (file, socket) = lookup(task, fd)?;
    let addr = address::load(task, addr, len)?;
    if addr.len() < size_of::<u16>() {
        return err(Errno::EINVAL);
    }
    let timeout = socket.options().send_timeout();
    let started = wait(task, &file, &*socket, POLLOUT, MsgFlags::empty(), timeout, || socket.connect(task, &addr))?;
    match started {
        Connect::Done => Ok(()),
        Connect::InProgress if file.nonblocking() => err(Errno::EINPROGRESS),
        Connect::InProgress => {
            let finished = wait(task, &file, &*socket, POLLOUT, MsgFlags::empty(), timeout, || {
                if socket.poll() & POLLOUT != 0 { Ok(()) } else { err(Errno::EAGAIN) }
            });
            match finished {
                Err(e) if e.is(Errno::EAGAIN) => return err(Errno::EINPROGRESS),
                other => other?,
            }
            let error = socket.getsockopt(task, SOL_SOCKET, SO_ERROR, 4)?;
            match error.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes)) {
                0 => Ok(()),
                number => err(Errno::from_raw(number)),
            }
        }
    }
}

/// listen(2).
pub(crate) fn listen(task: &mut CurrentTask, fd: Fd, backlog: i32) -> Result<()> {
    let (_, socket) = lookup(task, fd)?;
    socket.listen(task, backlog)
}

/// accept(2).
pub(crate) fn accept(task: &mut CurrentTask, fd: Fd, addr: UserAddr, len: UserPtr<i32>) -> Result<Fd> {
    accept4(task, fd, addr, len, SockFlags::empty())
}

/// accept4(2).
pub(crate) fn accept4(
    task: &mut CurrentTask,
    fd: Fd,
    addr: UserAddr,
    len: UserPtr<i32>,
    flags: SockFlags,
) -> Result<Fd> {
    if !SockFlags::all().contains(flags) {
        return err(Errno::EINVAL);
    }
    let (file, listener) = lookup(task, fd)?;
    let timeout = listener.options().receive_timeout();
    let accepted = wait(task, &file, &*listener, POLLIN, MsgFlags::empty(), timeout, || listener.accept())?;
    if !addr.is_null() {
        // A peer that is gone already is not an error of accept for these sockets.
        let peer = accepted.peer_addr().unwrap_or_else(|_| accepted.family().to_ne_bytes().to_vec());
        address::store(task, addr, len, &peer)?;
    }
    install(task, socket::file(task, accepted, flags), flags.contains(SockFlags::SOCK_CLOEXEC))
}

/// shutdown(2).
pub(crate) fn shutdown(task: &mut CurrentTask, fd: Fd, how: u32) -> Result<()> {
    let (_, socket) = lookup(task, fd)?;
    let (read, write) = match how {
        SHUT_RD => (true, false),
        SHUT_WR => (false, true),
        SHUT_RDWR => (true, true),
        _ => return err(Errno::EINVAL),
    };
    socket.shutdown(Shutdown { read, write })
}
