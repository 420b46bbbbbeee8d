//! Polls, and calling requests off.

use std::sync::Arc;

use abi::Errno;
use abi::iouring::{IORING_OP_ASYNC_CANCEL, IORING_OP_POLL_ADD, IORING_POLL_ADD_MULTI, IoCancelFlags, IoUringSqe};
use abi::poll::{POLLERR, POLLHUP};
use sentry::error::Result;
use sentry::fs::uring::{Op, Outcome, Ring, Step};

use super::{Target, once, res};

pub(super) fn add(target: Target, sqe: &IoUringSqe) -> Result<Op, Errno> {
    if sqe.off != 0 || sqe.addr != 0 || sqe.buf_index != 0 || sqe.len & !IORING_POLL_ADD_MULTI != 0 {
        return Err(Errno::EINVAL);
    }
    let multi = sqe.len & IORING_POLL_ADD_MULTI != 0;
    let events = sqe.op_flags & 0xffff | POLLERR | POLLHUP;
    // It was told once, and the next time comes with the next event.
    let mut told = false;
    Ok(Box::new(move |task| {
        let file = match target.get(task) {
            Ok(file) => file,
            Err(e) => return Step::Done(Outcome::failed(e.errno())),
        };
        if std::mem::take(&mut told) {
            return Step::Wait(file, events);
        }
        let ready = file.ops().poll(&file) & events;
        let outcome = Outcome::of(i32::try_from(ready).unwrap_or(0));
        match (ready, multi) {
            (0, _) => Step::Wait(file, events),
            (_, false) => Step::Done(outcome),
            (_, true) => {
                told = true;
                Step::More(outcome)
            }
        }
    }))
}

pub(super) fn remove(ring: &Arc<Ring>, sqe: &IoUringSqe) -> Result<Op, Errno> {
    if sqe.buf_index != 0 || sqe.len != 0 || sqe.off != 0 || sqe.op_flags != 0 {
        return Err(Errno::EINVAL);
    }
    let (ring, user_data) = (Arc::downgrade(ring), sqe.addr);
    Ok(once(move |_| {
        let ring = ring.upgrade().ok_or(Errno::EBADF)?;
        let found =
            ring.find(|request| request.info.opcode == IORING_OP_POLL_ADD && request.info.user_data == user_data);
        match found.first() {
            None => Err(Errno::ENOENT.into()),
            Some(poll) if ring.cancel(poll) => Ok(0),
            Some(_) => Err(Errno::EALREADY.into()),
        }
    }))
}

/// IORING_OP_ASYNC_CANCEL: by the application's name, the descriptor, the operation, or all.
pub(super) fn cancel(ring: &Arc<Ring>, sqe: &IoUringSqe) -> Result<Op, Errno> {
    let flags = IoCancelFlags::from_bits(sqe.op_flags).ok_or(Errno::EINVAL)?;
    if sqe.off != 0 || sqe.file_index != 0 {
        return Err(Errno::EINVAL);
    }
    let any = flags.contains(IoCancelFlags::IORING_ASYNC_CANCEL_ANY);
    let by_fd = flags.contains(IoCancelFlags::IORING_ASYNC_CANCEL_FD);
    let by_op = flags.contains(IoCancelFlags::IORING_ASYNC_CANCEL_OP);
    if any && (by_fd || by_op) {
        return Err(Errno::EINVAL);
    }
    let by_name = flags.contains(IoCancelFlags::IORING_ASYNC_CANCEL_USERDATA) || (!any && !by_fd && !by_op);
    let all = any || flags.contains(IoCancelFlags::IORING_ASYNC_CANCEL_ALL);
    let (ring, user_data, fd, op) = (Arc::downgrade(ring), sqe.addr, sqe.fd, sqe.len);
    Ok(once(move |_| {
        let ring = ring.upgrade().ok_or(Errno::EBADF)?;
        let found = ring.find(|request| {
            request.info.opcode != IORING_OP_ASYNC_CANCEL
                && (any
                    || ((!by_name || request.info.user_data == user_data)
                        && (!by_fd || request.info.fd == fd)
                        && (!by_op || u32::from(request.info.opcode) == op)))
        });
        let mut cancelled = 0;
        let mut late = false;
        for request in &found {
            match ring.cancel(request) {
                true => cancelled += 1,
                false => late = true,
            }
            if cancelled == 1 && !all {
                return Ok(0);
            }
        }
        match (all, cancelled, late) {
            (true, n, _) => Ok(res(n)),
            (false, _, true) => Err(Errno::EALREADY.into()),
            (false, ..) => Err(Errno::ENOENT.into()),
        }
    }))
}
