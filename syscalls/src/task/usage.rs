//! getrusage(2), times(2).

use std::time::Duration;

use abi::Errno;
use abi::resource::{RUSAGE_CHILDREN, RUSAGE_SELF, RUSAGE_THREAD, Rusage};
use abi::time::{Timeval, Tms, USER_HZ};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::task::usage::Usage;
use sentry::user::UserPtr;

/// getrusage(2).
pub(crate) fn getrusage(task: &mut CurrentTask, who: i32, usage: UserPtr<Rusage>) -> Result<()> {
    let mut used = match who {
        RUSAGE_SELF => task.group().used(),
        RUSAGE_CHILDREN => task.group().children_used(),
        RUSAGE_THREAD => task.used(),
        _ => return err(Errno::EINVAL),
    };
    if who != RUSAGE_CHILDREN {
        used.max_rss = used.max_rss.max(task.peak_resident());
    }
    task.mm().write(usage, &rusage(&used))
}

/// times(2).
pub(crate) fn times(task: &mut CurrentTask, at: UserPtr<Tms>) -> Result<i64> {
    if let Some(at) = at.non_null() {
        let (own, children) = (task.group().used().cpu, task.group().children_used().cpu);
        let tms = Tms {
            tms_utime: ticks(own.user),
            tms_stime: ticks(own.sys),
            tms_cutime: ticks(children.user),
            tms_cstime: ticks(children.sys),
        };
        task.mm().write(at, &tms)?;
    }
    Ok(ticks(task.kernel().boot.elapsed()))
}

fn ticks(time: Duration) -> i64 {
    i64::try_from(time.as_nanos() * u128::from(USER_HZ) / 1_000_000_000).unwrap_or(i64::MAX)
}

/// What was used, as getrusage(2) and wait4(2) tell it.
pub(crate) fn rusage(usage: &Usage) -> Rusage {
    let timeval = |time: Duration| Timeval::from_nanos(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX));
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    Rusage {
        ru_utime: timeval(usage.cpu.user),
        ru_stime: timeval(usage.cpu.sys),
        ru_maxrss: count(usage.max_rss / 1024),
        ru_minflt: count(usage.minor_faults),
        ru_majflt: count(usage.major_faults),
        ru_nvcsw: count(usage.voluntary_switches),
        ..Rusage::default()
    }
}
