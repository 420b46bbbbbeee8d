//! link(2), symlink(2), readlink(2).

use abi::capability::Cap;
use abi::fcntl::{AT_FDCWD, AtFlags};
use abi::stat::FileType;
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserCStr;
use sentry::vfs::{Caller, namei};

use crate::arg::Fd;
use crate::path::{lookup_at, read_path, start};

/// link(2).
pub(crate) fn link(task: &mut CurrentTask, old: UserCStr, new: UserCStr) -> Result<()> {
    linkat(task, Fd(AT_FDCWD), old, Fd(AT_FDCWD), new, AtFlags::empty())
}

/// linkat(2): links are followed only with AT_SYMLINK_FOLLOW; a descriptor itself is linked with AT_EMPTY_PATH.
pub(crate) fn linkat(
    task: &mut CurrentTask,
    old_dir: Fd,
    old: UserCStr,
    new_dir: Fd,
    new: UserCStr,
    flags: AtFlags,
) -> Result<()> {
    if !(AtFlags::AT_SYMLINK_FOLLOW | AtFlags::AT_EMPTY_PATH).contains(flags) {
        return err(Errno::EINVAL);
    }
    if flags.contains(AtFlags::AT_EMPTY_PATH) && !task.creds().has_in_root(Cap::CAP_DAC_READ_SEARCH) {
        return err(Errno::ENOENT);
    }
    let mut how = flags & AtFlags::AT_EMPTY_PATH;
    how.set(AtFlags::AT_SYMLINK_NOFOLLOW, !flags.contains(AtFlags::AT_SYMLINK_FOLLOW));
    let target = lookup_at(task, old_dir, old, how)?;
    let path = read_path(task, new)?;
    let start = start(task, new_dir, &path)?;
    namei::link(Caller::of(task), &target, start.as_ref(), &path)
}

/// symlink(2).
pub(crate) fn symlink(task: &mut CurrentTask, target: UserCStr, path: UserCStr) -> Result<()> {
    symlinkat(task, target, Fd(AT_FDCWD), path)
}

/// symlinkat(2).
pub(crate) fn symlinkat(task: &mut CurrentTask, target: UserCStr, dir: Fd, path: UserCStr) -> Result<()> {
    let target = read_path(task, target)?;
    let path = read_path(task, path)?;
    let start = start(task, dir, &path)?;
    namei::symlink(Caller::of(task), &target, start.as_ref(), &path)?;
    Ok(())
}

/// readlink(2).
pub(crate) fn readlink(task: &mut CurrentTask, path: UserCStr, buf: UserAddr, len: i32) -> Result<usize> {
    readlinkat(task, Fd(AT_FDCWD), path, buf, len)
}

/// readlinkat(2): the target, cut off at `len` bytes, without a NUL. An empty path is the descriptor itself.
pub(crate) fn readlinkat(task: &mut CurrentTask, dir: Fd, path: UserCStr, buf: UserAddr, len: i32) -> Result<usize> {
    let len = usize::try_from(len).ok().filter(|len| *len > 0).ok_or(Errno::EINVAL)?;
    let empty = task.mm().read_cstr(path, abi::limits::PATH_MAX)?.is_empty();
    let link = lookup_at(task, dir, path, AtFlags::AT_EMPTY_PATH | AtFlags::AT_SYMLINK_NOFOLLOW)?;
    if link.kind() != FileType::Symlink {
        return err(if empty { Errno::ENOENT } else { Errno::EINVAL });
    }
    let target = link.inode().readlink_for(task)?;
    let shown = target.get(..len).unwrap_or(&target);
    task.mm().write_bytes(buf, shown)?;
    Ok(shown.len())
}
