//! stat(2), lstat(2), fstat(2), newfstatat(2).

use abi::Errno;
use abi::fcntl::{AT_FDCWD, AtFlags};
use abi::stat::Stat;
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::{UserCStr, UserPtr};

use super::convert;
use crate::arg::Fd;
use crate::path::{lookup, lookup_at};

/// stat(2).
pub(crate) fn stat(task: &mut CurrentTask, path: UserCStr, buf: UserPtr<Stat>) -> Result<()> {
    let attr = lookup(task, Fd(AT_FDCWD), path, true)?.attr()?;
    task.mm().write(buf, &convert::stat(task, &attr))
}

/// lstat(2): of a symbolic link itself.
pub(crate) fn lstat(task: &mut CurrentTask, path: UserCStr, buf: UserPtr<Stat>) -> Result<()> {
    let attr = lookup(task, Fd(AT_FDCWD), path, false)?.attr()?;
    task.mm().write(buf, &convert::stat(task, &attr))
}

/// fstat(2).
pub(crate) fn fstat(task: &mut CurrentTask, fd: Fd, buf: UserPtr<Stat>) -> Result<()> {
    let attr = task.files().get_raw(fd.0)?.attr()?;
    task.mm().write(buf, &convert::stat(task, &attr))
}

/// fstatat(2).
pub(crate) fn newfstatat(
    task: &mut CurrentTask,
    dir: Fd,
    path: UserCStr,
    buf: UserPtr<Stat>,
    flags: AtFlags,
) -> Result<()> {
    let known =
        AtFlags::AT_SYMLINK_NOFOLLOW | AtFlags::AT_NO_AUTOMOUNT | AtFlags::AT_EMPTY_PATH | AtFlags::AT_STATX_SYNC_TYPE;
    if !known.contains(flags) {
        return err(Errno::EINVAL);
    }
    let attr = lookup_at(task, dir, path, flags)?.attr()?;
    task.mm().write(buf, &convert::stat(task, &attr))
}
