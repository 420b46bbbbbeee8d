//! fcntl(2).

use std::sync::Arc;

use abi::fcntl as cmd;
use abi::fcntl::{DnotifyFlags, F_OWNER_PGRP, F_OWNER_PID, F_OWNER_TID, FD_CLOEXEC, FOwnerEx, OpenFlags, Seals};
use abi::signal::Signal;
use abi::{Errno, UserAddr};
use sentry::error::{Result, SysResult, err};
use sentry::fs::memfd;
use sentry::fs::pipe::PipeEnd;
use sentry::net::Kind;
use sentry::task::CurrentTask;
use sentry::user::UserPtr;
use sentry::vfs::file::{FileOwner, Target};
use sentry::vfs::{File, leases};

use super::locks;
use crate::arg::{Fd, low};
use crate::net::of;

/// fcntl(2).
pub(crate) fn fcntl(task: &mut CurrentTask, fd: Fd, command: u32, arg: u64) -> SysResult {
    let file = task.files().get_raw(fd.0)?;
    if file.is_path() && !works_on_path(command) {
        return err(Errno::EBADF);
    }
    match command {
        cmd::F_DUPFD => duplicate(task, file, arg, false),
        cmd::F_DUPFD_CLOEXEC => duplicate(task, file, arg, true),
        cmd::F_DUPFD_QUERY => {
            let other = task.files().get_raw(low(arg).cast_signed())?;
            Ok(u64::from(Arc::ptr_eq(&file, &other)))
        }
        cmd::F_GETFD => Ok(if task.files().close_on_exec(fd.0)? { FD_CLOEXEC.into() } else { 0 }),
        cmd::F_SETFD => {
            task.files().set_close_on_exec(fd.0, low(arg) & FD_CLOEXEC != 0)?;
            Ok(0)
        }
        cmd::F_GETFL => Ok(file.flags().bits().into()),
        cmd::F_SETFL => set_flags(task, fd, &file, OpenFlags::from_bits_retain(low(arg))),
        cmd::F_GETLK => locks::get(task, &file, pointer(arg), false).map(|()| 0),
        cmd::F_SETLK => locks::set(task, fd, &file, pointer(arg), false, false).map(|()| 0),
        cmd::F_SETLKW => locks::set(task, fd, &file, pointer(arg), false, true).map(|()| 0),
        cmd::F_OFD_GETLK => locks::get(task, &file, pointer(arg), true).map(|()| 0),
        cmd::F_OFD_SETLK => locks::set(task, fd, &file, pointer(arg), true, false).map(|()| 0),
        cmd::F_OFD_SETLKW => locks::set(task, fd, &file, pointer(arg), true, true).map(|()| 0),
        cmd::F_SETOWN | cmd::F_GETOWN | cmd::F_SETOWN_EX | cmd::F_GETOWN_EX | cmd::F_GETOWNER_UIDS => {
            owner(task, &file, command, arg)
        }
        cmd::F_SETSIG => set_signal(&file, low(arg).cast_signed()),
        cmd::F_GETSIG => Ok(file.owner().signal.unsigned_abs().into()),
        cmd::F_NOTIFY => {
            file.notify_of(task, fd.0, DnotifyFlags::from_bits_retain(low(arg)))?;
            Ok(0)
        }
        cmd::F_SETLEASE => match i16::try_from(arg) {
            Ok(kind @ (cmd::F_UNLCK | cmd::F_RDLCK | cmd::F_WRLCK)) => leases::set(task, fd.0, &file, kind).map(|()| 0),
            _ => err(Errno::EINVAL),
        },
        cmd::F_GETLEASE => Ok(u64::from(leases::get(&file).unsigned_abs())),
        cmd::F_CREATED_QUERY => Ok(u64::from(file.has_created())),
        cmd::F_GETPIPE_SZ => length(pipe(&file)?.pipe().capacity()),
        cmd::F_SETPIPE_SZ => {
            let privileged = task.creds().has_in_root(abi::capability::Cap::CAP_SYS_RESOURCE);
            let size = usize::try_from(low(arg)).map_err(|_| Errno::EINVAL)?;
            length(pipe(&file)?.pipe().set_capacity(size, privileged)?)
        }
        cmd::F_ADD_SEALS => {
            memfd::add_seals(&file, Seals::from_bits_retain(u32::try_from(arg).map_err(|_| Errno::EINVAL)?))?;
            Ok(0)
        }
        cmd::F_GET_SEALS => Ok(memfd::seals(&file)?.bits().into()),
        cmd::F_GET_RW_HINT | cmd::F_GET_FILE_RW_HINT => {
            task.mm().write(UserPtr::<u64>::new(UserAddr(arg)), &cmd::RWH_WRITE_LIFE_NOT_SET)?;
            Ok(0)
        }
        cmd::F_SET_RW_HINT | cmd::F_SET_FILE_RW_HINT => {
            let hint = task.mm().read(UserPtr::<u64>::new(UserAddr(arg)))?;
            if hint <= cmd::RWH_WRITE_LIFE_EXTREME { Ok(0) } else { err(Errno::EINVAL) }
        }
        _ => err(Errno::EINVAL),
    }
}

