//! poll(2), ppoll(2).

use std::time::Instant;

use abi::Errno;
use abi::poll::{POLLNVAL, PollEvents, PollFd};
use abi::resource::Resource;
use abi::signal::SigSet;
use abi::time::Timespec;
use sentry::error::{Error, Restart, Result, err};
use sentry::fs::poll::{self as engine, Watch};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use super::mask::with_mask;
use crate::deadline;
use crate::ret::IntoRet;

/// poll(2): waits for `timeout` milliseconds.
pub(crate) fn poll(task: &mut CurrentTask, fds: UserPtr<PollFd>, count: u32, timeout: i32) -> Result<usize> {
    let deadline = deadline::milliseconds(timeout);
    wait_restarting(task, fds, count, deadline)
}

/// Without a handler the wait goes on with what is left of its time, not with the whole timeout again.
fn wait_restarting(
    task: &mut CurrentTask,
    fds: UserPtr<PollFd>,
    count: u32,
    deadline: Option<Instant>,
) -> Result<usize> {
    match wait(task, fds, count, deadline) {
        Err(e) if e.code() == Error::from(Restart::Sys).code() => {
            task.set_restart_block(Box::new(move |task| {
                wait_restarting(task, fds, count, deadline).map(IntoRet::into_ret)
            }));
            Err(Restart::Block.into())
        }
        other => other,
    }
}

/// ppoll(2): with a signal mask for the time of the wait, and the time that is left written back.
pub(crate) fn ppoll(
    task: &mut CurrentTask,
    fds: UserPtr<PollFd>,
    count: u32,
    timeout: UserPtr<Timespec>,
    mask: UserPtr<SigSet>,
    size: usize,
) -> Result<usize> {
    let deadline = deadline::relative(task, timeout)?;
    let result = with_mask(task, mask, size, |task| no_hand(wait(task, fds, count, deadline)));
    write_left(task, timeout, deadline);
    result
}

/// Tells how much time is left; a fault there is ignored, as Linux does.
pub(super) fn write_left(task: &CurrentTask, timeout: UserPtr<Timespec>, deadline: Option<Instant>) {
    if let (Some(ptr), Some(_)) = (timeout.non_null(), deadline)
        && !sticky(task)
    {
        let _ = task.mm().write(ptr, &deadline::left(deadline));
    }
}

/// Whether timeouts are left as they were, personality(2).
pub(super) fn sticky(task: &CurrentTask) -> bool {
    const STICKY_TIMEOUTS: u32 = 0x0400_0000;
    task.personality() & STICKY_TIMEOUTS != 0
}

/// A wait that a handler ends with EINTR and that is made again otherwise.
pub(super) fn no_hand<T>(result: Result<T>) -> Result<T> {
    match result {
        Err(e) if e.code() == Error::from(Restart::Sys).code() => Err(Restart::NoHand.into()),
        other => other,
    }
}

fn wait(task: &mut CurrentTask, fds: UserPtr<PollFd>, count: u32, deadline: Option<Instant>) -> Result<usize> {
    if u64::from(count) > task.group().limits().soft(Resource::RLIMIT_NOFILE) {
        return err(Errno::EINVAL);
    }
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    let mut list = Vec::with_capacity(count);
    for i in 0..count {
        list.push(task.mm().read(fds.at(i)?)?);
    }
    let mut watches: Vec<_> = list.iter().map(|entry: &PollFd| watch(task, entry.fd, entry.events)).collect();
    let ready = engine::poll(task, &mut watches, deadline)?;
    for (i, (entry, watch)) in list.iter().zip(&watches).enumerate() {
        let revents = PollEvents::from_bits_truncate(u16::try_from(watch.happened & 0xffff).unwrap_or(0));
        task.mm().write(fds.at(i)?, &PollFd { revents, ..*entry })?;
    }
    Ok(ready)
}

fn watch(task: &CurrentTask, fd: i32, events: PollEvents) -> Watch {
    if fd < 0 {
        return Watch { file: None, events: 0, happened: 0 };
    }
    match task.files().get(fd) {
        Ok(file) => Watch { file: Some(file), events: events.bits().into(), happened: 0 },
        Err(_) => Watch { file: None, events: 0, happened: POLLNVAL },
    }
}
