//! Open regular files whose bytes are a [`Content`]: [`ContentFile`], the same for tmpfs, memfd and overlay.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use abi::fcntl::OpenFlags;

use super::Content;
use crate::error::Result;
use crate::io::{IoDst, IoSrc};
use crate::mm::{Mappable, Mappings, Translation};
use crate::task::CurrentTask;
use crate::vfs::file::AtimePolicy;
use crate::vfs::{File, FileOps};

/// An inode with a [`Content`].
pub trait HasContent: Any + Debug + Send + Sync {
    /// The bytes.
    fn content(&self) -> &Content;

    /// They were read.
    fn accessed(&self, policy: AtimePolicy);

    /// They were changed.
    fn modified(&self);

    /// Asked before the bytes `offset..offset + len` change; seals say EPERM.
    fn check_write(&self, offset: u64, len: u64) -> Result<()> {
        let _ = (offset, len);
        Ok(())
    }

    /// Asked before fallocate(2) with `mode` changes them.
    fn check_allocate(&self, mode: u32, offset: u64, len: u64) -> Result<()> {
        let _ = (mode, offset, len);
        Ok(())
    }

    /// Asked before a shared mapping that may be written is made.
    fn allow_shared_write(&self) -> Result<()> {
        Ok(())
    }
}

/// An open regular file.
#[derive(Debug)]
pub struct ContentFile<T>(pub Arc<T>);

/// The same as something that can be mapped.
#[derive(Debug)]
pub(in crate::fs) struct MappedContent<T>(pub(in crate::fs) Arc<T>);

impl<T: HasContent> Mappable for MappedContent<T> {
    fn translate(&self, offset: u64, len: u64, write: bool) -> Result<Translation> {
        self.0.content().translate(offset, len, write)
    }

    fn translate_now(&self, offset: u64, len: u64) -> Option<Translation> {
        self.0.content().translate_now(offset, len)
    }

    fn mappings(&self) -> &Mappings {
        self.0.content().mappings()
    }

    fn allow_shared_write(&self) -> Result<()> {
        self.0.allow_shared_write()
    }
}

impl<T: HasContent> FileOps for ContentFile<T> {
    fn read(&self, file: &File, _: &CurrentTask, pos: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        let n = self.0.content().read(pos, dst)?;
        if n > 0 {
            self.0.accessed(file.atime_policy());
        }
        Ok(n)
    }

    fn write(&self, file: &File, _: &CurrentTask, pos: &mut u64, src: &mut IoSrc<'_>) -> Result<usize> {
        let append = file.flags().contains(OpenFlags::O_APPEND);
        let n = self.0.content().write(pos, append, src, |at, len| self.0.check_write(at, len))?;
        if n > 0 {
            self.0.modified();
        }
        Ok(n)
    }

    fn seekable(&self) -> bool {
        true
    }

    fn seek_end(&self, _: &File) -> Result<u64> {
        Ok(self.0.content().size())
    }

    fn seek_hole(&self, _: &File, from: u64, hole: bool) -> Result<u64> {
        self.0.content().seek_hole(from, hole)
    }

    fn mappable(&self, _: &File) -> Result<Arc<dyn Mappable>> {
        Ok(Arc::new(MappedContent(Arc::clone(&self.0))))
    }

    fn sync(&self, _: &File, _: bool) -> Result<()> {
        Ok(())
    }

    fn allocate(&self, _: &File, mode: u32, offset: u64, len: u64) -> Result<()> {
        self.0.content().allocate(mode, offset, len, |at, len| self.0.check_allocate(mode, at, len))?;
        self.0.modified();
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
