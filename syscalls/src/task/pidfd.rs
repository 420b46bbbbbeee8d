//! pidfd_open(2), pidfd_getfd(2).

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::resource::Resource;
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::task::pidfd::PidFd;

use crate::arg::Fd;

/// PIDFD_THREAD has the value of O_EXCL, PIDFD_NONBLOCK that of O_NONBLOCK.
const PIDFD_THREAD: OpenFlags = OpenFlags::O_EXCL;

/// pidfd_open(2).
pub(crate) fn pidfd_open(task: &mut CurrentTask, pid: i32, flags: OpenFlags) -> Result<Fd> {
    if !(OpenFlags::O_NONBLOCK | PIDFD_THREAD).contains(flags) || pid <= 0 {
        return err(Errno::EINVAL);
    }
    let thread = flags.contains(PIDFD_THREAD);
    let pid = task.pid_ns().pid(pid).filter(|pid| pid.task().is_some()).ok_or(Errno::ESRCH)?;
    if !thread && pid.group().is_none() {
        // A thread that does not lead its process.
        return err(Errno::ENOENT);
    }
    let file = PidFd::open(pid, thread, flags & OpenFlags::O_NONBLOCK);
    let limit = task.group().limits().soft(Resource::RLIMIT_NOFILE);
    task.files().add(file, true, limit).map(Fd)
}

/// pidfd_getfd(2).
pub(crate) fn pidfd_getfd(task: &mut CurrentTask, pidfd: Fd, target: i32, flags: u32) -> Result<Fd> {
    if flags != 0 {
        return err(Errno::EINVAL);
    }
    let pid = PidFd::pid_of(&*task.files().get(pidfd.0)?)?;
    let other = pid.task().ok_or(Errno::ESRCH)?;
    if !task.may_attach(&other) {
        return err(Errno::EPERM);
    }
    let file = other.files().ok_or(Errno::ESRCH)?.get_raw(target)?;
    let limit = task.group().limits().soft(Resource::RLIMIT_NOFILE);
    task.files().add(file, true, limit).map(Fd)
}
