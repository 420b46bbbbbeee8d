//! Reading and writing.

use std::sync::Arc;

use abi::iouring::{
    IORING_FSYNC_DATASYNC, IORING_OP_READ_FIXED, IORING_OP_READV, IORING_OP_WRITE_FIXED, IORING_OP_WRITEV, IoUringSqe,
};
use abi::poll::{POLLIN, POLLOUT};
use abi::uio::RwFlags;
use abi::{Errno, UserAddr};
use sentry::error::Result;
use sentry::fs::uring::{Op, Outcome, Ring};
use sentry::io::{IoDst, IoSrc};
use sentry::task::CurrentTask;
use sentry::user::{UserPtr, UserSlice};
use sentry::vfs::File;
use sentry::vfs::file::IoFlags;

use super::{Target, attempted, once, res};
use crate::file::iovec;
use crate::file::rw::io_flags;

pub(super) fn prepare(
    task: &CurrentTask,
    ring: &Ring,
    target: Target,
    sqe: &IoUringSqe,
    write: bool,
) -> Result<Op, Errno> {
    let len = usize::try_from(sqe.len).map_err(|_| Errno::EINVAL)?;
    let slices = match sqe.opcode {
        IORING_OP_READV | IORING_OP_WRITEV => {
            iovec::read(task, UserPtr::new(UserAddr(sqe.addr)), len).map_err(|e| e.errno())?
        }
        IORING_OP_READ_FIXED | IORING_OP_WRITE_FIXED => vec![fixed(ring, sqe, len)?],
        _ => vec![UserSlice::new(UserAddr(sqe.addr), len)],
    };
    let rw = RwFlags::from_bits_retain(sqe.op_flags);
    let flags = io_flags(rw, write).map_err(|e| e.errno())?;
    let asked: usize = slices.iter().map(|slice| slice.len).sum();
    let offset = sqe.off;
    Ok(Box::new(move |task| {
        let file = match target.get(task) {
            Ok(file) => file,
            Err(e) => return super::Step::Done(Outcome::failed(e.errno())),
        };
        // O_NONBLOCK keeps none from waiting, as on Linux.
        let may_wait = !rw.contains(RwFlags::RWF_NOWAIT) && file.ops().wait_queue().is_some();
        let moved = transfer(task, &file, &slices, offset, flags | IoFlags::NO_WAIT, write);
        let outcome = moved.map(|n| Outcome { ok: n == asked, ..Outcome::of(res(n)) });
        attempted(outcome, file, if write { POLLOUT } else { POLLIN }, may_wait)
    }))
}

fn transfer(
    task: &CurrentTask,
    file: &Arc<File>,
    slices: &[UserSlice],
    offset: u64,
    flags: IoFlags,
    write: bool,
) -> Result<usize> {
    // -1 is the file's position; streams have none, and take any.
    let offset = match offset {
        u64::MAX => None,
        _ if !file.ops().seekable() => None,
        offset if i64::try_from(offset).is_err() => return Err(Errno::EINVAL.into()),
        offset => Some(offset),
    };
    match write {
        true => file.write_with(task, offset, flags, &mut IoSrc::user(task.mm(), slices)),
        false => file.read_with(task, offset, flags, &mut IoDst::user(task.mm(), slices)),
    }
}

/// A piece of a registered buffer; EFAULT for what lies outside.
fn fixed(ring: &Ring, sqe: &IoUringSqe, len: usize) -> Result<UserSlice, Errno> {
    let buffers = ring.buffers.lock();
    let buffer = buffers.as_ref().and_then(|list| list.get(usize::from(sqe.buf_index))).ok_or(Errno::EFAULT)?;
    let start = sqe.addr.checked_sub(buffer.addr.0).ok_or(Errno::EFAULT)?;
    let end = usize::try_from(start).ok().and_then(|start| start.checked_add(len));
    if end.is_some_and(|end| end <= buffer.len) {
        Ok(UserSlice::new(UserAddr(sqe.addr), len))
    } else {
        Err(Errno::EFAULT)
    }
}

pub(super) fn fsync(target: Target, sqe: &IoUringSqe) -> Result<Op, Errno> {
    if sqe.op_flags & !IORING_FSYNC_DATASYNC != 0 || sqe.addr != 0 || sqe.buf_index != 0 {
        return Err(Errno::EINVAL);
    }
    let data_only = sqe.op_flags & IORING_FSYNC_DATASYNC != 0;
    Ok(once(move |task| {
        let file = target.get(task)?;
        file.ops().sync(&file, data_only).map(|()| 0)
    }))
}
