//! brk(2).

use abi::UserAddr;
use sentry::error::Result;
use sentry::task::CurrentTask;

/// brk(2): never fails; the application compares.
pub(crate) fn brk(task: &mut CurrentTask, to: UserAddr) -> Result<UserAddr> {
    Ok(task.mm().brk(to))
}
