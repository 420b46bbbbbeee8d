//! What a kind of open file implements: [`FileOps`].

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use abi::Errno;
use abi::fcntl::OpenFlags;
use sync::WaitQueue;

use super::File;
use crate::error::{Error, Result, SysResult, err};
use crate::io::{IoDst, IoSrc};
use crate::mm::Mappable;
use crate::task::CurrentTask;

/// What an open file does. One object per open, made by `Inode::open` or by a system call such as pipe(2).
///
/// No method blocks: EAGAIN says that nothing can be done now, and the VFS waits on [`Self::wait_queue`] and calls again
/// unless the file is non-blocking. The VFS has checked the access mode.
pub trait FileOps: Any + Debug + Send + Sync {
    /// Reads at `pos` (ignored by streams), as much as is there now. `Ok(0)` is the end of the file. EAGAIN: nothing now.
    fn read(&self, file: &File, task: &CurrentTask, pos: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        let _ = (file, task, pos, dst);
        err(Errno::EINVAL)
    }

    /// Writes at `*pos` (at the end if the file has O_APPEND, in which case `*pos` is set to where it wrote). EAGAIN: no
    /// room now. A short count from a stream makes a blocking write go on. Before EPIPE it raises SIGPIPE.
    fn write(&self, file: &File, task: &CurrentTask, pos: &mut u64, src: &mut IoSrc<'_>) -> Result<usize> {
        let _ = (file, task, pos, src);
        err(Errno::EINVAL)
    }

    /// Whether the file has a position (regular files, directories, some devices). Streams answer ESPIPE to lseek.
    fn seekable(&self) -> bool {
        false
    }

    /// Whether lseek(2) goes to the start wherever it is told to go (/dev/null and its like).
    fn stays_at_start(&self) -> bool {
        false
    }

    /// lseek(2) beyond SEEK_SET and SEEK_CUR: the size for SEEK_END; SEEK_DATA and SEEK_HOLE by their own means.
    fn seek_end(&self, file: &File) -> Result<u64> {
        let _ = file;
        err(Errno::EINVAL)
    }

    /// SEEK_DATA (`hole == false`) and SEEK_HOLE from `from`; ENXIO beyond the end. The default has no holes.
    fn seek_hole(&self, file: &File, from: u64, hole: bool) -> Result<u64> {
        let size = self.seek_end(file)?;
        if from >= size {
            return err(Errno::ENXIO);
        }
        Ok(if hole { size } else { from })
    }

    /// Which of POLLIN, POLLOUT, POLLHUP, POLLERR, POLLPRI, POLLRDHUP, POLLNVAL... hold now.
    fn poll(&self, file: &File) -> u32 {
        let _ = file;
        abi::poll::POLLIN | abi::poll::POLLOUT | abi::poll::POLLRDNORM | abi::poll::POLLWRNORM
    }

    /// Where changes of readiness are told. `None`: it never changes (and epoll refuses it with EPERM).
    fn wait_queue(&self) -> Option<&WaitQueue> {
        None
    }

    /// How long a blocking read (or write) waits before it ends as [`Self::timed_wait_failed`] says: SO_RCVTIMEO, SO_SNDTIMEO, VTIME.
    /// `so_far` bytes were read before, see [`Self::reads_on`].
    fn timeout(&self, write: bool, so_far: usize) -> Option<Duration> {
        let _ = (write, so_far);
        None
    }

    /// What a wait with a timeout that failed so ends with. As sockets have it: EAGAIN when the time is over (ETIMEDOUT), and
    /// a call that a handler interrupted is not made again (signal(7)).
    fn timed_wait_failed(&self, error: Error) -> Result<usize> {
        err(if error.is(Errno::ETIMEDOUT) { Errno::EAGAIN } else { error.errno() })
    }

    /// Whether a blocking read that has `so_far` bytes waits for more: terminals have a least count (VMIN).
    fn reads_on(&self, so_far: usize) -> bool {
        let _ = so_far;
        false
    }

    /// ioctl(2) beyond what the VFS answers (FIONBIO, FIOCLEX, FIOASYNC, ...).
    fn ioctl(&self, file: &File, task: &CurrentTask, cmd: u32, arg: u64) -> SysResult {
        let _ = (file, task, cmd, arg);
        err(Errno::ENOTTY)
    }

    /// The object that mmap(2) maps; ENODEV if it cannot be mapped.
    fn mappable(&self, file: &File) -> Result<Arc<dyn Mappable>> {
        let _ = file;
        err(Errno::ENODEV)
    }

    /// fsync(2) and fdatasync(2). EINVAL for what cannot be synced.
    fn sync(&self, file: &File, data_only: bool) -> Result<()> {
        let _ = (file, data_only);
        err(Errno::EINVAL)
    }

    /// fallocate(2); `mode` is checked for flags that exclude each other.
    fn allocate(&self, file: &File, mode: u32, offset: u64, len: u64) -> Result<()> {
        let _ = (file, mode, offset, len);
        err(Errno::EOPNOTSUPP)
    }

    /// Whether F_SETFL may change these flags (F_SETFL has masked them to O_APPEND, O_NONBLOCK, O_DIRECT, O_NOATIME, O_ASYNC).
    fn set_flags(&self, file: &File, flags: OpenFlags) -> Result<()> {
        let _ = (file, flags);
        Ok(())
    }

    /// A descriptor of this description was closed (not necessarily the last): POSIX locks are the VFS's business.
    fn flush(&self, file: &File) -> Result<()> {
        let _ = file;
        Ok(())
    }

    /// Text of /proc/PID/fdinfo/N after the generic lines.
    fn fdinfo(&self) -> String {
        String::new()
    }

    /// For those who look for a certain type: `(ops as &dyn Any).downcast_ref::<T>()`.
    fn as_any(&self) -> &dyn Any;
}

/// Hears when an open file description goes away (epoll forgets its items then).
pub trait CloseHook: Send + Sync {
    /// The last reference is being dropped; `file` is still whole.
    fn closed(&self, file: &File);
}
