//! io_submit(2), io_cancel(2).

use std::sync::Arc;

use abi::iouring::{
    IOCB_CMD_FDSYNC, IOCB_CMD_FSYNC, IOCB_CMD_POLL, IOCB_CMD_PREAD, IOCB_CMD_PREADV, IOCB_CMD_PWRITE, IOCB_CMD_PWRITEV,
    IOCB_FLAG_IOPRIO, IOCB_FLAG_RESFD, IoEvent, Iocb,
};
use abi::poll::{POLLERR, POLLHUP};
use abi::uio::RwFlags;
use abi::{Errno, UserAddr};
use sentry::aio::{Context, PollRequest};
use sentry::error::{Result, err};
use sentry::fs::eventfd::EventFd;
use sentry::io::{IoDst, IoSrc};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;
use sentry::vfs::File;

use crate::file::iovec;
use crate::file::rw::io_flags;

/// io_submit(2): an error after the first request is reported by the next call.
pub(crate) fn io_submit(task: &mut CurrentTask, id: u64, count: i64, blocks: UserPtr<u64>) -> Result<usize> {
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    let context = task.mm().aio.get(id)?;
    let count = count.min(context.slots());
    for done in 0..count {
        let one = (|| {
            let block = task.mm().read(blocks.at(done)?)?;
            submit_one(task, &context, UserPtr::new(UserAddr(block)))
        })();
        match one {
            Ok(()) => {}
            Err(e) if done == 0 => return Err(e),
            Err(_) => return Ok(done),
        }
    }
    Ok(count)
}

fn submit_one(task: &CurrentTask, context: &Arc<Context>, at: UserPtr<Iocb>) -> Result<()> {
    let block = task.mm().read(at)?;
    if block.aio_reserved2 != 0 || i64::try_from(block.aio_nbytes).is_err() {
        return err(Errno::EINVAL);
    }
    let slot = context.slot()?;
    let file = task.files().get(block.aio_fildes.cast_signed())?;
    let eventfd = eventfd(task, &block)?;
    let key_at = at.addr().wrapping_add(8);
    task.mm().write(UserPtr::new(key_at), &0u32)?;
    let event = IoEvent { data: block.aio_data, obj: at.addr().0, res: 0, res2: 0 };
    if block.aio_lio_opcode == IOCB_CMD_POLL {
        let plain = block.aio_offset == 0 && block.aio_nbytes == 0 && block.aio_rw_flags == 0;
        let asked = u16::try_from(block.aio_buf).ok().filter(|_| plain).ok_or(Errno::EINVAL)?;
        PollRequest::start(context, slot, file, u32::from(asked) | POLLERR | POLLHUP, event, eventfd);
        return Ok(());
    }
    let res = match perform(task, &file, &block)? {
        Ok(n) => i64::try_from(n).unwrap_or(i64::MAX),
        Err(errno) => -i64::from(errno.raw()),
    };
    context.complete(slot, IoEvent { res, ..event }, eventfd.as_ref());
    Ok(())
}

/// The eventfd that hears of the end.
fn eventfd(task: &CurrentTask, block: &Iocb) -> Result<Option<Arc<File>>> {
    if block.aio_flags & IOCB_FLAG_RESFD == 0 {
        return Ok(None);
    }
    let file = task.files().get(block.aio_resfd.cast_signed())?;
    if file.ops_as::<EventFd>().is_none() {
        return err(Errno::EINVAL);
    }
    Ok(Some(file))
}

/// Does what is asked. The outer error is io_submit's, the inner one the event's.
fn perform(task: &CurrentTask, file: &File, block: &Iocb) -> Result<Result<usize, Errno>> {
    let op = block.aio_lio_opcode;
    match op {
        IOCB_CMD_FSYNC | IOCB_CMD_FDSYNC => {
            if block.aio_buf != 0 || block.aio_offset != 0 || block.aio_nbytes != 0 || block.aio_rw_flags != 0 {
                return err(Errno::EINVAL);
            }
            match file.ops().sync(file, op == IOCB_CMD_FDSYNC) {
                // It cannot be synced at all: there is nothing to wait for.
                Err(e) if e.is(Errno::EINVAL) => Err(e),
                done => Ok(done.map(|()| 0).map_err(|e| e.errno())),
            }
        }
        IOCB_CMD_PREAD | IOCB_CMD_PREADV | IOCB_CMD_PWRITE | IOCB_CMD_PWRITEV => transfer(task, file, block),
        _ => err(Errno::EINVAL),
    }
}

fn transfer(task: &CurrentTask, file: &File, block: &Iocb) -> Result<Result<usize, Errno>> {
    let op = block.aio_lio_opcode;
    let write = matches!(op, IOCB_CMD_PWRITE | IOCB_CMD_PWRITEV);
    if block.aio_flags & IOCB_FLAG_IOPRIO != 0 && !crate::task::priority::is_io_priority(block.aio_reqprio) {
        return err(Errno::EINVAL);
    }
    let flags = io_flags(RwFlags::from_bits_retain(block.aio_rw_flags), write)?;
    if write {
        file.check_writable()?
    } else {
        file.check_readable()?
    }
    let len = usize::try_from(block.aio_nbytes).map_err(|_| Errno::EINVAL)?;
    let slices = match op {
        IOCB_CMD_PREADV | IOCB_CMD_PWRITEV => iovec::read(task, UserPtr::new(UserAddr(block.aio_buf)), len)?,
        _ => iovec::single(UserAddr(block.aio_buf), len)?.to_vec(),
    };
    // Streams have no positions, and take any.
    let offset = match file.ops().seekable() {
        true => Some(u64::try_from(block.aio_offset).map_err(|_| Errno::EINVAL)?),
        false => None,
    };
    let moved = match write {
        true => file.write_with(task, offset, flags, &mut IoSrc::user(task.mm(), &slices)),
        false => file.read_with(task, offset, flags, &mut IoDst::user(task.mm(), &slices)),
    };
    Ok(moved.map_err(|e| e.errno()))
}

/// io_cancel(2): only polls can be called off; the event comes all the same.
pub(crate) fn io_cancel(task: &mut CurrentTask, id: u64, block: UserPtr<Iocb>, _result: UserAddr) -> Result<()> {
    let key: u32 = task.mm().read(UserPtr::new(block.addr().wrapping_add(8)))?;
    if key != 0 {
        return err(Errno::EINVAL);
    }
    let context = task.mm().aio.get(id)?;
    if context.cancel(block.addr().0)? { err(Errno::EINPROGRESS) } else { err(Errno::EINVAL) }
}
