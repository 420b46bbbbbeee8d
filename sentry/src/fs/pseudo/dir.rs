//! A directory whose children are fixed when it is made.

use std::borrow::Cow;
use std::sync::Arc;

use abi::Errno;
use abi::stat::S_IFDIR;

use super::{Meta, Tree, meta_inode};
use crate::error::{Result, err};
use crate::vfs::{DirEntry, Inode};

/// Fixed children, in the order they were given.
#[derive(Debug)]
pub struct StaticDir {
    meta: Meta,
    children: Vec<(Cow<'static, str>, Arc<dyn Inode>)>,
}

impl StaticDir {
    /// A directory with mode 0555.
    #[must_use]
    pub fn new(tree: &Tree, children: Vec<(&'static str, Arc<dyn Inode>)>) -> Arc<Self> {
        let children = children.into_iter().map(|(name, inode)| (Cow::Borrowed(name), inode)).collect();
        Arc::new(Self { meta: tree.meta(S_IFDIR | 0o555, 2), children })
    }

    /// The same with names that are not known before.
    #[must_use]
    pub fn named(tree: &Tree, children: Vec<(String, Arc<dyn Inode>)>) -> Arc<Self> {
        let children = children.into_iter().map(|(name, inode)| (Cow::Owned(name), inode)).collect();
        Arc::new(Self { meta: tree.meta(S_IFDIR | 0o555, 2), children })
    }

    /// The child called `name`.
    #[must_use]
    pub fn child(&self, name: &[u8]) -> Option<Arc<dyn Inode>> {
        self.children.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, inode)| Arc::clone(inode))
    }

    /// How many children there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.children.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }
}

impl Inode for StaticDir {
    meta_inode!();

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        self.child(name).ok_or_else(|| Errno::ENOENT.into())
    }

    fn readdir(&self, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        for (next, (name, inode)) in (1..).zip(&self.children).skip(usize::try_from(from).unwrap_or(usize::MAX)) {
            let attr = inode.attr()?;
            let kind = u8::try_from(attr.mode >> 12).unwrap_or(0);
            if !emit(DirEntry { name: name.as_bytes(), ino: attr.ino, kind, next }) {
                break;
            }
        }
        Ok(())
    }

    fn create(&self, _: &[u8], _: &crate::vfs::NewNode<'_>) -> Result<Arc<dyn Inode>> {
        err(Errno::EACCES)
    }
}
