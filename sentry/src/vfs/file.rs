//! Open file descriptions: [`File`], and what is behind one: [`FileOps`].
//!
//! File operations never block: they return EAGAIN, and [`File::read`] and [`File::write`] wait and try again unless the
//! file is non-blocking. Locks: `FilePos` over reads and writes of seekable files.

use std::any::Any;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use abi::Errno;
use abi::fcntl::OpenFlags;
use sync::{Mutex, WaitQueue};

use super::Path;
use crate::error::{Result, err};
use crate::io::{IoDst, IoSrc};
use crate::lock_order::{FilePos, Leaf};
use crate::mm::Mappable;
use crate::task::CurrentTask;

/// What an open file does. One object per open, made by `Inode::open` or by a system call such as pipe(2).
pub trait FileOps: Any + Debug + Send + Sync {
    /// Reads at `pos` (ignored by streams), as much as is there now. `Ok(0)` is the end of the file. EAGAIN: nothing now.
    fn read(&self, file: &File, task: &CurrentTask, pos: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        let _ = (file, task, pos, dst);
        err(Errno::EINVAL)
    }

    /// Writes at `*pos` (at the end if the file has O_APPEND, in which case `*pos` is set to where it wrote). EAGAIN: no
    /// room now. A short count from a stream makes a blocking write go on.
    fn write(&self, file: &File, task: &CurrentTask, pos: &mut u64, src: &mut IoSrc<'_>) -> Result<usize> {
        let _ = (file, task, pos, src);
        err(Errno::EINVAL)
    }

    /// Whether the file has a position (regular files, directories, some devices). Streams answer ESPIPE to lseek.
    fn seekable(&self) -> bool {
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

    /// fallocate(2).
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
    fn flush(&self, file: &File, task: &CurrentTask) -> Result<()> {
        let _ = (file, task);
        Ok(())
    }

    /// Text of /proc/PID/fdinfo/N after the generic lines.
    fn fdinfo(&self) -> String {
        String::new()
    }

    /// For those who look for a certain type: `(ops as &dyn Any).downcast_ref::<T>()`.
    fn as_any(&self) -> &dyn Any;
}

use crate::error::SysResult;

/// Hears when an open file description goes away (epoll forgets its items then).
pub trait CloseHook: Send + Sync {
    /// The last reference is being dropped; `file` is still whole.
    fn closed(&self, file: &File);
}

/// An open file description (what `struct file` is on Linux).
pub struct File {
    ops: Arc<dyn FileOps>,
    /// Where it was opened; anonymous files have a path on a pseudo mount (`pipe:[7]`).
    path: Path,
    /// Access mode and status flags.
    flags: AtomicU32,
    pos: Mutex<u64, FilePos>,
    close_hooks: Mutex<Vec<Weak<dyn CloseHook>>, Leaf>,
}

impl File {
    /// A new description. O_CREAT, O_EXCL, O_NOCTTY, O_TRUNC and O_CLOEXEC are not kept.
    #[must_use]
    pub fn new(ops: Arc<dyn FileOps>, path: Path, flags: OpenFlags) -> Arc<Self> {
        let kept = flags
            - (OpenFlags::O_CREAT
                | OpenFlags::O_EXCL
                | OpenFlags::O_NOCTTY
                | OpenFlags::O_TRUNC
                | OpenFlags::O_CLOEXEC);
        Arc::new(Self {
            ops,
            path,
            flags: AtomicU32::new(kept.bits()),
            pos: Mutex::new(0),
            close_hooks: Mutex::default(),
        })
    }

    /// What is behind it.
    #[must_use]
    pub fn ops(&self) -> &Arc<dyn FileOps> {
        &self.ops
    }

    /// What is behind it, if it is a `T`.
    #[must_use]
    pub fn ops_as<T: Any>(&self) -> Option<&T> {
        self.ops.as_any().downcast_ref()
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Access mode and status flags.
    #[must_use]
    pub fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }

    /// Tells `hook` when the description goes away.
    pub fn on_close(&self, hook: Weak<dyn CloseHook>) {
        let mut hooks = self.close_hooks.lock();
        hooks.retain(|hook| hook.strong_count() > 0);
        hooks.push(hook);
    }

    /// Whether O_NONBLOCK is set.
    #[must_use]
    pub fn nonblocking(&self) -> bool {
        self.flags().contains(OpenFlags::O_NONBLOCK)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        for hook in std::mem::take(self.close_hooks.get_mut()) {
            if let Some(hook) = hook.upgrade() {
                hook.closed(self);
            }
        }
    }
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("ops", &self.ops).field("flags", &self.flags()).finish_non_exhaustive()
    }
}
