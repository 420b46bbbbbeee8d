//! io_uring_register(2): files, buffers and an eventfd that a ring knows; what it can do.

use std::sync::Arc;

use abi::iouring::{
    IO_URING_OP_SUPPORTED, IORING_OP_LAST, IORING_REGISTER_BUFFERS, IORING_REGISTER_ENABLE_RINGS,
    IORING_REGISTER_EVENTFD, IORING_REGISTER_EVENTFD_ASYNC, IORING_REGISTER_FILES, IORING_REGISTER_FILES_SKIP,
    IORING_REGISTER_FILES_UPDATE, IORING_REGISTER_PROBE, IORING_UNREGISTER_BUFFERS, IORING_UNREGISTER_EVENTFD,
    IORING_UNREGISTER_FILES, IoUringFilesUpdate, IoUringProbe, IoUringProbeOp,
};
use abi::uio::Iovec;
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::fs::eventfd::EventFd;
use sentry::fs::uring::{MAX_ENTRIES, Ring};
use sentry::task::CurrentTask;
use sentry::user::{UserPtr, UserSlice};
use sentry::vfs::File;

use super::ops;
use crate::arg::Fd;

/// The most buffers a ring knows, and how long each may be.
const MAX_BUFFERS: u32 = 1 << 14;
const MAX_BUFFER: usize = 1 << 30;

/// io_uring_register(2).
pub(crate) fn io_uring_register(
    task: &mut CurrentTask,
    fd: Fd,
    opcode: u32,
    arg: UserAddr,
    count: u32,
) -> Result<usize> {
    let file = task.files().get(fd.0)?;
    let ring = Ring::of(&file)?;
    match opcode {
        IORING_REGISTER_BUFFERS => register_buffers(task, &ring, UserPtr::new(arg), count)?,
        IORING_UNREGISTER_BUFFERS => take_back(arg, count, || ring.buffers.lock().take().map(drop))?,
        IORING_REGISTER_FILES => register_files(task, &ring, UserPtr::new(arg), count)?,
        IORING_UNREGISTER_FILES => take_back(arg, count, || ring.files.lock().take().map(drop))?,
        IORING_REGISTER_FILES_UPDATE => {
            let update: IoUringFilesUpdate = task.mm().read(UserPtr::new(arg))?;
            if update.resv != 0 || count == 0 {
                return err(Errno::EINVAL);
            }
            return update_files(task, &ring, update.offset, UserPtr::new(UserAddr(update.fds)), count);
        }
        IORING_REGISTER_EVENTFD | IORING_REGISTER_EVENTFD_ASYNC => {
            if count != 1 {
                return err(Errno::EINVAL);
            }
            let number: i32 = task.mm().read(UserPtr::new(arg))?;
            if ring.has_eventfd() {
                return err(Errno::EBUSY);
            }
            let eventfd = task.files().get(number)?;
            if eventfd.ops_as::<EventFd>().is_none() {
                return err(Errno::EINVAL);
            }
            drop(ring.set_eventfd(Some(eventfd)));
        }
        IORING_UNREGISTER_EVENTFD => take_back(arg, count, || ring.set_eventfd(None).map(drop))?,
        IORING_REGISTER_PROBE => probe(task, arg, count)?,
        IORING_REGISTER_ENABLE_RINGS => {
            if !arg.is_null() || count != 0 {
                return err(Errno::EINVAL);
            }
            ring.enable()?;
        }
        _ => return err(Errno::EINVAL),
    }
    Ok(0)
}

/// ENXIO if nothing was registered.
fn take_back(arg: UserAddr, count: u32, take: impl FnOnce() -> Option<()>) -> Result<()> {
    if !arg.is_null() || count != 0 {
        return err(Errno::EINVAL);
    }
    take().ok_or_else(|| Errno::ENXIO.into())
}

