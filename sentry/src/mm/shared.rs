//! Anonymous memory that several address spaces share: MAP_SHARED | MAP_ANONYMOUS, System V segments.

use std::sync::Arc;

use abi::{Errno, PAGE_SIZE};

use super::mappable::{Mappable, Mappings, Translation};
use super::memfile::{MemFile, MemRange};
use crate::error::{Result, err};

/// An object of zeroes of a fixed length that lives as long as somebody maps it.
#[derive(Debug)]
pub struct SharedMemory {
    range: MemRange,
    mappings: Mappings,
}

impl SharedMemory {
    /// `len` bytes (whole pages).
    pub fn new(memfile: &Arc<MemFile>, len: u64) -> Result<Arc<Self>> {
        let range = memfile.allocate_near(len, None)?;
        Ok(Arc::new(Self { range, mappings: Mappings::default() }))
    }

    /// The memory.
    #[must_use]
    pub fn range(&self) -> &MemRange {
        &self.range
    }
}

impl Mappable for SharedMemory {
    fn translate(&self, offset: u64, len: u64, _write: bool) -> Result<Translation> {
        let left = self.range.len().saturating_sub(offset);
        if left < PAGE_SIZE {
            return err(Errno::EFAULT);
        }
        Ok(Translation {
            file: Arc::clone(self.range.file().file()),
            offset: self.range.offset() + offset,
            len: len.min(left),
            writable: true,
        })
    }

    fn mappings(&self) -> &Mappings {
        &self.mappings
    }
}
