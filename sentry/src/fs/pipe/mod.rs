//! Pipes and FIFOs, pipe(7).
//!
//! A [`Pipe`] is the buffer and the counts of its ends; a [`PipeEnd`] is what a descriptor refers to. A FIFO's pipe hangs on
//! its inode ([`fifo`]). Both directions share one wait queue, told apart by event masks. Lock: `Pipe`, held while bytes are
//! copied from or to the application.

pub mod fifo;
mod ring;
pub mod splice;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::limits::PIPE_BUF;
use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use sync::{Mutex, WaitQueue};

use self::ring::Ring;
use crate::error::{Result, SysResult, err};
use crate::io::{IoDst, IoSrc};
use crate::lock_order;
use crate::task::CurrentTask;
use crate::user::UserPtr;
use crate::vfs::{File, FileOps};

/// What a pipe holds unless F_SETPIPE_SZ says otherwise.
pub const DEFAULT_CAPACITY: usize = 65536;
/// The most F_SETPIPE_SZ gives without CAP_SYS_RESOURCE (/proc/sys/fs/pipe-max-size).
static MAX_CAPACITY: AtomicUsize = AtomicUsize::new(1 << 20);
/// The most it gives at all.
const CAPACITY_LIMIT: usize = 1 << 31;

/// ioctl_tty(2): how many bytes can be read.
const FIONREAD: u32 = 0x541b;

/// A pipe, whoever holds its ends.
#[derive(Debug)]
pub struct Pipe {
    ring: Mutex<Ring, lock_order::Pipe>,
    readers: AtomicU32,
    writers: AtomicU32,
    /// How often an end was opened since the beginning: a FIFO's open(2) waits for the other count to move.
    reader_opens: AtomicU32,
    writer_opens: AtomicU32,
    queue: WaitQueue,
}

/// One opening of a pipe: for reading, writing or (a FIFO opened O_RDWR) both.
#[derive(Debug)]
pub struct PipeEnd {
    pipe: Arc<Pipe>,
    read: bool,
    write: bool,
}

impl Pipe {
    /// An empty pipe without ends.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            ring: Mutex::new(Ring::new(DEFAULT_CAPACITY)),
            readers: AtomicU32::new(0),
            writers: AtomicU32::new(0),
            reader_opens: AtomicU32::new(0),
            writer_opens: AtomicU32::new(0),
            queue: WaitQueue::new(),
        })
    }

    /// Opens an end.
    #[must_use]
    pub fn open(self: &Arc<Self>, read: bool, write: bool) -> Arc<PipeEnd> {
        if read {
            self.readers.fetch_add(1, Ordering::SeqCst);
            self.reader_opens.fetch_add(1, Ordering::SeqCst);
        }
        if write {
            self.writers.fetch_add(1, Ordering::SeqCst);
            self.writer_opens.fetch_add(1, Ordering::SeqCst);
        }
        self.queue.notify(POLLIN | POLLOUT | POLLHUP);
        Arc::new(PipeEnd { pipe: Arc::clone(self), read, write })
    }

    fn has_readers(&self) -> bool {
        self.readers.load(Ordering::SeqCst) > 0
    }

    fn has_writers(&self) -> bool {
        self.writers.load(Ordering::SeqCst) > 0
    }

    /// F_GETPIPE_SZ.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.ring.lock().capacity()
    }

    /// F_SETPIPE_SZ: the size is rounded up to a power of two of pages; EBUSY if the content does not fit.
    pub fn set_capacity(&self, size: usize, privileged: bool) -> Result<usize> {
        let size = rounded(size)?;
        let mut ring = self.ring.lock();
        if size > max_capacity() && size > ring.capacity() && !privileged {
            return err(Errno::EPERM);
        }
        if size < ring.len() {
            return err(Errno::EBUSY);
        }
        ring.set_capacity(size);
        drop(ring);
        self.queue.notify(POLLOUT | POLLWRNORM);
        Ok(size)
    }
}

/// What F_SETPIPE_SZ gives to everybody (/proc/sys/fs/pipe-max-size).
#[must_use]
pub fn max_capacity() -> usize {
    MAX_CAPACITY.load(Ordering::Relaxed)
}

