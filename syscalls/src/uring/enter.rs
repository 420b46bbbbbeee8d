//! io_uring_enter(2).

use std::time::Instant;

use abi::iouring::{IoUringEnterFlags, IoUringGeteventsArg};
use abi::poll::POLLIN;
use abi::signal::SigSet;
use abi::time::Timespec;
use abi::{Errno, UserAddr};
use sentry::error::{Code, Result, err};
use sentry::fs::uring::Ring;
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use super::submit::submit;
use crate::arg::{Fd, flag_args};
use crate::deadline;
use crate::poll::mask::with_mask;

flag_args! { IoUringEnterFlags: u32 }

/// io_uring_enter(2): takes submissions, and waits for completions with IORING_ENTER_GETEVENTS.
pub(crate) fn io_uring_enter(
    task: &mut CurrentTask,
    fd: Fd,
    to_submit: u32,
    min_complete: u32,
    flags: IoUringEnterFlags,
    arg: UserAddr,
    size: usize,
) -> Result<u32> {
    let known = IoUringEnterFlags::IORING_ENTER_GETEVENTS
        | IoUringEnterFlags::IORING_ENTER_SQ_WAKEUP
        | IoUringEnterFlags::IORING_ENTER_SQ_WAIT
        | IoUringEnterFlags::IORING_ENTER_EXT_ARG;
    if !known.contains(flags) {
        return err(Errno::EINVAL);
    }
    let file = task.files().get(fd.0)?;
    let ring = Ring::of(&file)?;
    if ring.is_disabled() {
        return err(Errno::EBADFD);
    }
    let mut submitted = 0;
    if to_submit > 0 {
        ring.check_room()?;
        task.uses_ring(&ring);
        submitted = submit(task, &ring, to_submit);
    }
    if !flags.contains(IoUringEnterFlags::IORING_ENTER_GETEVENTS) {
        return Ok(submitted);
    }
    let waited = wait(task, &ring, min_complete, flags, arg, size);
    if submitted > 0 { Ok(submitted) } else { waited.map(|()| 0) }
}

/// Waits for `min` completions.
fn wait(
    task: &mut CurrentTask,
    ring: &Ring,
    min: u32,
    flags: IoUringEnterFlags,
    arg: UserAddr,
    size: usize,
) -> Result<()> {
    let mut deadline = None;
    let (set, set_size): (UserPtr<SigSet>, _) = match flags.contains(IoUringEnterFlags::IORING_ENTER_EXT_ARG) {
        false => (UserPtr::new(arg), size),
        true => {
            if size != size_of::<IoUringGeteventsArg>() {
                return err(Errno::EINVAL);
            }
            let ext: IoUringGeteventsArg = task.mm().read(UserPtr::new(arg))?;
            deadline = deadline::relative(task, UserPtr::<Timespec>::new(UserAddr(ext.ts)))?;
            let size = usize::try_from(ext.sigmask_sz).map_err(|_| Errno::EINVAL)?;
            (UserPtr::new(UserAddr(ext.sigmask)), size)
        }
    };
    let min = min.min(ring.cq_entries());
    let waited = with_mask(task, set, set_size, |task| wait_for(task, ring, min, deadline));
    match waited {
        Err(_) if ring.completed() > 0 => Ok(()),
        Err(e) if e.is(Errno::ETIMEDOUT) => err(Errno::ETIME),
        Err(e) if matches!(e.code(), Code::Restart(_)) => err(Errno::EINTR),
        other => other,
    }
}

fn wait_for(task: &mut CurrentTask, ring: &Ring, min: u32, deadline: Option<Instant>) -> Result<()> {
    loop {
        task.do_work();
        ring.flush();
        if ring.completed() >= min {
            return Ok(());
        }
        // Its own requests are run by itself, those of other threads by them.
        let attempt = || {
            if task.has_work() || ring.completed() >= min { Ok(()) } else { err(Errno::EAGAIN) }
        };
        task.wait_on(ring.queue(), POLLIN, deadline, attempt)?;
    }
}
