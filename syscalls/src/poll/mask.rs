//! A signal mask for the time of a wait: what ppoll(2), pselect(2) and epoll_pwait(2) share.

use abi::Errno;
use abi::signal::SigSet;
use sentry::error::{Code, Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

/// Calls `wait` with the mask that `mask` points to, if it points anywhere. The old mask comes back when the wait is over,
/// or after the handler that interrupted it. EINVAL for a set of another size.
pub(crate) fn with_mask<T>(
    task: &mut CurrentTask,
    mask: UserPtr<SigSet>,
    size: usize,
    wait: impl FnOnce(&mut CurrentTask) -> Result<T>,
) -> Result<T> {
    let Some(ptr) = mask.non_null() else { return wait(task) };
    if size != size_of::<SigSet>() {
        return err(Errno::EINVAL);
    }
    let mask = task.mm().read(ptr)?;
    task.set_mask_for_call(mask);
    let result = wait(task);
    if !matches!(&result, Err(e) if matches!(e.code(), Code::Restart(_))) {
        task.restore_mask();
    }
    result
}
