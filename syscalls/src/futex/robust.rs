//! set_robust_list(2), get_robust_list(2).

use abi::futex::RobustListHead;
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

/// set_robust_list(2): the list is looked at when the thread ends.
pub(crate) fn set_robust_list(task: &mut CurrentTask, head: UserAddr, len: usize) -> Result<()> {
    if len != size_of::<RobustListHead>() {
        return err(Errno::EINVAL);
    }
    task.set_robust_list(head);
    Ok(())
}

/// get_robust_list(2).
pub(crate) fn get_robust_list(task: &mut CurrentTask, tid: i32, head: UserPtr<u64>, len: UserPtr<u64>) -> Result<()> {
    let list = if tid == 0 {
        task.robust_list()
    } else {
        let other = task.pid_ns().task(tid).ok_or(Errno::ESRCH)?;
        if !task.may_inspect(&other) {
            return err(Errno::EPERM);
        }
        other.robust_list()
    };
    let size = u64::try_from(size_of::<RobustListHead>()).unwrap_or(0);
    task.mm().write(len, &size)?;
    task.mm().write(head, &list.0)
}
