//! POSIX timers: timer_create(2), timer_settime(2), timer_gettime(2), timer_getoverrun(2), timer_delete(2).

use std::sync::Arc;

use abi::Errno;
use abi::signal::{SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD, SIGEV_THREAD_ID, Sigevent, Signal};
use abi::time::{Itimerspec, TIMER_ABSTIME};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::time::{Notify, Setting, spec};
use sentry::user::UserPtr;

use super::clock::resolve;

/// timer_create(2).
pub(crate) fn timer_create(
    task: &mut CurrentTask,
    clock: i32,
    event: UserPtr<Sigevent>,
    id: UserPtr<i32>,
) -> Result<()> {
    let clock = resolve(task, clock)?;
    if !clock.is_timed() {
        return err(Errno::EOPNOTSUPP);
    }
    if clock.is_alarm() {
        // There is no clock that could wake the machine.
        return err(Errno::EOPNOTSUPP);
    }
    let notify = match event.non_null() {
        Some(event) => Some(notify(task, &task.mm().read(event)?)?),
        None => None,
    };
    let group = Arc::clone(task.group());
    let made = group.create_timer(clock, notify)?;
    if let Err(e) = task.mm().write(id, &made) {
        let _ = group.delete_timer(made);
        return Err(e);
    }
    Ok(())
}

/// timer_settime(2). Unknown flags are ignored, as Linux does.
pub(crate) fn timer_settime(
    task: &mut CurrentTask,
    id: i32,
    flags: u32,
    new: UserPtr<Itimerspec>,
    old: UserPtr<Itimerspec>,
) -> Result<()> {
    if new.is_null() {
        return err(Errno::EINVAL);
    }
    let new = task.mm().read(new)?;
    new.it_interval.validate()?;
    new.it_value.validate()?;
    let timer = task.group().timer(id)?;
    let left = timer.set(Setting::from_spec(&new, flags & TIMER_ABSTIME != 0));
    match old.non_null() {
        Some(old) => task.mm().write(old, &spec(left)),
        None => Ok(()),
    }
}

/// timer_gettime(2).
pub(crate) fn timer_gettime(task: &mut CurrentTask, id: i32, at: UserPtr<Itimerspec>) -> Result<()> {
    let left = task.group().timer(id)?.remaining();
    task.mm().write(at, &spec(left))
}

/// timer_getoverrun(2).
pub(crate) fn timer_getoverrun(task: &mut CurrentTask, id: i32) -> Result<i32> {
    Ok(task.group().timer(id)?.overrun())
}

/// timer_delete(2).
pub(crate) fn timer_delete(task: &mut CurrentTask, id: i32) -> Result<()> {
    task.group().delete_timer(id)
}

fn notify(task: &CurrentTask, event: &Sigevent) -> Result<Notify> {
    let value = event.sigev_value;
    let signal = || Signal::new(event.sigev_signo);
    match event.sigev_notify {
        SIGEV_NONE => Ok(Notify::Nobody),
        SIGEV_SIGNAL | SIGEV_THREAD => Ok(Notify::Process { signal: signal()?, value }),
        SIGEV_THREAD_ID => {
            let thread = task.group().thread(task.pid_ns(), event.sigev_notify_thread_id).ok_or(Errno::EINVAL)?;
            Ok(Notify::Thread { signal: signal()?, value, task: Arc::downgrade(&thread) })
        }
        _ => err(Errno::EINVAL),
    }
}
