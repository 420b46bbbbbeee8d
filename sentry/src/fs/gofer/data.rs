//! Contents of regular files: straight from and to the host's page cache.

use std::any::Any;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use abi::fcntl::OpenFlags;
use abi::stat::FileType;
use abi::{Errno, PAGE_SIZE};
use sync::Mutex;

use super::handles::Handles;
use super::inode::{Body, GoferInode};
use crate::error::{Result, err};
use crate::io::{IoDst, IoSrc};
use crate::lock_order::{InodeData, InodeIo};
use crate::mm::{Mappable, Mappings, Translation};
use crate::task::CurrentTask;
use crate::vfs::{File, FileOps};

/// What a regular file has besides its attributes.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) handles: Mutex<Handles, InodeData>,
    /// Held over an append, so that two do not write to the same place.
    append: Mutex<(), InodeIo>,
    mappings: Mappings,
    /// It was mapped once.
    mapped: AtomicBool,
    /// It was mapped for writing: size and times may have changed at any moment.
    mapped_writable: AtomicBool,
}

impl Contents {
    pub(super) fn written_by_mapping(&self) -> bool {
        self.mapped_writable.load(Ordering::Relaxed)
    }
}

/// An open regular file.
#[derive(Debug)]
pub(super) struct GoferFile {
    inode: Arc<GoferInode>,
    fd: Option<Arc<OwnedFd>>,
}

impl GoferInode {
    pub(super) fn open_contents(self: Arc<Self>, flags: OpenFlags) -> Result<GoferFile> {
        if self.kind() != Some(FileType::Regular) {
            return err(Errno::ENXIO);
        }
        let fd = Some(self.handle(flags.writable())?);
        Ok(GoferFile { inode: self, fd })
    }

    fn kind(&self) -> Option<FileType> {
        FileType::from_mode(self.attributes.access().mode)
    }

    fn contents(&self) -> Result<&Contents> {
        match &self.body {
            Body::Regular(contents) => Ok(contents),
            _ => err(Errno::EINVAL),
        }
    }

    /// The file became shorter, perhaps: what is mapped beyond its end goes.
    pub(super) fn cut_mappings(&self, size: u64) {
        if let Body::Regular(contents) = &self.body
            && contents.mapped.load(Ordering::Acquire)
        {
            contents.mappings.cut(size.next_multiple_of(PAGE_SIZE));
        }
    }
}

impl GoferFile {
    fn fd(&self) -> Result<&Arc<OwnedFd>> {
        Ok(self.fd.as_ref().ok_or(Errno::EBADF)?)
    }
}

impl Drop for GoferFile {
    fn drop(&mut self) {
        self.fd = None;
        self.inode.released();
    }
}

impl FileOps for GoferFile {
    fn read(&self, _file: &File, _task: &CurrentTask, pos: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        let fd = self.fd()?.as_fd();
        let mut at = pos;
        dst.fill(usize::MAX, |piece| {
            let n = piece.read_fd(fd, Some(at))?;
            at = at.saturating_add(u64::try_from(n).unwrap_or(0));
            Ok(n)
        })
    }

    fn write(&self, file: &File, _task: &CurrentTask, pos: &mut u64, src: &mut IoSrc<'_>) -> Result<usize> {
        let fd = self.fd()?.as_fd();
        let flags = file.flags();
        let append = if flags.contains(OpenFlags::O_APPEND) {
            let held = self.inode.contents()?.append.lock();
            *pos = host::path::statx_fd(fd)?.stx_size;
            Some(held)
        } else {
            None
        };
        let mut at = *pos;
        let written = src.drain(usize::MAX, |piece| {
            let n = piece.write_fd(fd, Some(at))?;
            at = at.saturating_add(u64::try_from(n).unwrap_or(0));
            Ok(n)
        });
        drop(append);
        self.inode.attributes.touch();
        if written.is_ok() && flags.contains(OpenFlags::O_DSYNC) {
            host::file::sync(fd, !flags.contains(OpenFlags::O_SYNC))?;
        }
        written
    }

    fn seekable(&self) -> bool {
        true
    }

    fn seek_end(&self, _file: &File) -> Result<u64> {
        Ok(self.inode.current_stat()?.size)
    }

    fn seek_hole(&self, _file: &File, from: u64, hole: bool) -> Result<u64> {
        // The host's offset is nobody's: all reading and writing names its own.
        Ok(host::mem::seek_extent(self.fd()?.as_fd(), from, hole)?)
    }

    fn mappable(&self, _file: &File) -> Result<Arc<dyn Mappable>> {
        Ok(Arc::clone(&self.inode) as _)
    }

    fn sync(&self, _file: &File, data_only: bool) -> Result<()> {
        Ok(host::file::sync(self.fd()?.as_fd(), data_only)?)
    }

    fn allocate(&self, _file: &File, mode: u32, offset: u64, len: u64) -> Result<()> {
        let done = host::file::allocate(self.fd()?.as_fd(), mode, offset, len);
        self.inode.attributes.touch();
        Ok(done?)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Mappable for GoferInode {
    fn translate(&self, offset: u64, len: u64, write: bool) -> Result<Translation> {
        let contents = self.contents()?;
        let file = match write {
            true => self.write_handle().ok_or(Errno::EACCES)?,
            false => self.handle(false)?,
        };
        let size = host::path::statx_fd(file.as_fd())?.stx_size.next_multiple_of(PAGE_SIZE);
        let there = size.checked_sub(offset).filter(|n| *n > 0).ok_or(Errno::EFAULT)?;
        contents.mapped.store(true, Ordering::Release);
        if write {
            contents.mapped_writable.store(true, Ordering::Relaxed);
        }
        Ok(Translation { file, offset, len: len.min(there), writable: write })
    }

    fn translate_now(&self, offset: u64, len: u64) -> Option<Translation> {
        // Without a descriptor the gofer would have to be asked.
        self.any_handle()?;
        self.translate(offset, len, false).ok()
    }

    fn mappings(&self) -> &Mappings {
        match &self.body {
            Body::Regular(contents) => &contents.mappings,
            // Only regular files are mapped.
            _ => NO_MAPPINGS.get_or_init(Mappings::default),
        }
    }
}

static NO_MAPPINGS: std::sync::OnceLock<Mappings> = std::sync::OnceLock::new();
