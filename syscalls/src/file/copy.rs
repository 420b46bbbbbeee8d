//! sendfile(2), copy_file_range(2): from one file to another through a buffer of ours.

use std::sync::Arc;

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::stat::FileType;
use sentry::error::{Result, err};
use sentry::io::{IoDst, IoSrc, MAX_RW_COUNT};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;
use sentry::vfs::File;
use sentry::vfs::file::IoFlags;

use crate::arg::Fd;

/// How much is copied at a time.
const BUFFER: usize = 128 << 10;

/// sendfile(2): from a file that can be mapped (or read at an offset) to any other.
pub(crate) fn sendfile(task: &mut CurrentTask, to: Fd, from: Fd, offset: UserPtr<u64>, count: usize) -> Result<usize> {
    let input = task.files().get(from.0)?;
    if !input.flags().readable() {
        return err(Errno::EBADF);
    }
    let mut at = explicit(task, &input, offset)?;
    let output = task.files().get(to.0)?;
    if !output.flags().writable() {
        return err(Errno::EBADF);
    }
    if output.flags().contains(OpenFlags::O_APPEND) || !input.ops().seekable() || input.kind() == FileType::Directory {
        return err(Errno::EINVAL);
    }
    let moved = transfer(task, &input, at.as_mut(), &output, None, count.min(MAX_RW_COUNT));
    if let (Some(ptr), Some(at)) = (offset.non_null(), at) {
        task.mm().write(ptr, &at)?;
    }
    moved
}

/// copy_file_range(2): between regular files.
pub(crate) fn copy_file_range(
    task: &mut CurrentTask,
    from: Fd,
    from_offset: UserPtr<u64>,
    to: Fd,
    to_offset: UserPtr<u64>,
    len: usize,
    flags: u32,
) -> Result<usize> {
    let (input, output) = (task.files().get(from.0)?, task.files().get(to.0)?);
    let mut at = explicit(task, &input, from_offset)?;
    let mut to_at = explicit(task, &output, to_offset)?;
    if flags != 0 {
        return err(Errno::EINVAL);
    }
    if input.kind() == FileType::Directory || output.kind() == FileType::Directory {
        return err(Errno::EISDIR);
    }
    if input.kind() != FileType::Regular || output.kind() != FileType::Regular {
        return err(Errno::EINVAL);
    }
    if !input.flags().readable() || !output.flags().writable() || output.flags().contains(OpenFlags::O_APPEND) {
        return err(Errno::EBADF);
    }
    let len = len.min(MAX_RW_COUNT);
    let (start, to_start) = (at.unwrap_or_else(|| input.pos()), to_at.unwrap_or_else(|| output.pos()));
    let length = u64::try_from(len).map_err(|_| Errno::EINVAL)?;
    if i64::try_from(start).is_err() || start.checked_add(length).is_none() || to_start.checked_add(length).is_none() {
        return err(Errno::EOVERFLOW);
    }
    // The part of the file that is there; ranges of one file must not overlap.
    let length = length.min(input.attr()?.size.saturating_sub(start));
    if Arc::ptr_eq(input.inode(), output.inode()) && start < to_start + length && to_start < start + length {
        return err(Errno::EINVAL);
    }
    let moved = transfer(task, &input, at.as_mut(), &output, to_at.as_mut(), usize::try_from(length).unwrap_or(len));
    for (ptr, at) in [(from_offset, at), (to_offset, to_at)] {
        if let (Some(ptr), Some(at)) = (ptr.non_null(), at) {
            task.mm().write(ptr, &at)?;
        }
    }
    moved
}

/// An offset that the caller keeps; `None` if the file's position is to be used. ESPIPE for files without positions.
fn explicit(task: &CurrentTask, file: &File, offset: UserPtr<u64>) -> Result<Option<u64>> {
    let Some(ptr) = offset.non_null() else { return Ok(None) };
    if !file.ops().seekable() {
        return err(Errno::ESPIPE);
    }
    let at = task.mm().read(ptr)?;
    if i64::try_from(at).is_err() { err(Errno::EINVAL) } else { Ok(Some(at)) }
}

/// Copies up to `count` bytes, as far as both sides go; an error after some is forgotten. What could not be written counts
/// as not read.
fn transfer(
    task: &CurrentTask,
    input: &File,
    mut from: Option<&mut u64>,
    output: &File,
    mut to: Option<&mut u64>,
    count: usize,
) -> Result<usize> {
    let mut buffer = vec![0; count.min(BUFFER)];
    let mut total = 0;
    while total < count {
        let piece = buffer.len().min(count - total);
        let start = from.as_deref().copied().unwrap_or_else(|| input.pos());
        let step = input
            .read_with(task, Some(start), IoFlags::empty(), &mut IoDst::kernel(&mut buffer[..piece]))
            .and_then(|n| {
                let mut src = IoSrc::kernel(&buffer[..n]);
                if n == 0 { Ok(0) } else { output.write_with(task, to.as_deref().copied(), IoFlags::empty(), &mut src) }
            });
        let n = match step {
            Ok(n) => n,
            Err(_) if total > 0 => break,
            Err(e) => return Err(e),
        };
        if n == 0 {
            break;
        }
        total += n;
        let advance = u64::try_from(n).map_err(|_| Errno::EOVERFLOW)?;
        match &mut from {
            Some(at) => **at += advance,
            None => input.with_pos(|pos| {
                *pos = start + advance;
                Ok(())
            })?,
        }
        if let Some(at) = &mut to {
            **at += advance;
        }
    }
    Ok(total)
}
