//! execve(2), execveat(2).

use abi::Errno;
use abi::fcntl::{AT_FDCWD, AtFlags};
use abi::limits::PATH_MAX;
use abi::resource::Resource;
use sentry::error::{Result, err};
use sentry::loader::{ArgLimits, Strings};
use sentry::task::CurrentTask;
use sentry::task::exec::{ExecRequest, Place};
use sentry::user::{UserCStr, UserPtr};
use sentry::vfs::walk::WalkFlags;

use crate::arg::Fd;

/// execve(2).
pub(crate) fn execve(task: &mut CurrentTask, path: UserCStr, argv: UserPtr<u64>, envp: UserPtr<u64>) -> Result<()> {
    execveat(task, Fd(AT_FDCWD), path, argv, envp, 0)
}

/// execveat(2).
pub(crate) fn execveat(
    task: &mut CurrentTask,
    dir: Fd,
    path: UserCStr,
    argv: UserPtr<u64>,
    envp: UserPtr<u64>,
    flags: u32,
) -> Result<()> {
    let flags = AtFlags::from_bits_retain(flags);
    if !(AtFlags::AT_EMPTY_PATH | AtFlags::AT_SYMLINK_NOFOLLOW).contains(flags) {
        return err(Errno::EINVAL);
    }
    let path = task.mm().read_cstr(path, PATH_MAX)?;
    let limits = ArgLimits::new(task.group().limits().soft(Resource::RLIMIT_STACK));
    let argv = Strings::read(task.mm(), argv, limits)?;
    let envp = Strings::read(task.mm(), envp, limits)?;
    let (name, place) = place(task, dir, path, flags)?;
    task.execve(ExecRequest { name, place, argv, envp })
}

/// Where the program is, and under which name it will know itself.
fn place(task: &CurrentTask, dir: Fd, path: Vec<u8>, flags: AtFlags) -> Result<(Vec<u8>, Place)> {
    let walk = if flags.contains(AtFlags::AT_SYMLINK_NOFOLLOW) { WalkFlags::empty() } else { WalkFlags::FOLLOW };
    if path.starts_with(b"/") || dir.0 == AT_FDCWD && !path.is_empty() {
        return Ok((path.clone(), Place::Path(None, path, walk)));
    }
    if path.is_empty() && !flags.contains(AtFlags::AT_EMPTY_PATH) {
        return err(Errno::ENOENT);
    }
    if dir.0 == AT_FDCWD {
        // The working directory itself, which is no program.
        return err(Errno::EACCES);
    }
    let (file, closing) = task.files().get_with_flags(dir.0)?;
    let mut name = format!("/dev/fd/{}", dir.0).into_bytes();
    if path.is_empty() {
        return Ok((name, Place::File(file.path().clone(), closing)));
    }
    name.push(b'/');
    name.extend_from_slice(&path);
    Ok((name, Place::Path(Some(file.path().clone()), path, walk)))
}
