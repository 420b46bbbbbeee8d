//! getdents(2), getdents64(2).

use abi::dirent::DirentFormat;
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;

use crate::arg::Fd;

/// The most bytes of entries that one call gives.
const MAX_BYTES: usize = 1 << 16;

/// getdents(2): entries of a directory in the old format.
pub(crate) fn getdents(task: &mut CurrentTask, fd: Fd, buf: UserAddr, len: u32) -> Result<usize> {
    read(task, fd, buf, len, DirentFormat::Old)
}

/// getdents64(2): entries of a directory.
pub(crate) fn getdents64(task: &mut CurrentTask, fd: Fd, buf: UserAddr, len: u32) -> Result<usize> {
    read(task, fd, buf, len, DirentFormat::New)
}

fn read(task: &CurrentTask, fd: Fd, buf: UserAddr, len: u32, format: DirentFormat) -> Result<usize> {
    let file = task.files().get(fd.0)?;
    let room = usize::try_from(len).map_err(|_| Errno::EINVAL)?.min(MAX_BYTES);
    let bytes = std::cell::RefCell::new(Vec::with_capacity(room.min(4096)));
    let mut too_small = false;
    file.read_dir(
        &mut |entry| {
            let mut bytes = bytes.borrow_mut();
            let empty = bytes.is_empty();
            let taken = format.emit(&mut bytes, room, entry.ino, entry.next.cast_signed(), entry.kind, entry.name);
            too_small = empty && !taken;
            taken
        },
        || {
            let bytes = bytes.borrow();
            task.mm().write_bytes(buf, &bytes)
        },
    )?;
    if too_small { err(Errno::EINVAL) } else { Ok(bytes.into_inner().len()) }
}
