//! msgget(2), msgsnd(2), msgrcv(2), msgctl(2).

use abi::ipc::{IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, MSG_INFO, MSG_STAT, MSG_STAT_ANY, MsqidDs};
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::ipc::msg::{Message, Wanted};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use super::{command, space};

/// msgget(2).
pub(crate) fn msgget(task: &mut CurrentTask, key: i32, flags: u32) -> Result<i32> {
    space(task).msgget(task, key, flags)
}

/// msgsnd(2).
pub(crate) fn msgsnd(task: &mut CurrentTask, id: i32, at: UserPtr<i64>, len: u64, flags: u32) -> Result<()> {
    let space = space(task);
    let kind = task.mm().read(at)?;
    if len > space.settings.msgmax.get() || id < 0 || kind < 1 {
        return err(Errno::EINVAL);
    }
    let mut text = vec![0; usize::try_from(len).map_err(|_| Errno::EINVAL)?];
    task.mm().read_bytes(at.at(1)?.addr(), &mut text)?;
    space.message_queue(id)?.send(task, Message { kind, text }, flags)
}

/// msgrcv(2).
pub(crate) fn msgrcv(
    task: &mut CurrentTask,
    id: i32,
    at: UserPtr<i64>,
    room: u64,
    kind: i64,
    flags: u32,
) -> Result<usize> {
    if id < 0 || i64::try_from(room).is_err() {
        return err(Errno::EINVAL);
    }
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    let message = space(task).message_queue(id)?.receive(task, Wanted { kind, flags, room })?;
    task.mm().write(at, &message.kind)?;
    task.mm().write_bytes(at.at(1)?.addr(), &message.text)?;
    Ok(message.text.len())
}

/// msgctl(2).
pub(crate) fn msgctl(task: &mut CurrentTask, id: i32, raw: u32, at: UserAddr) -> Result<i32> {
    let space = space(task);
    let cmd = command(raw);
    if id < 0 {
        return err(Errno::EINVAL);
    }
    match cmd {
        IPC_INFO | MSG_INFO => {
            let (info, highest) = space.message_info(cmd == MSG_INFO);
            task.mm().write(UserPtr::new(at), &info)?;
            Ok(highest)
        }
        IPC_STAT | MSG_STAT | MSG_STAT_ANY => {
            let queue = if cmd == IPC_STAT { space.message_queue(id)? } else { space.message_queue_at(id)? };
            task.mm().write(UserPtr::new(at), &queue.stat(task, cmd == MSG_STAT_ANY)?)?;
            Ok(if cmd == IPC_STAT { 0 } else { queue.id() })
        }
        IPC_SET => {
            let new: MsqidDs = task.mm().read(UserPtr::new(at))?;
            space.message_queue(id)?.set(task, &new, space.settings.msgmnb.get())?;
            Ok(0)
        }
        IPC_RMID => space.remove_message_queue(task, id).map(|()| 0),
        _ => err(Errno::EINVAL),
    }
}
