//! kill(2) and its kin.

use std::sync::Arc;

use abi::Errno;
use abi::siginfo::SigInfo;
use sentry::error::{Result, err};
use sentry::fs::proc;
use sentry::task::CurrentTask;
use sentry::task::pidfd::PidFd;
use sentry::user::UserPtr;

use crate::arg::Fd;

/// kill(2).
pub(crate) fn kill(task: &mut CurrentTask, pid: i32, signo: i32) -> Result<()> {
    task.kill(pid, signo)
}

/// tkill(2).
pub(crate) fn tkill(task: &mut CurrentTask, tid: i32, signo: i32) -> Result<()> {
    task.tgkill(None, tid, signo)
}

/// tgkill(2).
pub(crate) fn tgkill(task: &mut CurrentTask, tgid: i32, tid: i32, signo: i32) -> Result<()> {
    task.tgkill(Some(tgid), tid, signo)
}

/// rt_sigqueueinfo(2).
pub(crate) fn rt_sigqueueinfo(task: &mut CurrentTask, pid: i32, signo: i32, info: UserPtr<SigInfo>) -> Result<()> {
    let info = task.mm().read(info)?;
    task.sigqueue(pid, signo, info)
}

/// rt_tgsigqueueinfo(2).
pub(crate) fn rt_tgsigqueueinfo(
    task: &mut CurrentTask,
    tgid: i32,
    tid: i32,
    signo: i32,
    info: UserPtr<SigInfo>,
) -> Result<()> {
    let info = task.mm().read(info)?;
    task.tgsigqueue(tgid, tid, signo, info)
}

const PIDFD_SIGNAL_THREAD: u32 = 1;
const PIDFD_SIGNAL_THREAD_GROUP: u32 = 2;
const PIDFD_SIGNAL_PROCESS_GROUP: u32 = 4;

/// pidfd_send_signal(2).
pub(crate) fn pidfd_send_signal(
    task: &mut CurrentTask,
    pidfd: Fd,
    signo: i32,
    info: UserPtr<SigInfo>,
    flags: u32,
) -> Result<()> {
    if !matches!(flags, 0 | PIDFD_SIGNAL_THREAD | PIDFD_SIGNAL_THREAD_GROUP | PIDFD_SIGNAL_PROCESS_GROUP) {
        return err(Errno::EINVAL);
    }
    let file = task.files().get(pidfd.0)?;
    // A directory of procfs names its process too, as it did before there were pidfds.
    let pid = match proc::process_of(&**file.inode()) {
        Some(group) => Arc::clone(group.pid()),
        None => PidFd::pid_of(&file)?,
    };
    if !pid.ns().is_within(task.pid_ns()) {
        return err(Errno::EINVAL);
    }
    let info = info.non_null().map(|info| task.mm().read(info)).transpose()?;
    match flags {
        PIDFD_SIGNAL_PROCESS_GROUP => {
            let group = pid.process_group().ok_or(Errno::ESRCH)?;
            task.pidfd_signal_group(&group, signo)
        }
        0 if !PidFd::is_thread(&file) => task.pidfd_signal(&pid.group().ok_or(Errno::ESRCH)?, signo, info),
        0 | PIDFD_SIGNAL_THREAD => task.pidfd_signal_thread(&pid.task().ok_or(Errno::ESRCH)?, signo, info),
        _ => {
            let target = pid.task().ok_or(Errno::ESRCH)?;
            task.pidfd_signal(&Arc::clone(target.group()), signo, info)
        }
    }
}
