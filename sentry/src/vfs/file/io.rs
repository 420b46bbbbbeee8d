//! Reading, writing and seeking: access mode, position, limits and blocking, the same for all files.

use std::time::Instant;

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM};
use abi::resource::{RLIM_INFINITY, Resource};
use abi::siginfo::SigInfo;
use abi::signal::Signal;
use abi::stat::FileType;
use bitflags::bitflags;

use super::{File, notify};
use crate::error::{Result, err};
use crate::io::{IoDst, IoSrc};
use crate::task::CurrentTask;
use crate::vfs::setattr;

/// From where lseek(2) counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// SEEK_SET
    Start,
    /// SEEK_CUR
    Current,
    /// SEEK_END
    End,
    /// SEEK_DATA
    Data,
    /// SEEK_HOLE
    Hole,
}

bitflags! {
    /// How one read or write differs from others of its file.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct IoFlags: u32 {
        /// EAGAIN instead of waiting.
        const NO_WAIT = 1;
        /// At the end of the file.
        const APPEND = 2;
    }
}

const READ_EVENTS: u32 = POLLIN | POLLRDNORM | POLLHUP | POLLERR | POLLRDHUP;
const WRITE_EVENTS: u32 = POLLOUT | POLLWRNORM | POLLHUP | POLLERR;

impl File {
    /// read(2): at the file's position. EBADF unless it is open for reading.
    pub fn read(&self, task: &CurrentTask, dst: &mut IoDst<'_>) -> Result<usize> {
        self.read_with(task, None, IoFlags::empty(), dst)
    }

    /// write(2): at the file's position, or at the end with O_APPEND. EBADF unless it is open for writing.
    pub fn write(&self, task: &CurrentTask, src: &mut IoSrc<'_>) -> Result<usize> {
        self.write_with(task, None, IoFlags::empty(), src)
    }

    /// preadv2(2): at `offset`, or at the file's position, which moves. ESPIPE for an offset in a stream.
    pub fn read_with(
        &self,
        task: &CurrentTask,
        offset: Option<u64>,
        flags: IoFlags,
        dst: &mut IoDst<'_>,
    ) -> Result<usize> {
        let seekable = self.ops.seekable();
        if offset.is_some() && !seekable {
            return err(Errno::ESPIPE);
        }
        self.check_readable()?;
        let wait = !flags.contains(IoFlags::NO_WAIT);
        let n = match offset {
            Some(offset) => self.blocking(task, false, wait, 0, || self.ops.read(self, task, offset, dst))?,
            None if seekable => self.blocking(task, false, wait, 0, || {
                let mut pos = self.pos.lock();
                let n = self.ops.read(self, task, *pos, dst)?;
                *pos += n as u64;
                Ok(n)
            })?,
            None => self.read_stream(task, wait, dst)?,
        };
        if n > 0 {
            notify::file_event(self, notify::Event::ACCESS);
        }
        Ok(n)
    }

    /// pwritev2(2): at `offset` (with O_APPEND at the end all the same, as Linux does), or at the file's position, which
    /// moves.
    pub fn write_with(
        &self,
        task: &CurrentTask,
        offset: Option<u64>,
        flags: IoFlags,
        src: &mut IoSrc<'_>,
    ) -> Result<usize> {
        let seekable = self.ops.seekable();
        if offset.is_some() && !seekable {
            return err(Errno::ESPIPE);
        }
        self.check_writable()?;
        let wait = !flags.contains(IoFlags::NO_WAIT);
        let append = flags.contains(IoFlags::APPEND);
        let n = match offset {
            Some(offset) => self.blocking(task, true, wait, 0, || {
                let mut at = if append { self.ops.seek_end(self)? } else { offset };
                self.write_once(task, &mut at, src)
            })?,
            None if seekable => self.blocking(task, true, wait, 0, || {
                let mut pos = self.pos.lock();
                if append {
                    *pos = self.ops.seek_end(self)?;
                }
                let n = self.write_once(task, &mut pos, src)?;
                *pos += n as u64;
                Ok(n)
            })?,
            None => self.write_stream(task, wait, src)?,
        };
        if n > 0 {
            notify::file_event(self, notify::Event::MODIFY);
        }
        Ok(n)
    }

    /// lseek(2).
    pub fn seek(&self, whence: Whence, offset: i64) -> Result<u64> {
        if !self.ops.seekable() {
            // Of anonymous inodes Linux takes any position and keeps none.
            let anonymous = self.path.dentry.is_pseudo() && self.kind() == FileType::Regular;
            return if anonymous { Ok(0) } else { err(Errno::ESPIPE) };
        }
        let mut pos = self.pos.lock();
        if self.ops.stays_at_start() {
            *pos = 0;
            return Ok(0);
        }
        let from = match whence {
            Whence::Start => 0,
            Whence::Current => *pos,
            Whence::End => self.ops.seek_end(self)?,
            Whence::Data | Whence::Hole => {
                let from = u64::try_from(offset).map_err(|_| Errno::ENXIO)?;
                *pos = self.ops.seek_hole(self, from, whence == Whence::Hole)?;
                return Ok(*pos);
            }
        };
        let to = i64::try_from(from).ok().and_then(|from| from.checked_add(offset)).ok_or(Errno::EOVERFLOW)?;
        *pos = u64::try_from(to).map_err(|_| Errno::EINVAL)?;
        Ok(*pos)
    }

