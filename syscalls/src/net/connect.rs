//! bind(2), connect(2), listen(2), accept(2), shutdown(2).

use std::sync::Arc;

use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT};
use abi::socket::{MsgFlags, SHUT_RD, SHUT_RDWR, SHUT_WR, SockFlags};
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::net::{Connect, Shutdown};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;
use sentry::vfs::File;

use super::{address, lookup, socket, wait};
use crate::arg::{Fd, flag_args};
use crate::fd::install;

flag_args! { SockFlags: u32 }

/// What ends a connection attempt.
const FINISHED: u32 = POLLOUT | POLLERR | POLLHUP;

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
        Connect::Already if file.nonblocking() => err(Errno::EALREADY),
        Connect::InProgress | Connect::Already => {
            match wait(task, &file, &*socket, FINISHED, MsgFlags::empty(), timeout, || socket.finish_connect()) {
                // The time SO_SNDTIMEO gives is over; the attempt goes on.
                Err(e) if e.is(Errno::EAGAIN) => err(Errno::EINPROGRESS),
                other => other,
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
    let (file, _) = lookup(task, fd)?;
    accept_on(task, &file, addr, len, flags, MsgFlags::empty())
}

/// Accepts a connection; with MSG_DONTWAIT only one that is there.
pub(crate) fn accept_on(
    task: &CurrentTask,
    file: &Arc<File>,
    addr: UserAddr,
    len: UserPtr<i32>,
    flags: SockFlags,
    how: MsgFlags,
) -> Result<Fd> {
    let listener = super::of(file)?;
    let timeout = listener.options().receive_timeout();
    let accepted = wait(task, file, &*listener, POLLIN | POLLHUP, how, timeout, || listener.accept())?;
    if !addr.is_null() {
        address::store(task, addr, len, &accepted.accepted_from()?)?;
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
