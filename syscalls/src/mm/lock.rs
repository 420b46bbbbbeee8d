//! mlock(2), mlock2(2), munlock(2), mlockall(2), munlockall(2).

use abi::mman::{MLOCK_ONFAULT, MlockallFlags};
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;

use super::may_lock;
use crate::arg::flag_args;

flag_args! { MlockallFlags: u32 }

/// mlock(2).
pub(crate) fn mlock(task: &mut CurrentTask, addr: UserAddr, len: u64) -> Result<()> {
    task.mm().lock(addr, len, false, may_lock(task))
}

/// mlock2(2).
pub(crate) fn mlock2(task: &mut CurrentTask, addr: UserAddr, len: u64, flags: u32) -> Result<()> {
    if flags & !MLOCK_ONFAULT != 0 {
        return err(Errno::EINVAL);
    }
    task.mm().lock(addr, len, flags & MLOCK_ONFAULT != 0, may_lock(task))
}

/// munlock(2).
pub(crate) fn munlock(task: &mut CurrentTask, addr: UserAddr, len: u64) -> Result<()> {
    task.mm().unlock(addr, len)
}

/// mlockall(2).
pub(crate) fn mlockall(task: &mut CurrentTask, flags: MlockallFlags) -> Result<()> {
    task.mm().lock_all(flags, may_lock(task))
}

/// munlockall(2).
pub(crate) fn munlockall(task: &mut CurrentTask) -> Result<()> {
    task.mm().unlock_all()
}
