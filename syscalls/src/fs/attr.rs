//! chmod(2), chown(2).

use abi::Errno;
use abi::fcntl::{AT_FDCWD, AtFlags};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserCStr;
use sentry::vfs::{Path, setattr};

use crate::arg::Fd;
use crate::path::{lookup, lookup_at};

/// chmod(2).
pub(crate) fn chmod(task: &mut CurrentTask, path: UserCStr, mode: u32) -> Result<()> {
    fchmodat(task, Fd(AT_FDCWD), path, mode)
}

/// fchmod(2).
pub(crate) fn fchmod(task: &mut CurrentTask, fd: Fd, mode: u32) -> Result<()> {
    let file = task.files().get(fd.0)?;
    setattr::chmod(task.creds(), file.path(), mode)
}

/// fchmodat(2), which has no flags.
pub(crate) fn fchmodat(task: &mut CurrentTask, dir: Fd, path: UserCStr, mode: u32) -> Result<()> {
    let path = lookup(task, dir, path, true)?;
    setattr::chmod(task.creds(), &path, mode)
}

/// fchmodat2(2).
pub(crate) fn fchmodat2(task: &mut CurrentTask, dir: Fd, path: UserCStr, mode: u32, flags: AtFlags) -> Result<()> {
    check_flags(flags)?;
    let path = lookup_at(task, dir, path, flags)?;
    setattr::chmod(task.creds(), &path, mode)
}

/// chown(2).
pub(crate) fn chown(task: &mut CurrentTask, path: UserCStr, uid: u32, gid: u32) -> Result<()> {
    fchownat(task, Fd(AT_FDCWD), path, uid, gid, AtFlags::empty())
}

/// lchown(2): of a symbolic link itself.
pub(crate) fn lchown(task: &mut CurrentTask, path: UserCStr, uid: u32, gid: u32) -> Result<()> {
    fchownat(task, Fd(AT_FDCWD), path, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// fchown(2).
pub(crate) fn fchown(task: &mut CurrentTask, fd: Fd, uid: u32, gid: u32) -> Result<()> {
    let file = task.files().get(fd.0)?;
    change_owner(task, file.path(), uid, gid)
}

/// fchownat(2).
pub(crate) fn fchownat(
    task: &mut CurrentTask,
    dir: Fd,
    path: UserCStr,
    uid: u32,
    gid: u32,
    flags: AtFlags,
) -> Result<()> {
    check_flags(flags)?;
    let path = lookup_at(task, dir, path, flags)?;
    change_owner(task, &path, uid, gid)
}

/// Ids are those of the task's user namespace; -1 leaves them.
fn change_owner(task: &CurrentTask, path: &Path, uid: u32, gid: u32) -> Result<()> {
    let ns = &task.creds().user_ns;
    let uid = if uid == u32::MAX { None } else { Some(ns.uid(uid)?) };
    let gid = if gid == u32::MAX { None } else { Some(ns.gid(gid)?) };
    setattr::chown(task.creds(), path, uid, gid)
}

fn check_flags(flags: AtFlags) -> Result<()> {
    let known = AtFlags::AT_SYMLINK_NOFOLLOW | AtFlags::AT_EMPTY_PATH;
    if known.contains(flags) { Ok(()) } else { err(Errno::EINVAL) }
}
