//! getitimer(2), setitimer(2), alarm(2).

use std::sync::Arc;

use abi::Errno;
use abi::time::{Itimerval, NSEC_PER_SEC, Timeval};
use sentry::error::Result;
use sentry::task::CurrentTask;
use sentry::time::Setting;
use sentry::user::UserPtr;

/// ITIMER_REAL as an index.
const REAL: usize = 0;

/// getitimer(2).
pub(crate) fn getitimer(task: &mut CurrentTask, which: u32, at: UserPtr<Itimerval>) -> Result<()> {
    let left = task.group().itimer(index(which)?)?;
    task.mm().write(at, &value(left))
}

/// setitimer(2). A null pointer switches the timer off, as Linux has always done.
pub(crate) fn setitimer(
    task: &mut CurrentTask,
    which: u32,
    new: UserPtr<Itimerval>,
    old: UserPtr<Itimerval>,
) -> Result<()> {
    let new = new.non_null().map(|new| task.mm().read(new)).transpose()?.unwrap_or_default();
    let setting = Setting {
        value: new.it_value.validate()?.to_nanos_saturating(),
        every: new.it_interval.validate()?.to_nanos_saturating(),
        absolute: false,
    };
    let group = Arc::clone(task.group());
    let left = group.set_itimer(index(which)?, setting)?;
    match old.non_null() {
        Some(old) => task.mm().write(old, &value(left)),
        None => Ok(()),
    }
}

/// alarm(2): returns the seconds that were left, rounded, but not to zero.
pub(crate) fn alarm(task: &mut CurrentTask, seconds: u32) -> Result<u32> {
    let setting = Setting { value: i64::from(seconds) * NSEC_PER_SEC, every: 0, absolute: false };
    let group = Arc::clone(task.group());
    let (left, _) = group.set_itimer(REAL, setting)?;
    let rounded = if left > 0 { ((left + NSEC_PER_SEC / 2) / NSEC_PER_SEC).max(1) } else { 0 };
    Ok(u32::try_from(rounded).unwrap_or(u32::MAX))
}

fn index(which: u32) -> Result<usize> {
    usize::try_from(which).map_err(|_| Errno::EINVAL.into())
}

fn value((left, every): (i64, i64)) -> Itimerval {
    Itimerval { it_interval: Timeval::from_nanos(every), it_value: Timeval::from_nanos_up(left) }
}
