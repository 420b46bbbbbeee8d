//! Open regular files of an overlay: read from below until they are changed.

use std::any::Any;
use std::sync::Arc;

use super::OverlayNode;
use crate::error::Result;
use crate::fs::tmpfs::{ContentFile, HasContent, MappedContent};
use crate::io::{IoDst, IoSrc};
use crate::mm::Mappable;
use crate::task::CurrentTask;
use crate::vfs::{File, FileOps};

/// An open regular file.
#[derive(Debug)]
pub(super) struct OverlayFile {
    node: Arc<OverlayNode>,
    /// The file below, open to read, if it was what the node shows.
    below: Option<Arc<dyn FileOps>>,
}

impl OverlayFile {
    pub(super) fn new(node: Arc<OverlayNode>, below: Option<Arc<dyn FileOps>>) -> Self {
        Self { node, below }
    }

    /// The file below, if its bytes still are those of the node.
    fn unchanged(&self) -> Option<&Arc<dyn FileOps>> {
        self.below.as_ref().filter(|_| self.node.changed_content().is_none())
    }

    fn ours(&self) -> Result<ContentFile<OverlayNode>> {
        self.node.content_of()?;
        Ok(ContentFile(Arc::clone(&self.node)))
    }
}

impl FileOps for OverlayFile {
    fn read(&self, file: &File, task: &CurrentTask, pos: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        match self.unchanged() {
            Some(below) => below.read(file, task, pos, dst),
            None => {
                let n = self.node.content_of()?.read(pos, dst)?;
                self.node.accessed(file.atime_policy());
                Ok(n)
            }
        }
    }

    fn write(&self, file: &File, task: &CurrentTask, pos: &mut u64, src: &mut IoSrc<'_>) -> Result<usize> {
        self.ours()?.write(file, task, pos, src)
    }

    fn seekable(&self) -> bool {
        true
    }

    fn seek_end(&self, file: &File) -> Result<u64> {
        match self.unchanged() {
            Some(below) => below.seek_end(file),
            None => Ok(self.node.content_of()?.size()),
        }
    }

    fn seek_hole(&self, file: &File, from: u64, hole: bool) -> Result<u64> {
        match self.unchanged() {
            Some(below) => below.seek_hole(file, from, hole),
            None => self.node.content_of()?.seek_hole(from, hole),
        }
    }

    fn mappable(&self, file: &File) -> Result<Arc<dyn Mappable>> {
        let content = self.node.content_of()?;
        if file.flags().writable() {
            // A shared mapping may be written, and a fault cannot copy from below.
            content.copy_all()?;
        }
        Ok(Arc::new(MappedContent(Arc::clone(&self.node))))
    }

    fn sync(&self, _: &File, _: bool) -> Result<()> {
        Ok(())
    }

    fn allocate(&self, file: &File, mode: u32, offset: u64, len: u64) -> Result<()> {
        self.ours()?.allocate(file, mode, offset, len)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
