//! Sockets.

use abi::iouring::{
    IORING_ACCEPT_MULTISHOT, IORING_OP_RECVMSG, IORING_OP_SENDMSG, IORING_RECVSEND_POLL_FIRST, IoUringSqe,
};
use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT};
use abi::socket::{MsgFlags, SockFlags};
use abi::{Errno, UserAddr};
use sentry::error::Result;
use sentry::fs::uring::{Op, Outcome, Step};
use sentry::net::{Connect, SocketFile};
use sentry::user::{UserPtr, UserSlice};

use super::{Target, attempted, res};
use crate::net::{address, connect as connecting, recv as receiving, send as sending};

/// The file, or the end of the operation.
macro_rules! file_of {
    ($target:expr, $task:expr) => {
        match $target.get($task) {
            Ok(file) => file,
            Err(e) => return Step::Done(Outcome::failed(e.errno())),
        }
    };
}

pub(super) fn send(target: Target, sqe: &IoUringSqe) -> Result<Op, Errno> {
    if sqe.ioprio & !IORING_RECVSEND_POLL_FIRST != 0 {
        return Err(Errno::EINVAL);
    }
    let flags = MsgFlags::from_bits_retain(sqe.op_flags);
    let may_wait = !flags.contains(MsgFlags::MSG_DONTWAIT);
    let (now, sqe) = (flags | MsgFlags::MSG_DONTWAIT, *sqe);
    Ok(Box::new(move |task| {
        let file = file_of!(target, task);
        let sent = if sqe.opcode == IORING_OP_SENDMSG {
            sending::message_on(task, &file, UserPtr::new(UserAddr(sqe.addr)), now)
        } else {
            let len = usize::try_from(sqe.len).unwrap_or(usize::MAX);
            // Where to, if anywhere: its length is the low half of what else names a file.
            let to = (sqe.off != 0).then_some((UserAddr(sqe.off), i32::try_from(sqe.file_index & 0xffff).unwrap_or(0)));
            sending::bytes_on(task, &file, UserSlice::new(UserAddr(sqe.addr), len), to, now)
        };
        attempted(sent.map(|n| Outcome::of(res(n))), file, POLLOUT, may_wait)
    }))
}

pub(super) fn recv(target: Target, sqe: &IoUringSqe) -> Result<Op, Errno> {
    if sqe.ioprio & !IORING_RECVSEND_POLL_FIRST != 0 || sqe.off != 0 {
        return Err(Errno::EINVAL);
    }
    let flags = MsgFlags::from_bits_retain(sqe.op_flags);
    let may_wait = !flags.intersects(MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_ERRQUEUE);
    let (now, sqe) = (flags | MsgFlags::MSG_DONTWAIT, *sqe);
    Ok(Box::new(move |task| {
        let file = file_of!(target, task);
        let received = if sqe.opcode == IORING_OP_RECVMSG {
            receiving::message_on(task, &file, UserPtr::new(UserAddr(sqe.addr)), now)
        } else {
            let len = usize::try_from(sqe.len).unwrap_or(usize::MAX);
            receiving::bytes_on(task, &file, UserSlice::new(UserAddr(sqe.addr), len), now)
        };
        attempted(received.map(|n| Outcome::of(res(n))), file, POLLIN, may_wait)
    }))
}

pub(super) fn accept(target: Target, sqe: &IoUringSqe) -> Result<Op, Errno> {
    let multi = sqe.ioprio & IORING_ACCEPT_MULTISHOT != 0;
    let flags = SockFlags::from_bits(sqe.op_flags).ok_or(Errno::EINVAL)?;
    if sqe.len != 0 || sqe.buf_index != 0 || sqe.file_index != 0 || sqe.ioprio & !IORING_ACCEPT_MULTISHOT != 0 {
        return Err(Errno::EINVAL);
    }
    let (addr, len) = (UserAddr(sqe.addr), UserPtr::new(UserAddr(sqe.off)));
    Ok(Box::new(move |task| {
        let file = file_of!(target, task);
        let accepted = connecting::accept_on(task, &file, addr, len, flags, MsgFlags::MSG_DONTWAIT);
        match accepted {
            Ok(fd) if multi => Step::More(Outcome::of(fd.0)),
            other => attempted(other.map(|fd| Outcome::of(fd.0)), file, POLLIN | POLLHUP, true),
        }
    }))
}

pub(super) fn connect(target: Target, sqe: &IoUringSqe) -> Result<Op, Errno> {
    if sqe.len != 0 || sqe.buf_index != 0 || sqe.op_flags != 0 || sqe.file_index != 0 {
        return Err(Errno::EINVAL);
    }
    let (at, len) = (UserAddr(sqe.addr), i32::try_from(sqe.off).map_err(|_| Errno::EINVAL)?);
    let mut began = false;
    Ok(Box::new(move |task| {
        let file = file_of!(target, task);
        let Some(socket) = file.ops_as::<SocketFile>().map(|ops| std::sync::Arc::clone(ops.socket())) else {
            return Step::Done(Outcome::failed(Errno::ENOTSOCK));
        };
        let result = if began {
            socket.finish_connect().map(|()| Outcome::of(0))
        } else {
            let started = address::load(task, at, len).and_then(|addr| match addr.len() {
                0..2 => Err(Errno::EINVAL.into()),
                _ => socket.connect(task, &addr),
            });
            match started {
                Ok(Connect::Done) => Ok(Outcome::of(0)),
                Ok(_) => {
                    began = true;
                    socket.finish_connect().map(|()| Outcome::of(0))
                }
                Err(e) => Err(e),
            }
        };
        attempted(result, file, POLLOUT | POLLERR | POLLHUP, true)
    }))
}
