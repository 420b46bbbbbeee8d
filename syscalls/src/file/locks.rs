//! flock(2), and the record locks of fcntl(2).

use std::sync::Arc;

use abi::Errno;
use abi::fcntl::{F_RDLCK, F_UNLCK, F_WRLCK, Flock, FlockOp, SEEK_CUR, SEEK_END, SEEK_SET};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;
use sentry::vfs::File;
use sentry::vfs::locks::{self, FlockKind, LockKind, LockRange, Owner};

use crate::arg::{Fd, flag_args};

flag_args! { FlockOp: u32 }

/// flock(2): a lock on a whole file, owned by the open file description.
pub(crate) fn flock(task: &mut CurrentTask, fd: Fd, op: FlockOp) -> Result<()> {
    let wait = !op.contains(FlockOp::LOCK_NB);
    let kind = match op - FlockOp::LOCK_NB {
        FlockOp::LOCK_SH => Some(FlockKind::Shared),
        FlockOp::LOCK_EX => Some(FlockKind::Exclusive),
        FlockOp::LOCK_UN => None,
        _ => return err(Errno::EINVAL),
    };
    let file = task.files().get(fd.0)?;
    locks::flock(task, &file, kind, wait)
}

/// F_SETLK and F_SETLKW (`wait`), and with `ofd` their OFD twins.
pub(super) fn set(
    task: &CurrentTask,
    fd: Fd,
    file: &Arc<File>,
    lock: UserPtr<Flock>,
    ofd: bool,
    wait: bool,
) -> Result<()> {
    let lock = task.mm().read(lock)?;
    let range = range(file, &lock)?;
    let kind = kind(lock.l_type)?;
    if ofd && lock.l_pid != 0 {
        return err(Errno::EINVAL);
    }
    match kind {
        Some(LockKind::Read) if !file.flags().readable() => return err(Errno::EBADF),
        Some(LockKind::Write) if !file.flags().writable() => return err(Errno::EBADF),
        _ => {}
    }
    let owner = owner(task, file, ofd);
    locks::set_record(task, file, owner, kind, range, wait)?;
    // Another thread may have closed the descriptor while we took the lock: then it must not stay.
    if !ofd && kind.is_some() && !task.files().get(fd.0).is_ok_and(|now| Arc::ptr_eq(&now, file)) {
        locks::set_record(task, file, owner, None, LockRange::ALL, false)?;
        return err(Errno::EBADF);
    }
    Ok(())
}

/// F_GETLK, F_OFD_GETLK.
pub(super) fn get(task: &CurrentTask, file: &Arc<File>, at: UserPtr<Flock>, ofd: bool) -> Result<()> {
    let mut lock = task.mm().read(at)?;
    let Some(kind) = kind(lock.l_type)? else { return err(Errno::EINVAL) };
    if ofd && lock.l_pid != 0 {
        return err(Errno::EINVAL);
    }
    let range = range(file, &lock)?;
    match locks::find_conflict(file, owner(task, file, ofd), kind, range) {
        None => lock.l_type = F_UNLCK,
        Some(found) => {
            let start = i64::try_from(found.range.start).unwrap_or(i64::MAX);
            lock.l_type = if found.kind == LockKind::Read { F_RDLCK } else { F_WRLCK };
            lock.l_whence = 0;
            lock.l_start = start;
            lock.l_len = if found.range.end >= LockRange::ALL.end {
                0
            } else {
                i64::try_from(found.range.end - found.range.start + 1).unwrap_or(0)
            };
            lock.l_pid = if matches!(found.owner, Owner::File(_)) { -1 } else { found.pid };
        }
    }
    task.mm().write(at, &lock)
}

fn owner(task: &CurrentTask, file: &Arc<File>, ofd: bool) -> Owner {
    if ofd { Owner::File(Arc::as_ptr(file).addr()) } else { Owner::Table(task.files().id()) }
}

fn kind(l_type: i16) -> Result<Option<LockKind>> {
    Ok(match l_type {
        F_RDLCK => Some(LockKind::Read),
        F_WRLCK => Some(LockKind::Write),
        F_UNLCK => None,
        _ => return err(Errno::EINVAL),
    })
}

/// The bytes that a `struct flock` means. EINVAL before the beginning of the file, EOVERFLOW beyond all files.
fn range(file: &File, lock: &Flock) -> Result<LockRange> {
    let from = match u32::try_from(lock.l_whence).map_err(|_| Errno::EINVAL)? {
        SEEK_SET => 0,
        SEEK_CUR => file.pos(),
        SEEK_END => file.attr()?.size,
        _ => return err(Errno::EINVAL),
    };
    let from = i64::try_from(from).map_err(|_| Errno::EOVERFLOW)?;
    let start = from.checked_add(lock.l_start).ok_or(Errno::EOVERFLOW)?;
    if start < 0 {
        return err(Errno::EINVAL);
    }
    let (start, end) = match lock.l_len {
        0 => (start, i64::MAX),
        len @ 1.. => (start, start.checked_add(len - 1).ok_or(Errno::EOVERFLOW)?),
        len => (start.checked_add(len).filter(|s| *s >= 0).ok_or(Errno::EINVAL)?, start - 1),
    };
    let number = |value: i64| u64::try_from(value).map_err(|_| Errno::EINVAL);
    Ok(LockRange { start: number(start)?, end: number(end)? })
}
