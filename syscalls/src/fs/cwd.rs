//! getcwd(2), chdir(2), chroot(2), umask(2).

use abi::capability::Cap;
use abi::fcntl::AT_FDCWD;
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserCStr;
use sentry::vfs::Path;
use sentry::vfs::perm::Want;

use crate::arg::Fd;
use crate::path::lookup;

/// getcwd(2): the path and its NUL; returns the length of both. `(unreachable)` goes before a path that the root directory
/// does not lead to.
pub(crate) fn getcwd(task: &mut CurrentTask, buf: UserAddr, len: usize) -> Result<usize> {
    let (cwd, root) = (task.fs().cwd(), task.fs().root());
    let shown = cwd.text(&root);
    if shown.deleted {
        return err(Errno::ENOENT);
    }
    let mut text = if shown.reachable { Vec::new() } else { b"(unreachable)".to_vec() };
    text.extend_from_slice(&shown.text);
    text.push(0);
    if text.len() > len {
        return err(Errno::ERANGE);
    }
    task.mm().write_bytes(buf, &text)?;
    Ok(text.len())
}

/// chdir(2).
pub(crate) fn chdir(task: &mut CurrentTask, path: UserCStr) -> Result<()> {
    let path = lookup(task, Fd(AT_FDCWD), path, true)?;
    enter(task, path)
}

/// fchdir(2).
pub(crate) fn fchdir(task: &mut CurrentTask, fd: Fd) -> Result<()> {
    let path = task.files().get_raw(fd.0)?.path().clone();
    enter(task, path)
}

fn enter(task: &CurrentTask, path: Path) -> Result<()> {
    check_directory(task, &path)?;
    task.fs().set_cwd(path);
    Ok(())
}

/// chroot(2): needs CAP_SYS_CHROOT.
pub(crate) fn chroot(task: &mut CurrentTask, path: UserCStr) -> Result<()> {
    let path = lookup(task, Fd(AT_FDCWD), path, true)?;
    check_directory(task, &path)?;
    if !task.creds().has(Cap::CAP_SYS_CHROOT) {
        return err(Errno::EPERM);
    }
    task.fs().set_root(path);
    Ok(())
}

fn check_directory(task: &CurrentTask, path: &Path) -> Result<()> {
    if !path.is_dir() {
        return err(Errno::ENOTDIR);
    }
    path.check(task.creds(), Want::EXEC)
}

/// umask(2): returns the old one.
pub(crate) fn umask(task: &mut CurrentTask, mask: u32) -> Result<u32> {
    Ok(task.fs().set_umask(mask))
}
