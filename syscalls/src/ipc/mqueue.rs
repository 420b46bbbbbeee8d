//! mq_open(2), mq_unlink(2), mq_timedsend(2), mq_timedreceive(2), mq_notify(2), mq_getsetattr(2).

use std::time::Instant;

use abi::fcntl::OpenFlags;
use abi::ipc::{MQ_PRIO_MAX, MqAttr};
use abi::limits::PATH_MAX;
use abi::signal::{SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD, Sigevent, Signal};
use abi::time::Timespec;
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::ipc::mqueue::{Cookie, Notice};
use sentry::task::CurrentTask;
use sentry::user::{UserCStr, UserPtr};

use super::space;
use crate::arg::Fd;
use crate::fd;

/// mq_open(2).
pub(crate) fn mq_open(
    task: &mut CurrentTask,
    name: UserCStr,
    flags: OpenFlags,
    mode: u32,
    attr: UserPtr<MqAttr>,
) -> Result<Fd> {
    let attr = match attr.non_null() {
        Some(attr) => Some(task.mm().read(attr)?),
        None => None,
    };
    if flags & OpenFlags::O_ACCMODE == OpenFlags::O_ACCMODE {
        return err(Errno::EINVAL);
    }
    let name = task.mm().read_cstr(name, PATH_MAX)?;
    let file = space(task).mq_open(task, &name, flags, mode, attr)?;
    fd::install(task, file, true)
}

/// mq_unlink(2).
pub(crate) fn mq_unlink(task: &mut CurrentTask, name: UserCStr) -> Result<()> {
    let name = task.mm().read_cstr(name, PATH_MAX)?;
    space(task).mq_unlink(task, &name)
}

/// mq_timedsend(2).
pub(crate) fn mq_timedsend(
    task: &mut CurrentTask,
    queue: Fd,
    at: UserPtr<u8>,
    len: usize,
    priority: u32,
    timeout: UserPtr<Timespec>,
) -> Result<()> {
    let deadline = absolute(task, timeout)?;
    if priority >= MQ_PRIO_MAX {
        return err(Errno::EINVAL);
    }
    let file = task.files().get(queue.0)?;
    task.mq_send(&file, len, priority, deadline, |len| {
        let mut bytes = vec![0; len];
        task.mm().read_bytes(at.addr(), &mut bytes)?;
        Ok(bytes)
    })
}

/// mq_timedreceive(2).
pub(crate) fn mq_timedreceive(
    task: &mut CurrentTask,
    queue: Fd,
    at: UserPtr<u8>,
    room: usize,
    priority: UserPtr<u32>,
    timeout: UserPtr<Timespec>,
) -> Result<usize> {
    let deadline = absolute(task, timeout)?;
    let file = task.files().get(queue.0)?;
    let (own, text) = task.mq_receive(&file, room, deadline)?;
    if let Some(priority) = priority.non_null() {
        task.mm().write(priority, &own)?;
    }
    task.mm().write_bytes(at.addr(), &text)?;
    Ok(text.len())
}

/// mq_notify(2).
pub(crate) fn mq_notify(task: &mut CurrentTask, queue: Fd, event: UserPtr<Sigevent>) -> Result<()> {
    let notice = match event.non_null() {
        None => None,
        Some(event) => {
            let event = task.mm().read(event)?;
            Some(match event.sigev_notify {
                SIGEV_NONE => Notice::Silent,
                SIGEV_SIGNAL => Notice::Signal(Signal::new(event.sigev_signo)?, event.sigev_value),
                SIGEV_THREAD => {
                    let cookie = task.mm().read(UserPtr::new(UserAddr(event.sigev_value)))?;
                    let (_, socket) = crate::net::lookup(task, Fd(event.sigev_signo))?;
                    Notice::Thread(Cookie::new(socket, cookie)?)
                }
                _ => return err(Errno::EINVAL),
            })
        }
    };
    let file = task.files().get(queue.0)?;
    task.mq_notify(&file, notice)
}

/// mq_getsetattr(2).
pub(crate) fn mq_getsetattr(
    task: &mut CurrentTask,
    queue: Fd,
    new: UserPtr<MqAttr>,
    old: UserPtr<MqAttr>,
) -> Result<()> {
    let new = match new.non_null() {
        Some(new) => Some(task.mm().read(new)?),
        None => None,
    };
    let file = task.files().get(queue.0)?;
    let was = task.mq_attr(&file, new)?;
    match old.non_null() {
        Some(old) => task.mm().write(old, &was),
        None => Ok(()),
    }
}

/// When an absolute time of the real-time clock is; `None` for never.
fn absolute(task: &CurrentTask, timeout: UserPtr<Timespec>) -> Result<Option<Instant>> {
    match timeout.non_null() {
        Some(at) => {
            let time = task.mm().read(at)?.validate()?;
            Ok(task.kernel().clocks.at_realtime(time.to_nanos_saturating()))
        }
        None => Ok(None),
    }
}
