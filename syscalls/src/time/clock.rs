//! Reading clocks, and the refusal to set them.

use abi::Errno;
use abi::time::{Timespec, Timeval, Timezone};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::time::Clock;
use sentry::user::UserPtr;

/// A clock by its number; EINVAL if there is none.
pub(super) fn resolve(task: &CurrentTask, id: i32) -> Result<Clock> {
    Clock::resolve(task, id).ok_or_else(|| Errno::EINVAL.into())
}

/// clock_gettime(2).
pub(crate) fn clock_gettime(task: &mut CurrentTask, id: i32, at: UserPtr<Timespec>) -> Result<()> {
    let now = resolve(task, id)?.now().ok_or(Errno::EINVAL)?;
    task.mm().write(at, &Timespec::from_nanos(now))
}

/// clock_getres(2).
pub(crate) fn clock_getres(task: &mut CurrentTask, id: i32, at: UserPtr<Timespec>) -> Result<()> {
    let resolution = resolve(task, id)?.resolution();
    match at.non_null() {
        Some(at) => task.mm().write(at, &Timespec::from_nanos(resolution)),
        None => Ok(()),
    }
}

/// clock_settime(2): the clocks are the host's, so nobody may.
pub(crate) fn clock_settime(task: &mut CurrentTask, id: i32, at: UserPtr<Timespec>) -> Result<()> {
    let clock = resolve(task, id)?;
    if clock.is_cpu() || id != abi::time::CLOCK_REALTIME {
        return err(if clock.is_cpu() { Errno::EPERM } else { Errno::EINVAL });
    }
    task.mm().read(at)?.validate()?;
    err(Errno::EPERM)
}

/// gettimeofday(2).
pub(crate) fn gettimeofday(task: &mut CurrentTask, at: UserPtr<Timeval>, zone: UserPtr<Timezone>) -> Result<()> {
    if let Some(at) = at.non_null() {
        let now = task.kernel().clocks.realtime().to_nanos_saturating();
        task.mm().write(at, &Timeval::from_nanos(now))?;
    }
    match zone.non_null() {
        Some(zone) => task.mm().write(zone, &Timezone::default()),
        None => Ok(()),
    }
}

/// settimeofday(2): as clock_settime(2).
pub(crate) fn settimeofday(task: &mut CurrentTask, at: UserPtr<Timeval>, zone: UserPtr<Timezone>) -> Result<()> {
    if let Some(at) = at.non_null() {
        task.mm().read(at)?.validate()?;
    }
    if let Some(zone) = zone.non_null() {
        task.mm().read(zone)?;
    }
    err(Errno::EPERM)
}

/// time(2).
pub(crate) fn time(task: &mut CurrentTask, at: UserPtr<i64>) -> Result<i64> {
    let now = task.kernel().clocks.realtime().tv_sec;
    if let Some(at) = at.non_null() {
        task.mm().write(at, &now)?;
    }
    Ok(now)
}
