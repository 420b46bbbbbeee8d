//! Open file descriptions: [`File`], and what is behind one: [`FileOps`].
//!
//! File operations never block: they return EAGAIN, and [`File::read`] and [`File::write`] wait and try again unless the
//! file is non-blocking. Locks: `FilePos` over reads and writes of seekable files.

mod dnotify;
mod io;
mod ops;
mod owner;
mod path_only;
mod position;

pub use io::{IoFlags, Whence, check_file_size};
pub use ops::{CloseHook, FileOps};
pub use owner::{FileOwner, Target};

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::stat::FileType;
use sync::Mutex;

use self::position::Position;
use super::write_access::WriteAccess;
use super::{Attr, FdTable, Inode, MountFlags, Path, anon, leases, locks, notify};
use crate::error::{Result, err};
use crate::lock_order::Leaf;

/// An open file description (what `struct file` is on Linux).
pub struct File {
    ops: Arc<dyn FileOps>,
    /// Where it was opened; anonymous files have a path on a pseudo mount (`pipe:[7]`).
    path: Path,
    /// Access mode and status flags.
    flags: AtomicU32,
    pub(super) pos: Position,
    marks: AtomicU8,
    close_hooks: Mutex<Vec<Weak<dyn CloseHook>>, Leaf>,
    /// Who hears of readiness by signal, and the registration while O_ASYNC is set.
    signals: Mutex<owner::Signals, Leaf>,
    /// Kept while a regular file is open for writing.
    _writing: Option<WriteAccess>,
}

/// A lock of flock(2) or an OFD lock was taken through it.
const LOCKED: u8 = 1;
/// It was written.
const WRITTEN: u8 = 4;
/// It has a lease.
const LEASED: u8 = 16;
/// Opening it made the file.
const CREATED: u8 = 32;
/// A Landlock domain does not let it be truncated.
const FIXED_SIZE: u8 = 64;
/// It was opened by name, so that closing it is told to those who watch.
const NAMED: u8 = 2;
/// F_NOTIFY was asked of it.
const DIRECTORY_WATCHED: u8 = 8;

impl File {
    /// A new description. O_CREAT, O_EXCL, O_NOCTTY, O_TRUNC and O_CLOEXEC are not kept.
    #[must_use]
    pub fn new(ops: Arc<dyn FileOps>, path: Path, flags: OpenFlags) -> Arc<Self> {
        Self::with(ops, path, flags, None, 0)
    }

    /// A description without a name: `name` is what /proc/PID/fd shows, `anon_inode:[eventpoll]` for example. All such files
    /// share one inode. Pipes and sockets have inodes of their own: see [`anon::pipe_path`] and [`anon::socket_path`].
    #[must_use]
    pub fn new_anonymous(ops: Arc<dyn FileOps>, name: &str, flags: OpenFlags) -> Arc<Self> {
        Self::new(ops, anon::inode_path(name), flags)
    }

    /// A description made by open(2).
    pub(super) fn opened(
        ops: Arc<dyn FileOps>,
        path: Path,
        flags: OpenFlags,
        writing: Option<WriteAccess>,
    ) -> Arc<Self> {
        let file = Self::with(ops, path, flags, writing, NAMED);
        notify::file_event(&file, notify::Event::OPEN);
        file
    }

    /// A descriptor that only names a place: O_PATH.
    #[must_use]
    pub fn new_path(path: Path, flags: OpenFlags) -> Arc<Self> {
        let kept = OpenFlags::O_PATH | flags & (OpenFlags::O_DIRECTORY | OpenFlags::O_NOFOLLOW);
        Self::new(path_only::ops(), path, kept)
    }

    fn with(ops: Arc<dyn FileOps>, path: Path, flags: OpenFlags, writing: Option<WriteAccess>, marks: u8) -> Arc<Self> {
        let dropped =
            OpenFlags::O_CREAT | OpenFlags::O_EXCL | OpenFlags::O_NOCTTY | OpenFlags::O_TRUNC | OpenFlags::O_CLOEXEC;
        path.dentry.opens.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            ops,
            path,
            flags: AtomicU32::new((flags - dropped).bits()),
            pos: Position::default(),
            marks: AtomicU8::new(marks),
            close_hooks: Mutex::default(),
            signals: Mutex::default(),
            _writing: writing,
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

    /// Its inode.
    #[must_use]
    pub fn inode(&self) -> &Arc<dyn Inode> {
        self.path.inode()
    }

    /// What its inode is.
    #[must_use]
    pub fn kind(&self) -> FileType {
        self.path.kind()
    }

    /// Attributes of its inode.
    pub fn attr(&self) -> Result<Attr> {
        self.path.attr()
    }

    /// Access mode and status flags.
    #[must_use]
    pub fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }

