//! close(2), dup(2), close_range(2).

use std::sync::Arc;

use abi::Errno;
use abi::fcntl::{CloseRangeFlags, OpenFlags};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::vfs::FdTable;

use crate::arg::{Fd, flag_args};
use crate::fd::install;

flag_args! { CloseRangeFlags: u32 }

/// close(2).
pub(crate) fn close(task: &mut CurrentTask, fd: Fd) -> Result<()> {
    let table = task.files();
    table.remove(fd.0)?.close(table)
}

/// dup(2): the lowest free number.
pub(crate) fn dup(task: &mut CurrentTask, fd: Fd) -> Result<Fd> {
    let file = task.files().get_raw(fd.0)?;
    install(task, file, false)
}

/// dup2(2): a given number; what was open there is closed.
pub(crate) fn dup2(task: &mut CurrentTask, fd: Fd, new: Fd) -> Result<Fd> {
    if fd == new {
        task.files().get_raw(fd.0)?;
        return Ok(new);
    }
    replace(task, fd, new, false)
}

/// dup3(2): the same with O_CLOEXEC; the numbers must differ.
pub(crate) fn dup3(task: &mut CurrentTask, fd: Fd, new: Fd, flags: OpenFlags) -> Result<Fd> {
    if !OpenFlags::O_CLOEXEC.contains(flags) || fd == new {
        return err(Errno::EINVAL);
    }
    replace(task, fd, new, flags.contains(OpenFlags::O_CLOEXEC))
}

fn replace(task: &CurrentTask, fd: Fd, new: Fd, close_on_exec: bool) -> Result<Fd> {
    let table = task.files();
    // A new number beyond the limit is told first.
    if u64::try_from(new.0).map_or(true, |new| new >= task.nofile_limit()) {
        return err(Errno::EBADF);
    }
    let file = table.get_raw(fd.0)?;
    if let Some(old) = table.replace(new.0, file, close_on_exec, task.nofile_limit())? {
        // Its errors are nobody's any more.
        let _ = old.close(table);
    }
    Ok(new)
}

/// close_range(2): all descriptors from `first` to `last`.
pub(crate) fn close_range(task: &mut CurrentTask, first: u32, last: u32, flags: CloseRangeFlags) -> Result<()> {
    if !CloseRangeFlags::all().contains(flags) || first > last {
        return err(Errno::EINVAL);
    }
    let cloexec = flags.contains(CloseRangeFlags::CLOSE_RANGE_CLOEXEC);
    if flags.contains(CloseRangeFlags::CLOSE_RANGE_UNSHARE) {
        let copy = if cloexec { task.files().copy() } else { task.files().copy_without(first, last) };
        task.set_files(copy);
    }
    let table: Arc<FdTable> = Arc::clone(task.files());
    if cloexec {
        table.set_close_on_exec_range(first, last);
        return Ok(());
    }
    for file in table.remove_range(first, last) {
        let _ = file.close(&table);
    }
    Ok(())
}
