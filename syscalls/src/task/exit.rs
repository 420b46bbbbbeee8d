//! exit(2), exit_group(2), set_tid_address(2).

use abi::UserAddr;
use abi::wait::WaitStatus;
use sentry::error::Result;
use sentry::task::CurrentTask;

/// exit(2): ends the calling thread.
pub(crate) fn exit(task: &mut CurrentTask, status: i32) -> Result<()> {
    task.exit_thread(WaitStatus::exited(status));
    Ok(())
}

/// exit_group(2): ends the process.
pub(crate) fn exit_group(task: &mut CurrentTask, status: i32) -> Result<()> {
    task.exit_group(WaitStatus::exited(status));
    Ok(())
}

/// set_tid_address(2).
pub(crate) fn set_tid_address(task: &mut CurrentTask, addr: UserAddr) -> Result<i32> {
    task.set_clear_child_tid(addr);
    Ok(task.tid())
}
