//! setns(2).

use abi::Errno;
use abi::sched::CloneFlags;
use sentry::error::{Result, err};
use sentry::fs::nsfs::NsFile;
use sentry::task::CurrentTask;
use sentry::task::pidfd::PidFd;

use crate::arg::Fd;

/// The namespaces that a pidfd can be asked for.
const ALL: CloneFlags = CloneFlags::CLONE_NEWNS
    .union(CloneFlags::CLONE_NEWUTS)
    .union(CloneFlags::CLONE_NEWIPC)
    .union(CloneFlags::CLONE_NEWNET)
    .union(CloneFlags::CLONE_NEWUSER)
    .union(CloneFlags::CLONE_NEWPID)
    .union(CloneFlags::CLONE_NEWCGROUP)
    .union(CloneFlags::CLONE_NEWTIME);

/// setns(2).
pub(crate) fn setns(task: &mut CurrentTask, fd: Fd, kind: i32) -> Result<()> {
    let kinds = CloneFlags::from_bits_retain(u64::from(kind.cast_unsigned()));
    let file = task.files().get(fd.0)?;
    if let Some(file) = file.ops_as::<NsFile>() {
        return task.enter_namespace(file.namespace(), kinds);
    }
    let pid = PidFd::pid_of(&file).map_err(|_| Errno::EINVAL)?;
    if kinds.is_empty() || !ALL.contains(kinds) {
        return err(Errno::EINVAL);
    }
    let other = pid.task().ok_or(Errno::ESRCH)?;
    task.enter_namespaces_of(&other, kinds)
}