    /// F_SETFL and FIONBIO: changes the flags in `mask` to those of `flags`.
    pub fn change_flags(self: &Arc<Self>, mask: OpenFlags, flags: OpenFlags) -> Result<()> {
        let new = (self.flags() - mask) | (flags & mask);
        self.ops.set_flags(self, new)?;
        let (mask, flags) = (mask.bits(), (flags & mask).bits());
        let _ = self.flags.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(old & !mask | flags));
        if mask & OpenFlags::FASYNC.bits() != 0 {
            self.set_async(flags & OpenFlags::FASYNC.bits() != 0);
        }
        Ok(())
    }

    /// Whether O_NONBLOCK is set.
    #[must_use]
    pub fn nonblocking(&self) -> bool {
        self.flags().contains(OpenFlags::O_NONBLOCK)
    }

    /// Whether it was opened with O_PATH: it names a place and cannot be read or written.
    #[must_use]
    pub fn is_path(&self) -> bool {
        self.flags().contains(OpenFlags::O_PATH)
    }

    /// How reading it moves the access time of its inode.
    #[must_use]
    pub fn atime_policy(&self) -> AtimePolicy {
        if self.flags().contains(OpenFlags::O_NOATIME) { AtimePolicy::Never } else { AtimePolicy::of(&self.path) }
    }

    /// Tells `hook` when the description goes away.
    pub fn on_close(&self, hook: Weak<dyn CloseHook>) {
        let mut hooks = self.close_hooks.lock();
        hooks.retain(|hook| hook.strong_count() > 0);
        hooks.push(hook);
    }

    /// A descriptor of it was closed in `table`: what that process locked with fcntl(2) is free, errors of writing back
    /// are told.
    pub fn close(self: Arc<Self>, table: &FdTable) -> Result<()> {
        self.closed_in(table.id())
    }

    pub(super) fn closed_in(self: Arc<Self>, table: u64) -> Result<()> {
        if self.is_path() {
            return Ok(());
        }
        locks::release_posix(self.inode(), table);
        if self.marks.load(Ordering::Relaxed) & DIRECTORY_WATCHED != 0 {
            self.end_dir_watches(table);
        }
        self.ops.flush(&self)
    }

    /// Remembers that opening it made the file.
    pub(super) fn note_created(&self) {
        self.marks.fetch_or(CREATED, Ordering::Relaxed);
    }

    /// F_CREATED_QUERY: whether opening it made the file.
    #[must_use]
    pub fn has_created(&self) -> bool {
        self.marks.load(Ordering::Relaxed) & CREATED != 0
    }

    /// Who opened it may not truncate it, whoever uses it.
    pub(super) fn forbid_truncation(&self) {
        self.marks.fetch_or(FIXED_SIZE, Ordering::Relaxed);
    }

    /// EACCES if who opened it may not truncate it.
    pub fn check_truncation(&self) -> Result<()> {
        if self.marks.load(Ordering::Relaxed) & FIXED_SIZE == 0 { Ok(()) } else { err(Errno::EACCES) }
    }

    /// Remembers that it has a lease, to be given up with the description.
    pub(super) fn note_leased(&self) {
        self.marks.fetch_or(LEASED, Ordering::Relaxed);
    }

    /// Whether it is written for the first time.
    fn is_first_write(&self) -> bool {
        self.marks.load(Ordering::Relaxed) & WRITTEN == 0
            && self.marks.fetch_or(WRITTEN, Ordering::Relaxed) & WRITTEN == 0
    }

    /// Remembers that flock(2) or an OFD lock was used, to be released with the description.
    pub(super) fn note_locked(&self) {
        self.marks.fetch_or(LOCKED, Ordering::Relaxed);
    }
}

/// How access times follow reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtimePolicy {
    /// They do not.
    Never,
    /// When they lie behind the last change, or a day.
    Relative,
    /// Always.
    Strict,
}

impl AtimePolicy {
    /// The policy of a place: that of its mount.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let flags = path.mount.flags();
        if flags.contains(MountFlags::NO_ATIME)
            || path.mount.read_only()
            || (path.is_dir() && flags.contains(MountFlags::NO_DIR_ATIME))
        {
            Self::Never
        } else if flags.contains(MountFlags::REL_ATIME) {
            Self::Relative
        } else {
            Self::Strict
        }
    }

    /// Whether a read at `now` moves the access time.
    #[must_use]
    pub fn moves(self, attr: &Attr, now: abi::time::Timespec) -> bool {
        match self {
            Self::Never => false,
            Self::Strict => true,
            Self::Relative => {
                attr.atime <= attr.mtime || attr.atime <= attr.ctime || now.tv_sec - attr.atime.tv_sec >= 24 * 60 * 60
            }
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        for hook in std::mem::take(self.close_hooks.get_mut()) {
            if let Some(hook) = hook.upgrade() {
                hook.closed(self);
            }
        }
        if self.signals.get_mut().is_listening() {
            self.stop_signals();
        }
        let marks = *self.marks.get_mut();
        if marks & LOCKED != 0 {
            locks::release_file(self.path.inode(), std::ptr::from_ref(self).addr());
        }
        if marks & LEASED != 0 {
            leases::release(self);
        }
        if marks & NAMED != 0 {
            let event = if self.flags().writable() { notify::Event::CLOSE_WRITE } else { notify::Event::CLOSE_NOWRITE };
            notify::file_event(self, event);
        }
        if self.path.dentry.opens.fetch_sub(1, Ordering::AcqRel) == 1 && self.path.dentry.is_unlinked() {
            notify::last_close(&self.path.dentry);
        }
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("ops", &self.ops).field("flags", &self.flags()).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An open file that does nothing.
    pub(crate) fn null_file() -> Arc<File> {
        #[derive(Debug)]
        struct Null;
        impl FileOps for Null {
            fn as_any(&self) -> &dyn Any {
                self
            }
        }
        File::new_anonymous(Arc::new(Null), "anon_inode:[null]", OpenFlags::empty())
    }
}