/// What an O_PATH descriptor can do.
fn works_on_path(command: u32) -> bool {
    matches!(
        command,
        cmd::F_DUPFD | cmd::F_DUPFD_CLOEXEC | cmd::F_DUPFD_QUERY | cmd::F_GETFD | cmd::F_SETFD | cmd::F_GETFL
    )
}

fn duplicate(task: &CurrentTask, file: Arc<File>, from: u64, close_on_exec: bool) -> SysResult {
    let (from, limit) = (low(from), task.nofile_limit());
    if u64::from(from) >= limit {
        return err(Errno::EINVAL);
    }
    let fd = task.files().add_from(from, file, close_on_exec, limit)?;
    Ok(u64::from(fd.unsigned_abs()))
}

fn set_flags(task: &CurrentTask, fd: Fd, file: &Arc<File>, flags: OpenFlags) -> SysResult {
    let now = file.flags();
    if flags.contains(OpenFlags::O_NOATIME)
        && !now.contains(OpenFlags::O_NOATIME)
        && !file.inode().access()?.owned(task.creds())
    {
        return err(Errno::EPERM);
    }
    file.signal_as(fd.0);
    file.change_flags(OpenFlags::SETFL, flags)?;
    Ok(0)
}

fn pipe(file: &File) -> Result<&PipeEnd> {
    file.ops_as::<PipeEnd>().ok_or_else(|| Errno::EBADF.into())
}

fn set_signal(file: &File, signal: i32) -> SysResult {
    if signal != 0 {
        Signal::new(signal)?;
    }
    file.set_owner(|owner| owner.signal = signal);
    Ok(0)
}

/// Whom the file signals: F_SETOWN, F_GETOWN and their extended forms.
fn owner(task: &CurrentTask, file: &Arc<File>, command: u32, arg: u64) -> SysResult {
    match command {
        cmd::F_SETOWN => {
            let id = low(arg).cast_signed();
            let kind = if id < 0 { F_OWNER_PGRP } else { F_OWNER_PID };
            set_owner(task, file, kind, id.checked_abs().ok_or(Errno::EINVAL)?)
        }
        cmd::F_SETOWN_EX => {
            let FOwnerEx { type_, pid } = task.mm().read(pointer(arg))?;
            set_owner(task, file, type_, pid)
        }
        cmd::F_GETOWN => {
            let (kind, id) = shown(task, &file.owner());
            let id = if kind == F_OWNER_PGRP { -id } else { id };
            Ok(i64::from(id).cast_unsigned())
        }
        cmd::F_GETOWN_EX => {
            let (type_, pid) = shown(task, &file.owner());
            task.mm().write(pointer(arg), &FOwnerEx { type_, pid })?;
            Ok(0)
        }
        _ => {
            let FileOwner { uid, euid, .. } = file.owner();
            let ns = &task.creds().user_ns;
            task.mm().write(pointer(arg), &[ns.show_uid(uid), ns.show_uid(euid)])?;
            Ok(0)
        }
    }
}

/// As FIOSETOWN and F_SETOWN_EX do; 0 is nobody.
pub(super) fn set_owner(task: &CurrentTask, file: &Arc<File>, kind: i32, id: i32) -> SysResult {
    if !matches!(kind, F_OWNER_TID | F_OWNER_PID | F_OWNER_PGRP) {
        return err(Errno::EINVAL);
    }
    let target = if id == 0 {
        Target::None
    } else {
        let pid = task.pid_ns().pid(id).ok_or(Errno::ESRCH)?;
        match kind {
            F_OWNER_TID => Target::Thread(pid),
            F_OWNER_PID => Target::Process(pid),
            _ => Target::Group(pid),
        }
    };
    let (uid, euid) = (task.creds().uid, task.creds().euid);
    file.set_owner(|owner| *owner = FileOwner { target, uid, euid, signal: owner.signal });
    // Urgent data is told of without O_ASYNC.
    if of(file).is_ok_and(|socket| socket.kind() == Kind::Stream) {
        file.signal_urgent();
    }
    Ok(0)
}

/// Kind and number of an owner, as the task sees it.
pub(super) fn shown(task: &CurrentTask, owner: &FileOwner) -> (i32, i32) {
    match &owner.target {
        Target::None => (F_OWNER_TID, 0),
        Target::Thread(pid) => (F_OWNER_TID, pid.number_in(task.pid_ns())),
        Target::Process(pid) => (F_OWNER_PID, pid.number_in(task.pid_ns())),
        Target::Group(pid) => (F_OWNER_PGRP, pid.number_in(task.pid_ns())),
    }
}

fn pointer<T>(arg: u64) -> UserPtr<T> {
    UserPtr::new(UserAddr(arg))
}

fn length(len: usize) -> SysResult {
    u64::try_from(len).map_err(|_| Errno::EOVERFLOW.into())
}
