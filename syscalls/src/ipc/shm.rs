//! shmget(2), shmat(2), shmdt(2), shmctl(2).

use abi::ipc::{
    IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, SHM_INFO, SHM_LOCK, SHM_STAT, SHM_STAT_ANY, SHM_UNLOCK, ShmatFlags,
};
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use super::{command, space};
use crate::arg::flag_args;

flag_args! { ShmatFlags: u32 }

/// shmget(2).
pub(crate) fn shmget(task: &mut CurrentTask, key: i32, size: u64, flags: u32) -> Result<i32> {
    space(task).shmget(task, key, size, flags)
}

/// shmat(2).
pub(crate) fn shmat(task: &mut CurrentTask, id: i32, addr: UserAddr, flags: ShmatFlags) -> Result<UserAddr> {
    space(task).segment(id)?.attach(task, addr, flags)
}

/// shmdt(2).
pub(crate) fn shmdt(task: &mut CurrentTask, addr: UserAddr) -> Result<()> {
    task.detach_segment(addr)
}

/// shmctl(2).
pub(crate) fn shmctl(task: &mut CurrentTask, id: i32, raw: u32, at: UserAddr) -> Result<i32> {
    let space = space(task);
    let cmd = command(raw);
    if id < 0 {
        return err(Errno::EINVAL);
    }
    match cmd {
        IPC_INFO => {
            let (info, highest) = space.segment_limits();
            task.mm().write(UserPtr::new(at), &info)?;
            Ok(highest)
        }
        SHM_INFO => {
            let (info, highest) = space.segment_info();
            task.mm().write(UserPtr::new(at), &info)?;
            Ok(highest)
        }
        IPC_STAT | SHM_STAT | SHM_STAT_ANY => {
            let segment = if cmd == IPC_STAT { space.segment(id)? } else { space.segment_at(id)? };
            task.mm().write(UserPtr::new(at), &segment.stat(task, cmd == SHM_STAT_ANY)?)?;
            Ok(if cmd == IPC_STAT { 0 } else { segment.id() })
        }
        IPC_SET => {
            let new = task.mm().read(UserPtr::new(at))?;
            space.segment(id)?.set(task, &new)?;
            Ok(0)
        }
        IPC_RMID => space.remove_segment(task, id).map(|()| 0),
        SHM_LOCK | SHM_UNLOCK => space.segment(id)?.lock(task, cmd == SHM_LOCK).map(|()| 0),
        _ => err(Errno::EINVAL),
    }
}
