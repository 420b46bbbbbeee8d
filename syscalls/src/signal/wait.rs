//! Waiting for signals: pause(2), rt_sigsuspend(2), rt_sigtimedwait(2); restart_syscall(2).

use abi::Errno;
use abi::siginfo::SigInfo;
use abi::signal::{SIGSET_SIZE, SigSet};
use abi::time::Timespec;
use sentry::error::{Result, SysResult, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use crate::deadline;

/// pause(2).
pub(crate) fn pause(task: &mut CurrentTask) -> SysResult {
    Err(task.pause())
}

/// rt_sigsuspend(2).
pub(crate) fn rt_sigsuspend(task: &mut CurrentTask, mask: UserPtr<SigSet>, size: u64) -> SysResult {
    if size != SIGSET_SIZE {
        return err(Errno::EINVAL);
    }
    let mask = task.mm().read(mask)?;
    task.set_mask_for_call(mask);
    Err(task.pause())
}

/// rt_sigtimedwait(2).
pub(crate) fn rt_sigtimedwait(
    task: &mut CurrentTask,
    set: UserPtr<SigSet>,
    info: UserPtr<SigInfo>,
    timeout: UserPtr<Timespec>,
    size: u64,
) -> Result<i32> {
    if size != SIGSET_SIZE {
        return err(Errno::EINVAL);
    }
    let set = task.mm().read(set)?;
    let deadline = deadline::relative(task, timeout)?;
    let taken = task.wait_for_signal(set, deadline)?;
    if let Some(info) = info.non_null() {
        task.mm().write(info, &taken.info)?;
    }
    Ok(taken.signal.number())
}

/// restart_syscall(2): what the kernel makes a program call after an interrupted sleep.
pub(crate) fn restart_syscall(task: &mut CurrentTask) -> SysResult {
    task.restart_syscall()
}
