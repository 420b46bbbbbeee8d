//! semget(2), semop(2), semtimedop(2), semctl(2).

use std::time::Instant;

use abi::ipc::{
    GETALL, GETNCNT, GETPID, GETVAL, GETZCNT, IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, SEM_INFO, SEM_STAT, SEM_STAT_ANY,
    SETALL, SETVAL, Sembuf,
};
use abi::time::Timespec;
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::ipc::sem::Look;
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use super::{command, space};
use crate::arg::low;
use crate::deadline;

/// semget(2).
pub(crate) fn semget(task: &mut CurrentTask, key: i32, count: i32, flags: u32) -> Result<i32> {
    space(task).semget(task, key, count, flags)
}

/// semop(2).
pub(crate) fn semop(task: &mut CurrentTask, id: i32, ops: UserPtr<Sembuf>, count: u32) -> Result<()> {
    operate(task, id, ops, count, None)
}

/// semtimedop(2).
pub(crate) fn semtimedop(
    task: &mut CurrentTask,
    id: i32,
    ops: UserPtr<Sembuf>,
    count: u32,
    timeout: UserPtr<Timespec>,
) -> Result<()> {
    let deadline = deadline::relative(task, timeout)?;
    operate(task, id, ops, count, deadline)
}

fn operate(task: &CurrentTask, id: i32, ops: UserPtr<Sembuf>, count: u32, deadline: Option<Instant>) -> Result<()> {
    let space = space(task);
    if count == 0 || id < 0 {
        return err(Errno::EINVAL);
    }
    if u64::from(count) > space.settings.semopm() {
        return err(Errno::E2BIG);
    }
    let mut list = vec![Sembuf::default(); usize::try_from(count).map_err(|_| Errno::E2BIG)?];
    task.mm().read_slice(ops, &mut list)?;
    space.semaphores(id)?.operate(task, &list, deadline)
}

/// semctl(2).
pub(crate) fn semctl(task: &mut CurrentTask, id: i32, number: i32, raw: u32, arg: u64) -> Result<i32> {
    let space = space(task);
    let cmd = command(raw);
    let at = UserAddr(arg);
    if id < 0 {
        return err(Errno::EINVAL);
    }
    let look = |what| space.semaphores(id)?.look(task, number, what);
    match cmd {
        IPC_INFO | SEM_INFO => {
            let (info, highest) = space.semaphore_info(cmd == SEM_INFO);
            task.mm().write(UserPtr::new(at), &info)?;
            Ok(highest)
        }
        IPC_STAT | SEM_STAT | SEM_STAT_ANY => {
            let set = if cmd == IPC_STAT { space.semaphores(id)? } else { space.semaphores_at(id)? };
            task.mm().write(UserPtr::new(at), &set.stat(task, cmd == SEM_STAT_ANY)?)?;
            Ok(if cmd == IPC_STAT { 0 } else { set.id() })
        }
        IPC_SET => {
            let new = task.mm().read(UserPtr::new(at))?;
            space.semaphores(id)?.set(task, &new)?;
            Ok(0)
        }
        IPC_RMID => space.remove_semaphores(task, id).map(|()| 0),
        GETVAL => look(Look::Value),
        GETPID => look(Look::Pid),
        GETNCNT => look(Look::WaitForMore),
        GETZCNT => look(Look::WaitForZero),
        GETALL => {
            let values = space.semaphores(id)?.values(task)?;
            task.mm().write_slice(UserPtr::new(at), &values)?;
            Ok(0)
        }
        SETVAL => space.semaphores(id)?.set_value(task, number, low(arg).cast_signed()).map(|()| 0),
        SETALL => {
            let set = space.semaphores(id)?;
            let mut values = vec![0u16; set.count()];
            task.mm().read_slice(UserPtr::new(at), &mut values)?;
            set.set_values(task, &values)?;
            Ok(0)
        }
        _ => err(Errno::EINVAL),
    }
}
