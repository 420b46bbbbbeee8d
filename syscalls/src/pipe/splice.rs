//! splice(2), tee(2), vmsplice(2).

use std::sync::Arc;

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::poll::{POLLIN, POLLOUT};
use abi::splice::SpliceFlags;
use abi::stat::FileType;
use sentry::error::{Result, err};
use sentry::fs::pipe::{PipeEnd, splice as engine};
use sentry::io::{IoDst, IoSrc, MAX_RW_COUNT};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;
use sentry::vfs::{File, anon};

use crate::arg::{Fd, flag_args};
use crate::file::iovec;

flag_args! { SpliceFlags: u32 }

/// splice(2): moves bytes between a pipe and another file.
pub(crate) fn splice(
    task: &mut CurrentTask,
    from: Fd,
    from_offset: UserPtr<u64>,
    to: Fd,
    to_offset: UserPtr<u64>,
    len: usize,
    flags: SpliceFlags,
) -> Result<usize> {
    if !SpliceFlags::all().contains(flags) {
        return err(Errno::EINVAL);
    }
    if len == 0 {
        return Ok(0);
    }
    let (input, output) = (task.files().get(from.0)?, task.files().get(to.0)?);
    if !input.flags().readable() || !output.flags().writable() {
        return err(Errno::EBADF);
    }
    // Before any waiting: a pipe may be empty for ever.
    if anon::is_inode(&input) || anon::is_inode(&output) || input.kind() == FileType::Directory {
        return err(Errno::EINVAL);
    }
    let len = len.min(MAX_RW_COUNT);
    let nonblocking = flags.contains(SpliceFlags::SPLICE_F_NONBLOCK);
    match (input.ops_as::<PipeEnd>(), output.ops_as::<PipeEnd>()) {
        (Some(source), Some(sink)) => {
            if !from_offset.is_null() || !to_offset.is_null() {
                return err(Errno::ESPIPE);
            }
            let wait = !nonblocking && !input.nonblocking() && !output.nonblocking();
            between(task, (&input, source), (&output, sink), len, false, wait)
        }
        (Some(source), None) => {
            if !from_offset.is_null() {
                return err(Errno::ESPIPE);
            }
            if output.flags().contains(OpenFlags::O_APPEND) {
                return err(Errno::EINVAL);
            }
            pipe_to_file(task, (&input, source), &output, to_offset, len, nonblocking)
        }
        (None, Some(sink)) => {
            if !to_offset.is_null() {
                return err(Errno::ESPIPE);
            }
            file_to_pipe(task, &input, from_offset, (&output, sink), len, nonblocking)
        }
        (None, None) => err(Errno::EINVAL),
    }
}

/// tee(2): copies bytes from one pipe to another without taking them.
pub(crate) fn tee(task: &mut CurrentTask, from: Fd, to: Fd, len: usize, flags: SpliceFlags) -> Result<usize> {
    if !SpliceFlags::all().contains(flags) {
        return err(Errno::EINVAL);
    }
    if len == 0 {
        return Ok(0);
    }
    let (input, output) = (task.files().get(from.0)?, task.files().get(to.0)?);
    if !input.flags().readable() || !output.flags().writable() {
        return err(Errno::EBADF);
    }
    let (Some(source), Some(sink)) = (input.ops_as::<PipeEnd>(), output.ops_as::<PipeEnd>()) else {
        return err(Errno::EINVAL);
    };
    let wait = !flags.contains(SpliceFlags::SPLICE_F_NONBLOCK) && !input.nonblocking() && !output.nonblocking();
    between(task, (&input, source), (&output, sink), len, true, wait)
}

/// vmsplice(2): application memory into a pipe, or a pipe into application memory. Pages are copied, never gifted.
pub(crate) fn vmsplice(
    task: &mut CurrentTask,
    fd: Fd,
    iov: UserPtr<abi::uio::Iovec>,
    count: usize,
    flags: SpliceFlags,
) -> Result<usize> {
    if !SpliceFlags::all().contains(flags) {
        return err(Errno::EINVAL);
    }
    let file = task.files().get(fd.0)?;
    let Some(end) = file.ops_as::<PipeEnd>() else { return err(Errno::EBADF) };
    let slices = iovec::read(task, iov, count)?;
    let nonblocking = flags.contains(SpliceFlags::SPLICE_F_NONBLOCK) || file.nonblocking();
    let wait = |attempt: &mut dyn FnMut() -> Result<usize>, mask| wait_for(task, &file, mask, !nonblocking, attempt);
    if file.flags().writable() {
        let mut src = IoSrc::user(task.mm(), &slices);
        if src.remaining() == 0 {
            return Ok(0);
        }
        let pushed = wait(&mut || engine::into_pipe(end, src.remaining(), &mut |dst| dst.fill_from(&mut src)), POLLOUT);
        return epipe(task, pushed);
    }
    let mut dst = IoDst::user(task.mm(), &slices);
    if dst.remaining() == 0 {
        return Ok(0);
    }
    wait(&mut || engine::from_pipe(end, dst.remaining(), &mut |src| dst.fill_from(src)), POLLIN)
}

