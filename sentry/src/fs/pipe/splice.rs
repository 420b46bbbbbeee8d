//! Moving bytes between pipes and other files without the application: splice(2), tee(2).
//!
//! The pipe's lock is held while the other file reads or writes, so that nothing is lost when another task uses the pipe at
//! the same time. None of these block: the calls wait and try again.

use std::sync::Arc;

use abi::Errno;
use abi::poll::{POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};

use super::{Pipe, PipeEnd};
use crate::error::{Result, err};
use crate::io::{IoDst, IoSrc};

/// From a file into a pipe: `read` fills a buffer of ours and returns how many bytes it wrote. EAGAIN if the pipe is full.
pub fn into_pipe(to: &PipeEnd, len: usize, read: &mut dyn FnMut(&mut IoDst<'_>) -> Result<usize>) -> Result<usize> {
    let pipe = to.pipe();
    let mut ring = pipe.ring.lock();
    if !pipe.has_readers() {
        return err(Errno::EPIPE);
    }
    if ring.room() == 0 {
        return err(Errno::EAGAIN);
    }
    let n = ring.push_with(len, &mut |room| read(&mut IoDst::kernel(room)))?;
    drop(ring);
    if n > 0 {
        pipe.queue.notify(POLLIN | POLLRDNORM);
    }
    Ok(n)
}

/// From a pipe into a file: `write` takes bytes from a buffer of ours. EAGAIN if the pipe is empty but has writers.
pub fn from_pipe(from: &PipeEnd, len: usize, write: &mut dyn FnMut(&mut IoSrc<'_>) -> Result<usize>) -> Result<usize> {
    let pipe = from.pipe();
    let mut ring = pipe.ring.lock();
    if ring.len() == 0 {
        return if pipe.has_writers() { err(Errno::EAGAIN) } else { Ok(0) };
    }
    let n = ring.pop_with(len, &mut |bytes| write(&mut IoSrc::kernel(bytes)))?;
    drop(ring);
    pipe.queue.notify(POLLOUT | POLLWRNORM);
    Ok(n)
}

/// From one pipe to another; with `keep` the bytes also stay (tee). EINVAL if the two are the same.
pub fn between(from: &PipeEnd, to: &PipeEnd, len: usize, keep: bool) -> Result<usize> {
    let (source, sink) = (from.pipe(), to.pipe());
    if Arc::ptr_eq(source, sink) {
        return err(Errno::EINVAL);
    }
    let source_first = Arc::as_ptr(source) < Arc::as_ptr(sink);
    let (mut input, mut output) = if source_first {
        let input = source.ring.lock();
        (input, sink.ring.lock_nested())
    } else {
        let output = sink.ring.lock();
        (source.ring.lock_nested(), output)
    };
    if !sink.has_readers() {
        return err(Errno::EPIPE);
    }
    if input.len() == 0 {
        return if source.has_writers() { err(Errno::EAGAIN) } else { Ok(0) };
    }
    if output.room() == 0 {
        return err(Errno::EAGAIN);
    }
    let len = len.min(input.len());
    let n = if keep {
        let mut at = 0;
        output.push_with(len, &mut |room| {
            let n = input.peek_at(at, room);
            at += n;
            Ok(n)
        })?
    } else {
        input.pop_with(len, &mut |bytes| output.push(&mut IoSrc::kernel(bytes), usize::MAX, false))?
    };
    drop((input, output));
    sink.queue.notify(POLLIN | POLLRDNORM);
    if !keep {
        source.queue.notify(POLLOUT | POLLWRNORM);
    }
    Ok(n)
}

impl Pipe {
    /// Whether nothing fits into it now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.ring.lock().room() == 0
    }

    /// How many bytes wait in it.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.ring.lock().len()
    }
}
