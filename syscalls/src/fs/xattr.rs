//! Extended attributes: getxattr(2), setxattr(2), listxattr(2), removexattr(2), by path, link, descriptor and directory.

use abi::fcntl::{AT_FDCWD, AtFlags};
use abi::xattr::{XATTR_NAME_MAX, XATTR_SIZE_MAX, XattrArgs, XattrFlags};
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::{UserCStr, UserPtr};
use sentry::vfs::{Path, XattrMode, xattr};

use crate::arg::{Fd, flag_args};
use crate::path::{lookup, lookup_at};

flag_args! { XattrFlags: u32 }

/// A value in application memory.
#[derive(Clone, Copy)]
struct Value {
    addr: UserAddr,
    len: usize,
}

/// setxattr(2).
pub(crate) fn setxattr(
    task: &mut CurrentTask,
    path: UserCStr,
    name: UserCStr,
    addr: UserAddr,
    len: usize,
    flags: XattrFlags,
) -> Result<()> {
    let path = lookup(task, Fd(AT_FDCWD), path, true)?;
    set(task, &path, name, Value { addr, len }, flags)
}

/// lsetxattr(2): of a symbolic link itself.
pub(crate) fn lsetxattr(
    task: &mut CurrentTask,
    path: UserCStr,
    name: UserCStr,
    addr: UserAddr,
    len: usize,
    flags: XattrFlags,
) -> Result<()> {
    let path = lookup(task, Fd(AT_FDCWD), path, false)?;
    set(task, &path, name, Value { addr, len }, flags)
}

/// fsetxattr(2).
pub(crate) fn fsetxattr(
    task: &mut CurrentTask,
    fd: Fd,
    name: UserCStr,
    addr: UserAddr,
    len: usize,
    flags: XattrFlags,
) -> Result<()> {
    let file = task.files().get(fd.0)?;
    set(task, file.path(), name, Value { addr, len }, flags)
}

/// setxattrat(2).
pub(crate) fn setxattrat(
    task: &mut CurrentTask,
    dir: Fd,
    path: UserCStr,
    flags: AtFlags,
    name: UserCStr,
    args: UserPtr<XattrArgs>,
    size: usize,
) -> Result<()> {
    let path = lookup_checked(task, dir, path, flags)?;
    let args = read_args(task, args, size)?;
    let len = usize::try_from(args.size).map_err(|_| Errno::E2BIG)?;
    let value = Value { addr: UserAddr(args.value), len };
    set(task, &path, name, value, XattrFlags::from_bits_retain(args.flags))
}

/// getxattr(2).
pub(crate) fn getxattr(
    task: &mut CurrentTask,
    path: UserCStr,
    name: UserCStr,
    addr: UserAddr,
    len: usize,
) -> Result<usize> {
    let path = lookup(task, Fd(AT_FDCWD), path, true)?;
    get(task, &path, name, Value { addr, len })
}

/// lgetxattr(2): of a symbolic link itself.
pub(crate) fn lgetxattr(
    task: &mut CurrentTask,
    path: UserCStr,
    name: UserCStr,
    addr: UserAddr,
    len: usize,
) -> Result<usize> {
    let path = lookup(task, Fd(AT_FDCWD), path, false)?;
    get(task, &path, name, Value { addr, len })
}

/// fgetxattr(2).
pub(crate) fn fgetxattr(task: &mut CurrentTask, fd: Fd, name: UserCStr, addr: UserAddr, len: usize) -> Result<usize> {
    let file = task.files().get(fd.0)?;
    get(task, file.path(), name, Value { addr, len })
}

/// getxattrat(2).
pub(crate) fn getxattrat(
    task: &mut CurrentTask,
    dir: Fd,
    path: UserCStr,
    flags: AtFlags,
    name: UserCStr,
    args: UserPtr<XattrArgs>,
    size: usize,
) -> Result<usize> {
    let path = lookup_checked(task, dir, path, flags)?;
    let args = read_args(task, args, size)?;
    if args.flags != 0 {
        return err(Errno::EINVAL);
    }
    let len = usize::try_from(args.size).map_err(|_| Errno::E2BIG)?;
    get(task, &path, name, Value { addr: UserAddr(args.value), len })
}

/// listxattr(2).
pub(crate) fn listxattr(task: &mut CurrentTask, path: UserCStr, addr: UserAddr, len: usize) -> Result<usize> {
    let path = lookup(task, Fd(AT_FDCWD), path, true)?;
    list(task, &path, Value { addr, len })
}

/// llistxattr(2): of a symbolic link itself.
pub(crate) fn llistxattr(task: &mut CurrentTask, path: UserCStr, addr: UserAddr, len: usize) -> Result<usize> {
    let path = lookup(task, Fd(AT_FDCWD), path, false)?;
    list(task, &path, Value { addr, len })
}