fn register_buffers(task: &CurrentTask, ring: &Ring, list: UserPtr<Iovec>, count: u32) -> Result<()> {
    if ring.buffers.lock().is_some() {
        return err(Errno::EBUSY);
    }
    if count == 0 || count > MAX_BUFFERS {
        return err(Errno::EINVAL);
    }
    let mut buffers = Vec::new();
    for index in 0..usize::try_from(count).map_err(|_| Errno::EINVAL)? {
        let Iovec { iov_base, iov_len } = task.mm().read(list.at(index)?)?;
        let len = usize::try_from(iov_len).map_err(|_| Errno::EFAULT)?;
        if (iov_base == 0) != (len == 0) || len > MAX_BUFFER {
            return err(Errno::EFAULT);
        }
        if len > 0 {
            // Both ends must be there, as pages that Linux would pin.
            let last = UserAddr(iov_base).checked_add(iov_len - 1)?;
            for at in [UserAddr(iov_base), last] {
                let _: u8 = task.mm().read(UserPtr::new(at))?;
            }
        }
        buffers.push(UserSlice::new(UserAddr(iov_base), len));
    }
    *ring.buffers.lock() = Some(buffers);
    Ok(())
}

/// A file that may be registered: EBADF for one that is a ring, which would keep itself alive.
fn candidate(task: &CurrentTask, fd: i32) -> Result<Option<Arc<File>>> {
    if fd == -1 {
        return Ok(None);
    }
    let file = task.files().get(fd)?;
    if Ring::of(&file).is_ok() { err(Errno::EBADF) } else { Ok(Some(file)) }
}

fn register_files(task: &CurrentTask, ring: &Ring, list: UserPtr<i32>, count: u32) -> Result<()> {
    if ring.files.lock().is_some() {
        return err(Errno::EBUSY);
    }
    if count == 0 {
        return err(Errno::EINVAL);
    }
    if count > MAX_ENTRIES || u64::from(count) > task.nofile_limit() {
        return err(Errno::EMFILE);
    }
    let mut files = Vec::new();
    for index in 0..usize::try_from(count).map_err(|_| Errno::EINVAL)? {
        let fd = if list.is_null() { -1 } else { task.mm().read(list.at(index)?)? };
        files.push(candidate(task, fd)?);
    }
    *ring.files.lock() = Some(files);
    Ok(())
}

/// Replaces registered files; returns how many.
pub(super) fn update_files(
    task: &CurrentTask,
    ring: &Ring,
    offset: u32,
    list: UserPtr<i32>,
    count: u32,
) -> Result<usize> {
    let there = ring.files.lock().as_ref().map(Vec::len).ok_or(Errno::ENXIO)?;
    let offset = usize::try_from(offset).map_err(|_| Errno::EINVAL)?;
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    if offset.checked_add(count).is_none_or(|end| end > there) {
        return err(Errno::EINVAL);
    }
    for index in 0..count {
        let one = (|| {
            let fd = task.mm().read(list.at(index)?)?;
            Ok(if fd == IORING_REGISTER_FILES_SKIP { None } else { Some(candidate(task, fd)?) })
        })();
        let file = match one {
            Ok(Some(file)) => file,
            Ok(None) => continue,
            Err(e) if index == 0 => return Err(e),
            Err(_) => return Ok(index),
        };
        let old = match ring.files.lock().as_mut().and_then(|files| files.get_mut(offset + index)) {
            Some(slot) => std::mem::replace(slot, file),
            None => return err(Errno::ENXIO),
        };
        drop(old);
    }
    Ok(count)
}

/// IORING_REGISTER_PROBE: which operations there are.
fn probe(task: &CurrentTask, at: UserAddr, count: u32) -> Result<()> {
    let count = u8::try_from(count.min(IORING_OP_LAST.into())).unwrap_or(IORING_OP_LAST);
    if at.is_null() {
        return err(Errno::EINVAL);
    }
    let head = IoUringProbe { last_op: IORING_OP_LAST - 1, ops_len: count, ..IoUringProbe::default() };
    task.mm().write(UserPtr::new(at), &head)?;
    let list: UserPtr<IoUringProbeOp> = UserPtr::new(at.checked_add(size_of::<IoUringProbe>() as u64)?);
    for op in 0..count {
        let flags = if ops::has(op) { IO_URING_OP_SUPPORTED } else { 0 };
        task.mm().write(list.at(op.into())?, &IoUringProbeOp { op, flags, ..IoUringProbeOp::default() })?;
    }
    Ok(())
}
