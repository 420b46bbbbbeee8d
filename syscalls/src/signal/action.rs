//! rt_sigaction(2).

use abi::Errno;
use abi::signal::{SIGSET_SIZE, SaFlags, SigAction, SigSet, Signal};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

/// rt_sigaction(2). Unknown flags are dropped, so that a program finds out which there are.
pub(crate) fn rt_sigaction(
    task: &mut CurrentTask,
    signo: i32,
    new: UserPtr<SigAction>,
    old: UserPtr<SigAction>,
    size: u64,
) -> Result<()> {
    if size != SIGSET_SIZE {
        return err(Errno::EINVAL);
    }
    let new = new.non_null().map(|new| task.mm().read(new)).transpose()?.map(known);
    let signal = Signal::new(signo)?;
    if new.is_some() && SigSet::UNBLOCKABLE.contains(signal) {
        return err(Errno::EINVAL);
    }
    let before = task.group().signals.set_action(signal, new);
    match old.non_null() {
        Some(old) => task.mm().write(old, &before),
        None => Ok(()),
    }
}

fn known(action: SigAction) -> SigAction {
    let flags = action.flags & SaFlags::all() & !SaFlags::SA_UNSUPPORTED;
    SigAction { flags, ..action }
}
