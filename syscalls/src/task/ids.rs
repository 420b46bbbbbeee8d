//! Who a task is: getpid(2) and its kin, process groups, sessions.

use sentry::error::Result;
use sentry::task::CurrentTask;

/// getpid(2).
pub(crate) fn getpid(task: &mut CurrentTask) -> Result<i32> {
    Ok(task.group().tgid())
}

/// gettid(2).
pub(crate) fn gettid(task: &mut CurrentTask) -> Result<i32> {
    Ok(task.tid())
}

/// getppid(2).
pub(crate) fn getppid(task: &mut CurrentTask) -> Result<i32> {
    Ok(task.group().ppid())
}

/// getpgrp(2).
pub(crate) fn getpgrp(task: &mut CurrentTask) -> Result<i32> {
    task.process_group_of(0)
}

/// getpgid(2).
pub(crate) fn getpgid(task: &mut CurrentTask, pid: i32) -> Result<i32> {
    task.process_group_of(pid)
}

/// setpgid(2).
pub(crate) fn setpgid(task: &mut CurrentTask, pid: i32, pgid: i32) -> Result<()> {
    task.set_process_group(pid, pgid)
}

/// getsid(2).
pub(crate) fn getsid(task: &mut CurrentTask, pid: i32) -> Result<i32> {
    task.session_of(pid)
}

/// setsid(2).
pub(crate) fn setsid(task: &mut CurrentTask) -> Result<i32> {
    task.make_session()
}
