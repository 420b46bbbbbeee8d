//! read(2), write(2) and their relatives.

use abi::uio::{Iovec, RwFlags};
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::io::{IoDst, IoSrc};
use sentry::task::CurrentTask;
use sentry::user::{UserPtr, UserSlice};
use sentry::vfs::file::IoFlags;

use super::iovec;
use crate::arg::{Fd, flag_args};

flag_args! { RwFlags: u32 }

/// read(2): at the file's position.
pub(crate) fn read(task: &mut CurrentTask, fd: Fd, buf: UserAddr, len: usize) -> Result<usize> {
    let file = task.files().get(fd.0)?;
    let iov = iovec::single(buf, len)?;
    file.read(task, &mut IoDst::user(task.mm(), &iov))
}

/// write(2): at the file's position.
pub(crate) fn write(task: &mut CurrentTask, fd: Fd, buf: UserAddr, len: usize) -> Result<usize> {
    let file = task.files().get(fd.0)?;
    let iov = iovec::single(buf, len)?;
    file.write(task, &mut IoSrc::user(task.mm(), &iov))
}

/// pread(2): at an offset, without moving the position.
pub(crate) fn pread64(task: &mut CurrentTask, fd: Fd, buf: UserAddr, len: usize, offset: i64) -> Result<usize> {
    let iov = iovec::single(buf, len)?;
    read_vector(task, fd, &iov, Some(offset), IoFlags::empty())
}

/// pwrite(2): at an offset, without moving the position.
pub(crate) fn pwrite64(task: &mut CurrentTask, fd: Fd, buf: UserAddr, len: usize, offset: i64) -> Result<usize> {
    let iov = iovec::single(buf, len)?;
    write_vector(task, fd, &iov, Some(offset), IoFlags::empty())
}

/// readv(2): into several buffers.
pub(crate) fn readv(task: &mut CurrentTask, fd: Fd, iov: UserPtr<Iovec>, count: usize) -> Result<usize> {
    let slices = iovec::read(task, iov, count)?;
    read_vector(task, fd, &slices, None, IoFlags::empty())
}

/// writev(2): from several buffers.
pub(crate) fn writev(task: &mut CurrentTask, fd: Fd, iov: UserPtr<Iovec>, count: usize) -> Result<usize> {
    let slices = iovec::read(task, iov, count)?;
    write_vector(task, fd, &slices, None, IoFlags::empty())
}

/// preadv(2): into several buffers, at an offset. The high half of the offset is of no use on a 64-bit machine.
pub(crate) fn preadv(
    task: &mut CurrentTask,
    fd: Fd,
    iov: UserPtr<Iovec>,
    count: usize,
    offset: i64,
    _high: u64,
) -> Result<usize> {
    let slices = iovec::read(task, iov, count)?;
    read_vector(task, fd, &slices, Some(offset), IoFlags::empty())
}

/// pwritev(2): from several buffers, at an offset.
pub(crate) fn pwritev(
    task: &mut CurrentTask,
    fd: Fd,
    iov: UserPtr<Iovec>,
    count: usize,
    offset: i64,
    _high: u64,
) -> Result<usize> {
    let slices = iovec::read(task, iov, count)?;
    write_vector(task, fd, &slices, Some(offset), IoFlags::empty())
}

/// preadv2(2): with flags; offset -1 is the file's position.
pub(crate) fn preadv2(
    task: &mut CurrentTask,
    fd: Fd,
    iov: UserPtr<Iovec>,
    count: usize,
    offset: i64,
    _high: u64,
    flags: RwFlags,
) -> Result<usize> {
    let slices = iovec::read(task, iov, count)?;
    read_vector(task, fd, &slices, (offset != -1).then_some(offset), io_flags(flags, false)?)
}

/// pwritev2(2): with flags; offset -1 is the file's position.
pub(crate) fn pwritev2(
    task: &mut CurrentTask,
    fd: Fd,
    iov: UserPtr<Iovec>,
    count: usize,
    offset: i64,
    _high: u64,
    flags: RwFlags,
) -> Result<usize> {
    let slices = iovec::read(task, iov, count)?;
    write_vector(task, fd, &slices, (offset != -1).then_some(offset), io_flags(flags, true)?)
}

/// What of the flags matters: data is always as durable as it gets, polling makes nothing quicker here.
pub(crate) fn io_flags(flags: RwFlags, write: bool) -> Result<IoFlags> {
    let known = RwFlags::RWF_HIPRI | RwFlags::RWF_DSYNC | RwFlags::RWF_SYNC | RwFlags::RWF_NOWAIT | RwFlags::RWF_APPEND;
    if !known.contains(flags) {
        return err(Errno::EOPNOTSUPP);
    }
    let mut how = IoFlags::empty();
    how.set(IoFlags::NO_WAIT, flags.contains(RwFlags::RWF_NOWAIT));
    how.set(IoFlags::APPEND, write && flags.contains(RwFlags::RWF_APPEND));
    Ok(how)
}

fn read_vector(task: &CurrentTask, fd: Fd, iov: &[UserSlice], offset: Option<i64>, flags: IoFlags) -> Result<usize> {
    let offset = offset.map(non_negative).transpose()?;
    let file = task.files().get(fd.0)?;
    file.read_with(task, offset, flags, &mut IoDst::user(task.mm(), iov))
}

fn write_vector(task: &CurrentTask, fd: Fd, iov: &[UserSlice], offset: Option<i64>, flags: IoFlags) -> Result<usize> {
    let offset = offset.map(non_negative).transpose()?;
    let file = task.files().get(fd.0)?;
    file.write_with(task, offset, flags, &mut IoSrc::user(task.mm(), iov))
}

fn non_negative(offset: i64) -> Result<u64> {
    u64::try_from(offset).map_err(|_| Errno::EINVAL.into())
}