/// flistxattr(2).
pub(crate) fn flistxattr(task: &mut CurrentTask, fd: Fd, addr: UserAddr, len: usize) -> Result<usize> {
    let file = task.files().get(fd.0)?;
    list(task, file.path(), Value { addr, len })
}

/// listxattrat(2).
pub(crate) fn listxattrat(
    task: &mut CurrentTask,
    dir: Fd,
    path: UserCStr,
    flags: AtFlags,
    addr: UserAddr,
    len: usize,
) -> Result<usize> {
    let path = lookup_checked(task, dir, path, flags)?;
    list(task, &path, Value { addr, len })
}

/// removexattr(2).
pub(crate) fn removexattr(task: &mut CurrentTask, path: UserCStr, name: UserCStr) -> Result<()> {
    let path = lookup(task, Fd(AT_FDCWD), path, true)?;
    remove(task, &path, name)
}

/// lremovexattr(2): of a symbolic link itself.
pub(crate) fn lremovexattr(task: &mut CurrentTask, path: UserCStr, name: UserCStr) -> Result<()> {
    let path = lookup(task, Fd(AT_FDCWD), path, false)?;
    remove(task, &path, name)
}

/// fremovexattr(2).
pub(crate) fn fremovexattr(task: &mut CurrentTask, fd: Fd, name: UserCStr) -> Result<()> {
    let file = task.files().get(fd.0)?;
    remove(task, file.path(), name)
}

/// removexattrat(2).
pub(crate) fn removexattrat(
    task: &mut CurrentTask,
    dir: Fd,
    path: UserCStr,
    flags: AtFlags,
    name: UserCStr,
) -> Result<()> {
    let path = lookup_checked(task, dir, path, flags)?;
    remove(task, &path, name)
}

fn set(task: &CurrentTask, path: &Path, name: UserCStr, value: Value, flags: XattrFlags) -> Result<()> {
    let mode = match flags {
        f if f.is_empty() => XattrMode::Any,
        XattrFlags::XATTR_CREATE => XattrMode::Create,
        XattrFlags::XATTR_REPLACE => XattrMode::Replace,
        _ => return err(Errno::EINVAL),
    };
    let name = read_name(task, name)?;
    if value.len > XATTR_SIZE_MAX {
        return err(Errno::E2BIG);
    }
    let mut bytes = vec![0; value.len];
    task.mm().read_bytes(value.addr, &mut bytes)?;
    xattr::set(task.creds(), path, &name, &bytes, mode)
}

fn get(task: &CurrentTask, path: &Path, name: UserCStr, out: Value) -> Result<usize> {
    let name = read_name(task, name)?;
    write_out(task, &xattr::get(task.creds(), path, &name)?, out)
}

fn list(task: &CurrentTask, path: &Path, out: Value) -> Result<usize> {
    write_out(task, &xattr::list(task.creds(), path)?, out)
}

fn remove(task: &CurrentTask, path: &Path, name: UserCStr) -> Result<()> {
    let name = read_name(task, name)?;
    xattr::remove(task.creds(), path, &name)
}

/// The whole answer, ERANGE if it does not fit; with room for nothing only its length.
fn write_out(task: &CurrentTask, bytes: &[u8], out: Value) -> Result<usize> {
    if out.len > 0 {
        if bytes.len() > out.len {
            return err(Errno::ERANGE);
        }
        task.mm().write_bytes(out.addr, bytes)?;
    }
    Ok(bytes.len())
}

/// A name: ERANGE if it is empty or too long.
fn read_name(task: &CurrentTask, name: UserCStr) -> Result<Vec<u8>> {
    match task.mm().read_cstr(name, XATTR_NAME_MAX + 1) {
        Ok(name) if name.is_empty() => err(Errno::ERANGE),
        Err(e) if e.is(Errno::ENAMETOOLONG) => err(Errno::ERANGE),
        other => other,
    }
}

fn lookup_checked(task: &CurrentTask, dir: Fd, path: UserCStr, flags: AtFlags) -> Result<Path> {
    if !(AtFlags::AT_SYMLINK_NOFOLLOW | AtFlags::AT_EMPTY_PATH).contains(flags) {
        return err(Errno::EINVAL);
    }
    lookup_at(task, dir, path, flags)
}

fn read_args(task: &CurrentTask, args: UserPtr<XattrArgs>, size: usize) -> Result<XattrArgs> {
    match size.cmp(&size_of::<XattrArgs>()) {
        std::cmp::Ordering::Less => err(Errno::EINVAL),
        std::cmp::Ordering::Equal => task.mm().read(args),
        std::cmp::Ordering::Greater => err(Errno::E2BIG),
    }
}
