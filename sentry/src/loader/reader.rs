//! The bytes of a file that is to be executed.

use std::sync::Arc;

use abi::{Errno, PAGE_SIZE, UserAddr};

use crate::error::{Result, err};
use crate::mm::Mappable;
use crate::mm::memfile::MemFile;

/// How much is read at once at the beginning, where all headers usually are.
const HEAD: usize = 4096;

/// Reads an object; its first page is read once.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    memfile: &'a MemFile,
    object: Arc<dyn Mappable>,
    head: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(memfile: &'a MemFile, object: &Arc<dyn Mappable>) -> Result<Self> {
        let mut reader = Self { memfile, object: Arc::clone(object), head: Vec::new() };
        let mut head = vec![0; HEAD];
        let len = reader.read_object(0, &mut head)?;
        head.truncate(len);
        reader.head = head;
        Ok(reader)
    }

    /// Reads bytes; returns how many there are, which is fewer than asked for at the end.
    pub(super) fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.head.len());
        let head = &self.head[start..];
        if head.len() >= bytes.len() || self.head.len() < HEAD {
            let len = head.len().min(bytes.len());
            bytes[..len].copy_from_slice(&head[..len]);
            return Ok(len);
        }
        self.read_object(offset, bytes)
    }

    fn read_object(&self, offset: u64, bytes: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        while done < bytes.len() {
            let at = UserAddr(offset.checked_add(done as u64).ok_or(Errno::EINVAL)?);
            let (page, skip) = (at.page_down().0, at.page_offset());
            let rest = &mut bytes[done..];
            let want = (skip + rest.len() as u64).next_multiple_of(PAGE_SIZE);
            let found = match self.object.translate(page, want, false) {
                Ok(found) => found,
                // Beyond the end.
                Err(e) if e.is(Errno::EFAULT) => break,
                Err(e) => return err(e.errno()),
            };
            let here = usize::try_from(found.len.saturating_sub(skip)).unwrap_or(usize::MAX).min(rest.len());
            let n = self.memfile.read_file(&found.file, found.offset + skip, &mut rest[..here])?;
            done += n;
            if n < here || here == 0 {
                break;
            }
        }
        Ok(done)
    }
}