/// Changes that, rounded as sizes of pipes are.
pub fn set_max_capacity(size: usize) -> Result<()> {
    MAX_CAPACITY.store(rounded(size)?, Ordering::Relaxed);
    Ok(())
}

/// The next power of two of pages.
fn rounded(size: usize) -> Result<usize> {
    if size > CAPACITY_LIMIT { err(Errno::EINVAL) } else { Ok(size.max(PIPE_BUF).next_power_of_two()) }
}

impl PipeEnd {
    /// The pipe.
    #[must_use]
    pub fn pipe(&self) -> &Arc<Pipe> {
        &self.pipe
    }

    /// Takes bytes out, EAGAIN if there are none but may come.
    pub(crate) fn pull(&self, dst: &mut IoDst<'_>) -> Result<usize> {
        if dst.remaining() == 0 {
            return Ok(0);
        }
        let mut ring = self.pipe.ring.lock();
        if ring.len() == 0 {
            // Under the lock: a writer that goes away after its last write is seen after its bytes.
            return if self.pipe.has_writers() { err(Errno::EAGAIN) } else { Ok(0) };
        }
        let n = ring.pop(dst)?;
        let room = ring.room();
        drop(ring);
        if room >= PIPE_BUF {
            self.pipe.queue.notify(POLLOUT | POLLWRNORM);
        }
        Ok(n)
    }

    /// Puts bytes in. EPIPE without readers (the caller raises SIGPIPE), EAGAIN if nothing fits; a write of up to
    /// PIPE_BUF bytes goes in whole or not at all.
    pub(crate) fn push(&self, src: &mut IoSrc<'_>, packet: bool) -> Result<usize> {
        let len = src.remaining();
        if len == 0 {
            return Ok(0);
        }
        let mut ring = self.pipe.ring.lock();
        if !self.pipe.has_readers() {
            return err(Errno::EPIPE);
        }
        // What was left over of a longer write need not be atomic.
        let atomic = len <= PIPE_BUF && src.done() == 0;
        if ring.room() == 0 || (atomic && ring.room() < len) {
            return err(Errno::EAGAIN);
        }
        let n = ring.push(src, if packet { PIPE_BUF } else { usize::MAX }, packet)?;
        drop(ring);
        self.pipe.queue.notify(POLLIN | POLLRDNORM);
        Ok(n)
    }
}

impl FileOps for PipeEnd {
    fn read(&self, _: &File, _: &CurrentTask, _: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        if self.read { self.pull(dst) } else { err(Errno::EBADF) }
    }

    fn write(&self, file: &File, task: &CurrentTask, _: &mut u64, src: &mut IoSrc<'_>) -> Result<usize> {
        if !self.write {
            return err(Errno::EBADF);
        }
        let result = self.push(src, file.flags().contains(OpenFlags::O_DIRECT));
        if matches!(&result, Err(e) if e.is(Errno::EPIPE)) {
            task.raise_sigpipe();
        }
        result
    }

    fn poll(&self, _: &File) -> u32 {
        let ring = self.pipe.ring.lock();
        let (len, room) = (ring.len(), ring.room());
        drop(ring);
        let mut events = 0;
        if self.read {
            if len > 0 {
                events |= POLLIN | POLLRDNORM;
            }
            // A FIFO that no writer has opened yet does not hang up.
            if !self.pipe.has_writers() && self.pipe.writer_opens.load(Ordering::SeqCst) > 0 {
                events |= POLLHUP;
            }
        }
        if self.write {
            if room >= PIPE_BUF {
                events |= POLLOUT | POLLWRNORM;
            }
            if !self.pipe.has_readers() {
                events |= POLLERR;
            }
        }
        events
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.pipe.queue)
    }

    fn ioctl(&self, _: &File, task: &CurrentTask, cmd: u32, arg: u64) -> SysResult {
        if cmd != FIONREAD {
            return err(Errno::ENOTTY);
        }
        let len = i32::try_from(self.pipe.ring.lock().len()).unwrap_or(i32::MAX);
        task.mm().write(UserPtr::new(abi::UserAddr(arg)), &len)?;
        Ok(0)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        if self.read && self.pipe.readers.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.pipe.queue.notify(POLLERR | POLLOUT | POLLWRNORM);
        }
        if self.write && self.pipe.writers.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.pipe.queue.notify(POLLHUP | POLLIN | POLLRDNORM);
        }
    }
}
