//! memfd_secret(2): memory that is reached through mappings alone, and by nobody but who has mapped it.
//!
//! A file of tmpfs underneath that cannot be read or written. Its mappings are locked, left out of core dumps, and closed to
//! ptrace(2) and process_vm_readv(2): [`VmaFlags::SECRET`](crate::mm::VmaFlags::SECRET).

use std::any::Any;
use std::sync::Arc;

use abi::fcntl::OpenFlags;

use super::SECRET;
use crate::error::Result;
use crate::fs::tmpfs::{MappedContent, Node};
use crate::mm::memfile::MemFile;
use crate::mm::{Mappable, Mappings, Translation};
use crate::vfs::{File, FileOps, Inode, anon};

/// Makes a file for memfd_secret(2).
pub fn create_secret(memfile: &Arc<MemFile>, uid: u32, gid: u32) -> Result<Arc<File>> {
    let node = Node::new_unnamed(super::instance(memfile), 0o666, uid, gid)?;
    node.set_seals(SECRET);
    let path = anon::pseudo_path(Arc::clone(&node) as Arc<dyn Inode>, b"/secretmem (deleted)");
    Ok(File::new(Arc::new(SecretFile(node)), path, OpenFlags::O_RDWR | OpenFlags::O_LARGEFILE))
}

/// An open file.
#[derive(Debug)]
struct SecretFile(Arc<Node>);

impl FileOps for SecretFile {
    fn mappable(&self, _: &File) -> Result<Arc<dyn Mappable>> {
        Ok(Arc::new(Secret(MappedContent(Arc::clone(&self.0)))))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Its bytes, as something that can be mapped.
#[derive(Debug)]
struct Secret(MappedContent<Node>);

impl Mappable for Secret {
    fn translate(&self, offset: u64, len: u64, write: bool) -> Result<Translation> {
        self.0.translate(offset, len, write)
    }

    fn translate_now(&self, offset: u64, len: u64) -> Option<Translation> {
        self.0.translate_now(offset, len)
    }

    fn mappings(&self) -> &Mappings {
        self.0.mappings()
    }

    fn is_secret(&self) -> bool {
        true
    }
}
