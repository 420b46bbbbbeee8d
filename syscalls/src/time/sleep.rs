//! nanosleep(2), clock_nanosleep(2).

use abi::Errno;
use abi::time::{CLOCK_THREAD_CPUTIME_ID, TIMER_ABSTIME, Timespec};
use sentry::error::{SysResult, err};
use sentry::task::CurrentTask;
use sentry::time::Clock;
use sentry::user::UserPtr;

use super::clock::resolve;

/// nanosleep(2).
pub(crate) fn nanosleep(task: &mut CurrentTask, time: UserPtr<Timespec>, left: UserPtr<Timespec>) -> SysResult {
    let time = task.mm().read(time)?.validate()?;
    sleep_for(task, Clock::MONOTONIC, time, left)
}

/// clock_nanosleep(2).
pub(crate) fn clock_nanosleep(
    task: &mut CurrentTask,
    id: i32,
    flags: u32,
    time: UserPtr<Timespec>,
    left: UserPtr<Timespec>,
) -> SysResult {
    let clock = resolve(task, id)?;
    if !clock.is_timed() || clock.is_alarm() || id == CLOCK_THREAD_CPUTIME_ID {
        return err(Errno::EOPNOTSUPP);
    }
    let time = task.mm().read(time)?.validate()?;
    if matches!(&clock, Clock::Thread(thread, _) if thread.as_ptr() == std::sync::Arc::as_ptr(task)) {
        // It would never come.
        return err(Errno::EINVAL);
    }
    if flags & TIMER_ABSTIME != 0 {
        return task.nanosleep_until(&clock, time.to_nanos_saturating());
    }
    // Setting a clock does not change how long a relative sleep is.
    let clock = if clock.is_cpu() { clock } else { Clock::MONOTONIC };
    sleep_for(task, clock, time, left)
}

fn sleep_for(task: &mut CurrentTask, clock: Clock, time: Timespec, left: UserPtr<Timespec>) -> SysResult {
    let now = clock.now().ok_or(Errno::EINVAL)?;
    task.nanosleep(clock, now.saturating_add(time.to_nanos_saturating()), left)
}
