//! Timeouts: of their own, linked to a request, changed and taken back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use abi::iouring::{IORING_OP_LINK_TIMEOUT, IORING_OP_TIMEOUT, IoTimeoutFlags, IoUringSqe};
use abi::time::Timespec;
use abi::{Errno, UserAddr};
use sentry::error::Result;
use sentry::fs::uring::{Deadline, Op, Ring, Step};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use super::once;
use crate::deadline::duration;

/// Which clocks a time is counted on.
const CLOCKS: IoTimeoutFlags = IoTimeoutFlags::IORING_TIMEOUT_BOOTTIME.union(IoTimeoutFlags::IORING_TIMEOUT_REALTIME);

/// When the time that a submission points to is over.
fn deadline(task: &CurrentTask, at: u64, flags: IoTimeoutFlags) -> Result<Deadline, Errno> {
    if flags.contains(CLOCKS) {
        return Err(Errno::EINVAL);
    }
    let ptr: UserPtr<Timespec> = UserPtr::new(UserAddr(at));
    let time: Duration = task.mm().read(ptr).and_then(duration).map_err(|e| e.errno())?;
    if !flags.contains(IoTimeoutFlags::IORING_TIMEOUT_ABS) {
        return Ok(Deadline::After(time));
    }
    let ns = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    let clocks = &task.kernel().clocks;
    let at = match flags.contains(IoTimeoutFlags::IORING_TIMEOUT_REALTIME) {
        true => clocks.at_realtime(ns),
        false => clocks.at_monotonic(ns.saturating_sub(task.namespaces().time.offsets().monotonic)),
    };
    Ok(Deadline::At(at))
}

fn instant(deadline: Deadline) -> Option<Instant> {
    match deadline {
        Deadline::After(time) => Instant::now().checked_add(time),
        Deadline::At(at) => at,
    }
}

pub(super) fn timeout(task: &CurrentTask, sqe: &IoUringSqe) -> Result<Op, Errno> {
    let flags = IoTimeoutFlags::from_bits_retain(sqe.op_flags);
    let known = IoTimeoutFlags::IORING_TIMEOUT_ABS | IoTimeoutFlags::IORING_TIMEOUT_ETIME_SUCCESS | CLOCKS;
    if sqe.buf_index != 0 || sqe.len != 1 || sqe.file_index != 0 || !known.contains(flags) {
        return Err(Errno::EINVAL);
    }
    let deadline = deadline(task, sqe.addr, flags)?;
    let count = u32::try_from(sqe.off).map_err(|_| Errno::EINVAL)?;
    let fine = flags.contains(IoTimeoutFlags::IORING_TIMEOUT_ETIME_SUCCESS);
    Ok(Box::new(move |_| Step::Sleep { at: instant(deadline), count, fine }))
}

/// What a linked timeout allows the request before it.
pub(crate) fn linked(task: &CurrentTask, sqe: &IoUringSqe) -> Result<Deadline, Errno> {
    let flags = IoTimeoutFlags::from_bits_retain(sqe.op_flags);
    let known = IoTimeoutFlags::IORING_TIMEOUT_ABS | IoTimeoutFlags::IORING_TIMEOUT_ETIME_SUCCESS | CLOCKS;
    if sqe.off != 0 || sqe.buf_index != 0 || sqe.len != 1 || sqe.file_index != 0 || !known.contains(flags) {
        return Err(Errno::EINVAL);
    }
    deadline(task, sqe.addr, flags)
}

/// IORING_OP_TIMEOUT_REMOVE: takes a timeout back, or gives it another time.
pub(super) fn remove(task: &CurrentTask, ring: &Arc<Ring>, sqe: &IoUringSqe) -> Result<Op, Errno> {
    let flags = IoTimeoutFlags::from_bits_retain(sqe.op_flags);
    let update = flags.contains(IoTimeoutFlags::IORING_TIMEOUT_UPDATE);
    let known = IoTimeoutFlags::IORING_TIMEOUT_UPDATE | IoTimeoutFlags::IORING_TIMEOUT_ABS | CLOCKS;
    if sqe.buf_index != 0 || sqe.len != 0 || !known.contains(flags) || (!update && !flags.is_empty()) {
        return Err(Errno::EINVAL);
    }
    let time = if update { Some(deadline(task, sqe.off, flags)?) } else { None };
    let (ring, user_data) = (Arc::downgrade(ring), sqe.addr);
    Ok(once(move |task| {
        let ring = ring.upgrade().ok_or(Errno::EBADF)?;
        let is_it = |opcode| matches!(opcode, IORING_OP_TIMEOUT | IORING_OP_LINK_TIMEOUT);
        let found = ring.find(|request| is_it(request.info.opcode) && request.info.user_data == user_data);
        let done = found.first().is_some_and(|timeout| match time {
            Some(time) => timeout.set_time(task, instant(time)),
            None => ring.cancel(timeout),
        });
        if done { Ok(0) } else { Err(Errno::ENOENT.into()) }
    }))
}
