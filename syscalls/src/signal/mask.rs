//! The signal mask: rt_sigprocmask(2), rt_sigpending(2).

use abi::Errno;
use abi::signal::{SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK, SIGSET_SIZE, SigSet};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

/// rt_sigprocmask(2).
pub(crate) fn rt_sigprocmask(
    task: &mut CurrentTask,
    how: u32,
    set: UserPtr<SigSet>,
    old: UserPtr<SigSet>,
    size: u64,
) -> Result<()> {
    if size != SIGSET_SIZE {
        return err(Errno::EINVAL);
    }
    let before = task.signals.blocked();
    if let Some(set) = set.non_null() {
        let set = task.mm().read(set)?;
        let after = match how {
            SIG_BLOCK => before.union(set),
            SIG_UNBLOCK => before.difference(set),
            SIG_SETMASK => set,
            _ => return err(Errno::EINVAL),
        };
        task.set_blocked(after);
    }
    match old.non_null() {
        Some(old) => task.mm().write(old, &before),
        None => Ok(()),
    }
}

/// rt_sigpending(2): what is pending and blocked.
pub(crate) fn rt_sigpending(task: &mut CurrentTask, set: UserPtr<SigSet>, size: u64) -> Result<()> {
    if size > SIGSET_SIZE {
        return err(Errno::EINVAL);
    }
    let pending = task.signals.pending_set().union(task.group().signals.pending_set());
    let bytes = pending.intersection(task.signals.blocked()).0.to_ne_bytes();
    let len = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
    task.mm().write_bytes(set.addr(), bytes.get(..len).unwrap_or(&bytes))
}
