//! truncate(2), fallocate(2), and advice about files.

use abi::fcntl::{AT_FDCWD, FallocateMode, SyncFileRangeFlags};
use abi::stat::FileType;
use abi::{Errno, fcntl};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserCStr;
use sentry::vfs::file::check_file_size;
use sentry::vfs::{anon, leases, notify, setattr};

use crate::arg::{Fd, flag_args};
use crate::path::lookup;

flag_args! {
    FallocateMode: u32,
    SyncFileRangeFlags: u32,
}

/// truncate(2).
pub(crate) fn truncate(task: &mut CurrentTask, path: UserCStr, len: i64) -> Result<()> {
    let len = u64::try_from(len).map_err(|_| Errno::EINVAL)?;
    let path = lookup(task, Fd(AT_FDCWD), path, true)?;
    if path.kind() == FileType::Regular && len > path.attr()?.size {
        check_file_size(task, len)?;
    }
    leases::break_for(task, &path, true, true)?;
    setattr::truncate(task.creds(), &path, len)
}

/// ftruncate(2).
pub(crate) fn ftruncate(task: &mut CurrentTask, fd: Fd, len: i64) -> Result<()> {
    let len = u64::try_from(len).map_err(|_| Errno::EINVAL)?;
    let file = task.files().get(fd.0)?;
    if file.kind() != FileType::Regular || !file.flags().writable() {
        return err(Errno::EINVAL);
    }
    if len > file.attr()?.size {
        check_file_size(task, len)?;
    }
    file.check_truncation()?;
    setattr::truncate_unchecked(task.creds(), file.path(), len)
}

/// fallocate(2): room for data, or holes.
pub(crate) fn fallocate(task: &mut CurrentTask, fd: Fd, mode: FallocateMode, offset: i64, len: i64) -> Result<()> {
    let (Ok(offset), Ok(len @ 1..)) = (u64::try_from(offset), u64::try_from(len)) else { return err(Errno::EINVAL) };
    let file = task.files().get(fd.0)?;
    if !FallocateMode::all().contains(mode) {
        return err(Errno::EOPNOTSUPP);
    }
    let exclusive = FallocateMode::FALLOC_FL_PUNCH_HOLE
        | FallocateMode::FALLOC_FL_COLLAPSE_RANGE
        | FallocateMode::FALLOC_FL_ZERO_RANGE
        | FallocateMode::FALLOC_FL_INSERT_RANGE;
    let kinds = (mode & exclusive).bits().count_ones();
    let keep = mode.contains(FallocateMode::FALLOC_FL_KEEP_SIZE);
    if kinds > 1
        || (mode.contains(FallocateMode::FALLOC_FL_PUNCH_HOLE) && !keep)
        || (keep && mode.intersects(FallocateMode::FALLOC_FL_COLLAPSE_RANGE | FallocateMode::FALLOC_FL_INSERT_RANGE))
    {
        return err(if kinds > 1 { Errno::EINVAL } else { Errno::EOPNOTSUPP });
    }
    if !file.flags().writable() {
        return err(Errno::EBADF);
    }
    match file.kind() {
        FileType::Regular | FileType::BlockDevice => {}
        FileType::Fifo => return err(Errno::ESPIPE),
        FileType::Directory => return err(Errno::EISDIR),
        _ => return err(Errno::ENODEV),
    }
    let end = offset.checked_add(len).filter(|end| i64::try_from(*end).is_ok()).ok_or(Errno::EFBIG)?;
    if !keep && end > file.attr()?.size {
        check_file_size(task, end)?;
    }
    setattr::remove_privileges(task.creds(), file.path())?;
    file.ops().allocate(&file, mode.bits(), offset, len)?;
    notify::file_event(&file, notify::Event::MODIFY);
    Ok(())
}

/// posix_fadvise(2): there is nothing that advice would make quicker.
pub(crate) fn fadvise64(task: &mut CurrentTask, fd: Fd, _offset: i64, len: i64, advice: u32) -> Result<()> {
    let file = task.files().get(fd.0)?;
    if file.kind() == FileType::Fifo {
        return err(Errno::ESPIPE);
    }
    if len < 0 || fcntl::fadvise_name(advice).is_none() {
        return err(Errno::EINVAL);
    }
    Ok(())
}

/// readahead(2): the same.
pub(crate) fn readahead(task: &mut CurrentTask, fd: Fd, _offset: i64, _count: usize) -> Result<()> {
    let file = task.files().get(fd.0)?;
    if !file.flags().readable() {
        return err(Errno::EBADF);
    }
    if file.kind() == FileType::Regular && !anon::is_inode(&file) { Ok(()) } else { err(Errno::EINVAL) }
}

/// sync_file_range(2): as fdatasync(2) of the whole file.
pub(crate) fn sync_file_range(
    task: &mut CurrentTask,
    fd: Fd,
    offset: i64,
    len: i64,
    flags: SyncFileRangeFlags,
) -> Result<()> {
    let file = task.files().get(fd.0)?;
    if !SyncFileRangeFlags::all().contains(flags) || offset < 0 || len < 0 || offset.checked_add(len).is_none() {
        return err(Errno::EINVAL);
    }
    match file.kind() {
        FileType::Regular | FileType::BlockDevice | FileType::Directory | FileType::Symlink => {}
        _ => return err(Errno::ESPIPE),
    }
    if flags.is_empty() { Ok(()) } else { file.ops().sync(&file, true) }
}
