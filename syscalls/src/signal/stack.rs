//! sigaltstack(2), rt_sigreturn(2).

use abi::signal::Stack;
use sentry::error::{Result, SysResult};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

/// sigaltstack(2).
pub(crate) fn sigaltstack(task: &mut CurrentTask, new: UserPtr<Stack>, old: UserPtr<Stack>) -> Result<()> {
    let new = new.non_null().map(|new| task.mm().read(new)).transpose()?;
    let before = task.altstack()?;
    if let Some(new) = new {
        task.set_altstack(new)?;
    }
    match old.non_null() {
        Some(old) => task.mm().write(old, &before),
        None => Ok(()),
    }
}

/// rt_sigreturn(2): all registers are replaced; a bad frame is a SIGSEGV.
pub(crate) fn rt_sigreturn(task: &mut CurrentTask) -> SysResult {
    task.sigreturn()
}
