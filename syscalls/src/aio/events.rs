//! io_getevents(2), io_pgetevents(2).

use std::time::{Duration, Instant};

use abi::iouring::IoEvent;
use abi::poll::POLLIN;
use abi::signal::SigSet;
use abi::time::Timespec;
use abi::{Errno, UserAddr};
use sentry::error::{Code, Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use crate::poll::mask::with_mask;

/// io_getevents(2): waits for at least `min` events.
pub(crate) fn io_getevents(
    task: &mut CurrentTask,
    id: u64,
    min: i64,
    count: i64,
    events: UserPtr<IoEvent>,
    timeout: UserPtr<Timespec>,
) -> Result<usize> {
    let deadline = deadline(task, timeout)?;
    wait(task, id, (min, count), events, deadline)
}

/// io_pgetevents(2): with a signal mask for the time of the wait; `mask` points to the set and its size.
pub(crate) fn io_pgetevents(
    task: &mut CurrentTask,
    id: u64,
    min: i64,
    count: i64,
    events: UserPtr<IoEvent>,
    timeout: UserPtr<Timespec>,
    mask: UserPtr<[u64; 2]>,
) -> Result<usize> {
    let deadline = deadline(task, timeout)?;
    let [set, size] = match mask.non_null() {
        Some(mask) => task.mm().read(mask)?,
        None => [0, 0],
    };
    let size = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
    let set: UserPtr<SigSet> = UserPtr::new(UserAddr(set));
    with_mask(task, set, size, |task| wait(task, id, (min, count), events, deadline))
}

/// Linux takes any numbers for a time; what lies in the past ends the wait at once.
fn deadline(task: &CurrentTask, timeout: UserPtr<Timespec>) -> Result<Option<Instant>> {
    let Some(timeout) = timeout.non_null() else { return Ok(None) };
    let time = task.mm().read(timeout)?;
    let nanos = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    let left = Duration::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX));
    Ok(Instant::now().checked_add(left))
}

fn wait(
    task: &CurrentTask,
    id: u64,
    (min, count): (i64, i64),
    events: UserPtr<IoEvent>,
    deadline: Option<Instant>,
) -> Result<usize> {
    let context = task.mm().aio.get(id)?;
    if min < 0 || min > count {
        return err(Errno::EINVAL);
    }
    let (min, count) = (usize::try_from(min).unwrap_or(0), usize::try_from(count).unwrap_or(0));
    let mut got = 0;
    let result = task.wait_on(context.queue(), POLLIN, deadline, || {
        for event in context.take(count - got) {
            task.mm().write(events.at(got)?, &event)?;
            got += 1;
        }
        if got >= min || context.is_dead() { Ok(()) } else { err(Errno::EAGAIN) }
    });
    match result {
        Ok(()) => Ok(got),
        Err(_) if got > 0 => Ok(got),
        Err(e) if e.is(Errno::ETIMEDOUT) => Ok(0),
        Err(e) if matches!(e.code(), Code::Restart(_)) => err(Errno::EINTR),
        Err(e) => Err(e),
    }
}