    /// The position, which `f` may change; held meanwhile.
    pub fn with_pos<T>(&self, f: impl FnOnce(&mut u64) -> Result<T>) -> Result<T> {
        f(&mut self.pos.lock())
    }

    /// An offset of the caller's, or else the position, which `f` may change; the latter is held meanwhile. For streams it
    /// is a zero that nobody keeps.
    pub fn with_offset<T>(&self, offset: Option<&mut u64>, f: impl FnOnce(&mut u64) -> Result<T>) -> Result<T> {
        match offset {
            Some(offset) => f(offset),
            None if self.ops.seekable() => f(&mut self.pos.lock()),
            None => f(&mut 0),
        }
    }

    /// The position (/proc/PID/fdinfo).
    #[must_use]
    pub fn pos(&self) -> u64 {
        self.pos.get()
    }

    /// EBADF unless it is open for reading, EISDIR for a directory.
    pub fn check_readable(&self) -> Result<()> {
        if !self.flags().readable() {
            return err(Errno::EBADF);
        }
        if self.kind() == FileType::Directory { err(Errno::EISDIR) } else { Ok(()) }
    }

    /// EBADF unless it is open for writing.
    pub fn check_writable(&self) -> Result<()> {
        if self.flags().writable() { Ok(()) } else { err(Errno::EBADF) }
    }

    /// Makes an attempt until it no longer says EAGAIN, unless the file is non-blocking or `wait` is false. `so_far` is what
    /// earlier attempts of the same call came to.
    fn blocking(
        &self,
        task: &CurrentTask,
        write: bool,
        wait: bool,
        so_far: usize,
        mut attempt: impl FnMut() -> Result<usize>,
    ) -> Result<usize> {
        match attempt() {
            Err(e) if e.is(Errno::EAGAIN) && wait && !self.nonblocking() => {}
            done => return done,
        }
        let Some(queue) = self.ops.wait_queue() else { return err(Errno::EAGAIN) };
        let timeout = self.ops.timeout(write, so_far);
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mask = if write { WRITE_EVENTS } else { READ_EVENTS };
        match task.wait_on(queue, mask, deadline, attempt) {
            Err(e) if deadline.is_some() => self.ops.timed_wait_failed(e),
            done => done,
        }
    }

    /// A read from a stream: what is there, or as much as it wants to come together.
    fn read_stream(&self, task: &CurrentTask, wait: bool, dst: &mut IoDst<'_>) -> Result<usize> {
        let mut total = self.blocking(task, false, wait, 0, || self.ops.read(self, task, 0, dst))?;
        while total > 0 && dst.remaining() > 0 && self.ops.reads_on(total) {
            match self.blocking(task, false, wait, total, || self.ops.read(self, task, 0, dst)) {
                Ok(0) | Err(_) => break,
                Ok(n) => total += n,
            }
        }
        Ok(total)
    }

    /// All of a write to a stream, as far as it does not have to wait or may.
    fn write_stream(&self, task: &CurrentTask, wait: bool, src: &mut IoSrc<'_>) -> Result<usize> {
        let mut total = 0;
        loop {
            let step = self.blocking(task, true, wait, total, || self.ops.write(self, task, &mut 0, src));
            match step {
                Ok(n) => {
                    total += n;
                    if n == 0 || src.remaining() == 0 || self.nonblocking() || !wait {
                        return Ok(total);
                    }
                }
                Err(e) => return if total > 0 { Ok(total) } else { Err(e) },
            }
        }
    }

    /// One write to a file with a position, within RLIMIT_FSIZE.
    fn write_once(&self, task: &CurrentTask, pos: &mut u64, src: &mut IoSrc<'_>) -> Result<usize> {
        if self.kind() == FileType::Regular {
            self.check_size_limit(task, *pos, src)?;
            setattr::remove_privileges(task.creds(), &self.path)?;
            if self.is_first_write() {
                setattr::drop_program_capabilities(&self.path)?;
            }
        }
        self.ops.write(self, task, pos, src)
    }

    /// RLIMIT_FSIZE: a write at the limit is EFBIG and SIGXFSZ, one across it is cut off there.
    fn check_size_limit(&self, task: &CurrentTask, pos: u64, src: &mut IoSrc<'_>) -> Result<()> {
        let limit = task.group().limits().soft(Resource::RLIMIT_FSIZE);
        if limit == RLIM_INFINITY || src.remaining() == 0 {
            return Ok(());
        }
        let at = if self.flags().contains(OpenFlags::O_APPEND) { self.ops.seek_end(self)? } else { pos };
        check_file_size(task, at.saturating_add(1))?;
        src.limit(usize::try_from(limit - at).unwrap_or(usize::MAX));
        Ok(())
    }
}

/// EFBIG and SIGXFSZ if a regular file may not become as long as `size` (RLIMIT_FSIZE).
pub fn check_file_size(task: &CurrentTask, size: u64) -> Result<()> {
    if size > task.group().limits().soft(Resource::RLIMIT_FSIZE) {
        task.send_signal(SigInfo::kernel(Signal::SIGXFSZ));
        return err(Errno::EFBIG);
    }
    Ok(())
}
