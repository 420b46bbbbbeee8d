//! Timeouts of system calls as points in time.

use std::time::{Duration, Instant};

use abi::Errno;
use abi::time::Timespec;
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

/// When a relative `struct timespec` ends; `None` for a null pointer or a time too far away to matter.
pub(crate) fn relative(task: &CurrentTask, timeout: UserPtr<Timespec>) -> Result<Option<Instant>> {
    match timeout.non_null() {
        Some(ptr) => after(duration(task.mm().read(ptr)?)?),
        None => Ok(None),
    }
}

/// When `milliseconds` end; `None` for a negative number.
pub(crate) fn milliseconds(timeout: i32) -> Option<Instant> {
    let timeout = u64::try_from(timeout).ok()?;
    Instant::now().checked_add(Duration::from_millis(timeout))
}

/// A valid, non-negative time; EINVAL otherwise.
pub(crate) fn duration(time: Timespec) -> Result<Duration> {
    let (Ok(seconds), Ok(nanos @ 0..1_000_000_000)) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec)) else {
        return err(Errno::EINVAL);
    };
    Ok(Duration::new(seconds, nanos))
}

fn after(duration: Duration) -> Result<Option<Instant>> {
    Ok(Instant::now().checked_add(duration))
}

/// What is left until `deadline`, for calls that write it back.
pub(crate) fn left(deadline: Option<Instant>) -> Timespec {
    let left = deadline.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
    Timespec::from_nanos(i64::try_from(left.as_nanos()).unwrap_or(i64::MAX))
}
