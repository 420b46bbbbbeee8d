//! mkdir(2), mknod(2), unlink(2), rmdir(2), rename(2).

use abi::Errno;
use abi::fcntl::{AT_FDCWD, AtFlags, RenameFlags};
use abi::stat::{S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFMT, S_IFREG, S_IFSOCK};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserCStr;
use sentry::vfs::{Caller, NewKind, namei};

use crate::arg::{Fd, flag_args};
use crate::path::{read_path, start};

flag_args! { RenameFlags: u32 }

/// mkdir(2).
pub(crate) fn mkdir(task: &mut CurrentTask, path: UserCStr, mode: u32) -> Result<()> {
    mkdirat(task, Fd(AT_FDCWD), path, mode)
}

/// mkdirat(2).
pub(crate) fn mkdirat(task: &mut CurrentTask, dir: Fd, path: UserCStr, mode: u32) -> Result<()> {
    let path = read_path(task, path)?;
    let start = start(task, dir, &path)?;
    namei::mkdir(Caller::of(task), start.as_ref(), &path, mode)?;
    Ok(())
}

/// mknod(2).
pub(crate) fn mknod(task: &mut CurrentTask, path: UserCStr, mode: u32, dev: u32) -> Result<()> {
    mknodat(task, Fd(AT_FDCWD), path, mode, dev)
}

/// mknodat(2): regular files, FIFOs, sockets and device nodes.
pub(crate) fn mknodat(task: &mut CurrentTask, dir: Fd, path: UserCStr, mode: u32, dev: u32) -> Result<()> {
    let kind = match mode & S_IFMT {
        0 | S_IFREG => NewKind::Regular,
        S_IFIFO => NewKind::Fifo,
        S_IFSOCK => NewKind::Socket,
        S_IFCHR => NewKind::CharDevice(dev.into()),
        S_IFBLK => NewKind::BlockDevice(dev.into()),
        S_IFDIR => return err(Errno::EPERM),
        _ => return err(Errno::EINVAL),
    };
    let path = read_path(task, path)?;
    let start = start(task, dir, &path)?;
    namei::mknod(Caller::of(task), start.as_ref(), &path, kind, mode)?;
    Ok(())
}

/// unlink(2).
pub(crate) fn unlink(task: &mut CurrentTask, path: UserCStr) -> Result<()> {
    unlinkat(task, Fd(AT_FDCWD), path, AtFlags::empty())
}

/// rmdir(2).
pub(crate) fn rmdir(task: &mut CurrentTask, path: UserCStr) -> Result<()> {
    unlinkat(task, Fd(AT_FDCWD), path, AtFlags::AT_REMOVEDIR)
}

/// unlinkat(2): removes a name, or with AT_REMOVEDIR an empty directory.
pub(crate) fn unlinkat(task: &mut CurrentTask, dir: Fd, path: UserCStr, flags: AtFlags) -> Result<()> {
    if !AtFlags::AT_REMOVEDIR.contains(flags) {
        return err(Errno::EINVAL);
    }
    let path = read_path(task, path)?;
    let start = start(task, dir, &path)?;
    if flags.contains(AtFlags::AT_REMOVEDIR) {
        namei::rmdir(Caller::of(task), start.as_ref(), &path)
    } else {
        namei::unlink(Caller::of(task), start.as_ref(), &path)
    }
}

/// rename(2).
pub(crate) fn rename(task: &mut CurrentTask, old: UserCStr, new: UserCStr) -> Result<()> {
    renameat2(task, Fd(AT_FDCWD), old, Fd(AT_FDCWD), new, RenameFlags::empty())
}

/// renameat(2).
pub(crate) fn renameat(task: &mut CurrentTask, old_dir: Fd, old: UserCStr, new_dir: Fd, new: UserCStr) -> Result<()> {
    renameat2(task, old_dir, old, new_dir, new, RenameFlags::empty())
}

/// renameat2(2): with RENAME_NOREPLACE, RENAME_EXCHANGE. RENAME_WHITEOUT is EINVAL, as on file systems without it.
pub(crate) fn renameat2(
    task: &mut CurrentTask,
    old_dir: Fd,
    old: UserCStr,
    new_dir: Fd,
    new: UserCStr,
    flags: RenameFlags,
) -> Result<()> {
    let (old, new) = (read_path(task, old)?, read_path(task, new)?);
    let (old_start, new_start) = (start(task, old_dir, &old)?, start(task, new_dir, &new)?);
    namei::rename(Caller::of(task), (old_start.as_ref(), &old), (new_start.as_ref(), &new), flags)
}
