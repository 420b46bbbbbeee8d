//! epoll_create(2), epoll_ctl(2), epoll_wait(2).

use std::time::Instant;

use abi::Errno;
use abi::epoll::{EP_MAX_EVENTS, EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EpollEvent, EpollEvents};
use abi::fcntl::OpenFlags;
use abi::signal::SigSet;
use abi::time::Timespec;
use sentry::error::{Error, Restart, Result, err};
use sentry::fs::epoll::Epoll;
use sentry::task::CurrentTask;
use sentry::user::UserPtr;
use sentry::vfs::{File, anon};

use super::mask::with_mask;
use crate::arg::Fd;
use crate::deadline;
use crate::fd::install;

/// epoll_create(2): the size is only checked for being positive.
pub(crate) fn epoll_create(task: &mut CurrentTask, size: i32) -> Result<Fd> {
    if size <= 0 { err(Errno::EINVAL) } else { epoll_create1(task, 0) }
}

/// epoll_create1(2).
pub(crate) fn epoll_create1(task: &mut CurrentTask, flags: u32) -> Result<Fd> {
    if flags & !EPOLL_CLOEXEC != 0 {
        return err(Errno::EINVAL);
    }
    let file = File::new(Epoll::new(), anon::inode_path("anon_inode:[eventpoll]"), OpenFlags::O_RDWR);
    install(task, file, flags & EPOLL_CLOEXEC != 0)
}

/// epoll_ctl(2).
pub(crate) fn epoll_ctl(task: &mut CurrentTask, epfd: Fd, op: u32, fd: Fd, event: UserPtr<EpollEvent>) -> Result<()> {
    let event = if op == EPOLL_CTL_DEL { EpollEvent::default() } else { task.mm().read(event)? };
    let instance = task.files().get(epfd.0)?;
    let target = task.files().get(fd.0)?;
    if target.ops().wait_queue().is_none() {
        return err(Errno::EPERM);
    }
    let Some(epoll) = instance.ops_as::<Epoll>() else { return err(Errno::EINVAL) };
    if std::sync::Arc::ptr_eq(&instance, &target) {
        return err(Errno::EINVAL);
    }
    let (events, data) = (event.events, event.data);
    if events & EpollEvents::EPOLLEXCLUSIVE.bits() != 0 && events & !EpollEvents::EXCLUSIVE_OK_BITS.bits() != 0 {
        return err(Errno::EINVAL);
    }
    match op {
        EPOLL_CTL_ADD => epoll.add(fd.0, &target, events, data),
        EPOLL_CTL_MOD => epoll.modify(fd.0, &target, events, data),
        EPOLL_CTL_DEL => epoll.remove(fd.0, &target),
        _ => err(Errno::EINVAL),
    }
}

/// epoll_wait(2).
pub(crate) fn epoll_wait(
    task: &mut CurrentTask,
    epfd: Fd,
    events: UserPtr<EpollEvent>,
    max: i32,
    timeout: i32,
) -> Result<usize> {
    wait(task, epfd, events, max, deadline::milliseconds(timeout))
}

/// epoll_pwait(2): with a signal mask for the time of the wait.
pub(crate) fn epoll_pwait(
    task: &mut CurrentTask,
    epfd: Fd,
    events: UserPtr<EpollEvent>,
    max: i32,
    timeout: i32,
    mask: UserPtr<SigSet>,
    size: usize,
) -> Result<usize> {
    let deadline = deadline::milliseconds(timeout);
    with_mask(task, mask, size, |task| wait(task, epfd, events, max, deadline))
}

/// epoll_pwait2(2): with nanoseconds.
pub(crate) fn epoll_pwait2(
    task: &mut CurrentTask,
    epfd: Fd,
    events: UserPtr<EpollEvent>,
    max: i32,
    timeout: UserPtr<Timespec>,
    mask: UserPtr<SigSet>,
) -> Result<usize> {
    let deadline = deadline::relative(task, timeout)?;
    with_mask(task, mask, size_of::<SigSet>(), |task| wait(task, epfd, events, max, deadline))
}

fn wait(
    task: &mut CurrentTask,
    epfd: Fd,
    events: UserPtr<EpollEvent>,
    max: i32,
    deadline: Option<Instant>,
) -> Result<usize> {
    if max <= 0 || max > EP_MAX_EVENTS {
        return err(Errno::EINVAL);
    }
    let file = task.files().get(epfd.0)?;
    let Some(epoll) = file.ops_as::<Epoll>() else { return err(Errno::EINVAL) };
    let max = usize::try_from(max).map_err(|_| Errno::EINVAL)?;
    let ready = match epoll.wait(task, max, deadline) {
        // epoll_wait is never made again after a handler, whatever SA_RESTART says (signal(7)).
        Err(e) if e.code() == Error::from(Restart::Sys).code() => return Err(Restart::NoHand.into()),
        other => other?,
    };
    for (i, found) in ready.iter().enumerate() {
        task.mm().write(events.at(i)?, &EpollEvent { events: found.events, data: found.data })?;
    }
    Ok(ready.len())
}