fn pipe_to_file(
    task: &CurrentTask,
    (input, source): (&Arc<File>, &PipeEnd),
    output: &Arc<File>,
    offset: UserPtr<u64>,
    len: usize,
    nonblocking: bool,
) -> Result<usize> {
    let mut explicit = explicit_offset(task, output, offset)?;
    let wait = !nonblocking && !input.nonblocking();
    let moved = wait_for(task, input, POLLIN, wait, &mut || {
        output.with_offset(explicit.as_mut(), |pos| {
            engine::from_pipe(source, len, &mut |src| {
                let n = output.ops().write(output, task, pos, src)?;
                *pos += n as u64;
                Ok(n)
            })
        })
    })?;
    store_offset(task, offset, explicit)?;
    Ok(moved)
}

fn file_to_pipe(
    task: &CurrentTask,
    input: &Arc<File>,
    offset: UserPtr<u64>,
    (output, sink): (&Arc<File>, &PipeEnd),
    len: usize,
    nonblocking: bool,
) -> Result<usize> {
    let mut explicit = explicit_offset(task, input, offset)?;
    let mut attempt = || {
        input.with_offset(explicit.as_mut(), |pos| {
            engine::into_pipe(sink, len, &mut |dst| {
                let n = input.ops().read(input, task, *pos, dst)?;
                *pos += n as u64;
                Ok(n)
            })
        })
    };
    // What is missing may be room in the pipe or data in the file.
    let moved = loop {
        let wait_output = !nonblocking && !output.nonblocking() && sink.pipe().is_full();
        let file = if wait_output { output } else { input };
        let mask = if wait_output { POLLOUT } else { POLLIN };
        let may_wait = wait_output || (!nonblocking && !input.nonblocking() && !sink.pipe().is_full());
        match wait_once(task, file, mask, may_wait, &mut attempt) {
            Err(e) if e.is(Errno::EAGAIN) && may_wait => {}
            other => break epipe(task, other)?,
        }
    };
    store_offset(task, offset, explicit)?;
    Ok(moved)
}

fn between(
    task: &CurrentTask,
    (input, source): (&Arc<File>, &PipeEnd),
    (output, sink): (&Arc<File>, &PipeEnd),
    len: usize,
    keep: bool,
    wait: bool,
) -> Result<usize> {
    let mut attempt = || engine::between(source, sink, len, keep);
    loop {
        let full = sink.pipe().is_full();
        let (file, mask) = if full { (output, POLLOUT) } else { (input, POLLIN) };
        match wait_once(task, file, mask, wait, &mut attempt) {
            Err(e) if e.is(Errno::EAGAIN) && wait => {}
            other => return epipe(task, other),
        }
    }
}

/// Tries until it does not fail with EAGAIN, or once if it may not wait.
fn wait_for(
    task: &CurrentTask,
    file: &File,
    mask: u32,
    wait: bool,
    attempt: &mut dyn FnMut() -> Result<usize>,
) -> Result<usize> {
    match file.ops().wait_queue() {
        Some(queue) if wait => task.wait_on(queue, mask, None, attempt),
        _ => attempt(),
    }
}

/// Tries, waits for one event of `file`, and tries again; EAGAIN if that was not enough.
fn wait_once(
    task: &CurrentTask,
    file: &File,
    mask: u32,
    wait: bool,
    attempt: &mut dyn FnMut() -> Result<usize>,
) -> Result<usize> {
    let Some(queue) = file.ops().wait_queue().filter(|_| wait) else { return attempt() };
    let mut tries = 0;
    task.wait_on(queue, mask, None, || {
        tries += 1;
        match attempt() {
            // The third look comes after an event: let the caller choose again what to wait for.
            Err(e) if e.is(Errno::EAGAIN) && tries > 2 => Ok(None),
            other => other.map(Some),
        }
    })?
    .ok_or_else(|| Errno::EAGAIN.into())
}

fn epipe(task: &CurrentTask, result: Result<usize>) -> Result<usize> {
    if matches!(&result, Err(e) if e.is(Errno::EPIPE)) {
        task.raise_sigpipe();
    }
    result
}

fn explicit_offset(task: &CurrentTask, file: &File, offset: UserPtr<u64>) -> Result<Option<u64>> {
    let Some(ptr) = offset.non_null() else { return Ok(None) };
    if !file.ops().seekable() {
        return err(Errno::ESPIPE);
    }
    let at = task.mm().read(ptr)?;
    if i64::try_from(at).is_err() { err(Errno::EINVAL) } else { Ok(Some(at)) }
}

fn store_offset(task: &CurrentTask, offset: UserPtr<u64>, value: Option<u64>) -> Result<()> {
    match (offset.non_null(), value) {
        (Some(ptr), Some(value)) => task.mm().write(ptr, &value),
        _ => Ok(()),
    }
}
