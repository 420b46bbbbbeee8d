//! FIFOs, fifo(7): a pipe that hangs on an inode while somebody has it open.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::poll::{POLLIN, POLLOUT};
use sync::Mutex;

use super::{Pipe, PipeEnd};
use crate::error::{Result, err};
use crate::lock_order::Leaf;
use crate::task::CurrentTask;
use crate::vfs::attachments::Attachments;

/// The attachment: the pipe lives as long as an end is open, and its bytes with it.
#[derive(Debug, Default)]
struct Fifo {
    pipe: Mutex<Weak<Pipe>, Leaf>,
    /// It is a pipe of pipe(2): opening it again waits for nobody.
    anonymous: AtomicBool,
}

/// Makes an inode mean this pipe: that of pipe(2), which can be opened again through /proc/self/fd.
pub fn attach(attachments: &Attachments, pipe: &Arc<Pipe>) {
    let fifo = attachments.get_or_insert(Fifo::default);
    fifo.anonymous.store(true, Ordering::Relaxed);
    *fifo.pipe.lock() = Arc::downgrade(pipe);
}

/// Opens a FIFO. Without O_NONBLOCK it waits until the other side has been opened too; with it, a writer without readers
/// gets ENXIO.
pub fn open(attachments: &Attachments, task: &CurrentTask, flags: OpenFlags) -> Result<Arc<PipeEnd>> {
    let fifo = attachments.get_or_insert(Fifo::default);
    let pipe = {
        let mut slot = fifo.pipe.lock();
        slot.upgrade().unwrap_or_else(|| {
            let pipe = Pipe::new();
            *slot = Arc::downgrade(&pipe);
            pipe
        })
    };
    let (read, write) = (flags.readable(), flags.writable());
    let waits = !flags.contains(OpenFlags::O_NONBLOCK) && !fifo.anonymous.load(Ordering::Relaxed);
    if write
        && !read
        && flags.contains(OpenFlags::O_NONBLOCK)
        && !fifo.anonymous.load(Ordering::Relaxed)
        && !pipe.has_readers()
    {
        return err(Errno::ENXIO);
    }
    let seen = if read { &pipe.writer_opens } else { &pipe.reader_opens };
    let before = seen.load(Ordering::SeqCst);
    let other_side_is_there = || if read { pipe.has_writers() } else { pipe.has_readers() };
    let end = pipe.open(read, write);
    if (read && write) || !waits {
        return Ok(end);
    }
    // The other side may have come and gone again while we slept; the count tells.
    task.wait_on(&pipe.queue, POLLIN | POLLOUT, None, || {
        if other_side_is_there() || seen.load(Ordering::SeqCst) != before { Ok(()) } else { err(Errno::EAGAIN) }
    })?;
    Ok(end)
}
