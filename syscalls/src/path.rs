//! Paths and the directories they begin at, as calls name them.

use abi::Errno;
use abi::fcntl::{AT_FDCWD, AtFlags};
use abi::limits::PATH_MAX;
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserCStr;
use sentry::vfs::walk::{WalkFlags, resolve};
use sentry::vfs::{Caller, Path};

use crate::arg::{Fd, flag_args};

flag_args! { AtFlags: u32 }

/// The text of a path; ENOENT if it is empty.
pub(crate) fn read_path(task: &CurrentTask, path: UserCStr) -> Result<Vec<u8>> {
    let path = task.mm().read_cstr(path, PATH_MAX)?;
    if path.is_empty() { err(Errno::ENOENT) } else { Ok(path) }
}

/// Where a walk of `path` begins: `None` is the root or the working directory, whichever the path says.
pub(crate) fn start(task: &CurrentTask, dir: Fd, path: &[u8]) -> Result<Option<Path>> {
    if path.first() == Some(&b'/') { Ok(None) } else { start_always(task, dir) }
}

/// As [`start`], for walks that begin at the directory even if the path is absolute.
pub(crate) fn start_always(task: &CurrentTask, dir: Fd) -> Result<Option<Path>> {
    if dir.0 == AT_FDCWD {
        return Ok(None);
    }
    let file = task.files().get_raw(dir.0)?;
    if file.path().is_dir() { Ok(Some(file.path().clone())) } else { err(Errno::ENOTDIR) }
}

/// What a path names.
pub(crate) fn lookup(task: &CurrentTask, dir: Fd, path: UserCStr, follow: bool) -> Result<Path> {
    let path = read_path(task, path)?;
    let start = start(task, dir, &path)?;
    let flags = if follow { WalkFlags::FOLLOW } else { WalkFlags::empty() };
    resolve(Caller::of(task), start.as_ref(), &path, flags)
}

/// What a path names, or the descriptor itself: an empty path (or none) with AT_EMPTY_PATH. Follows links unless
/// AT_SYMLINK_NOFOLLOW.
pub(crate) fn lookup_at(task: &CurrentTask, dir: Fd, path: UserCStr, flags: AtFlags) -> Result<Path> {
    if flags.contains(AtFlags::AT_EMPTY_PATH) {
        let empty = path.0.is_null() || task.mm().read_cstr(path, PATH_MAX)?.is_empty();
        if empty {
            return descriptor(task, dir);
        }
    }
    lookup(task, dir, path, !flags.contains(AtFlags::AT_SYMLINK_NOFOLLOW))
}

/// The place of a descriptor, or the working directory.
pub(crate) fn descriptor(task: &CurrentTask, fd: Fd) -> Result<Path> {
    if fd.0 == AT_FDCWD { Ok(task.fs().cwd()) } else { Ok(task.files().get_raw(fd.0)?.path().clone()) }
}
