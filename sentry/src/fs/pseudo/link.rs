//! A symbolic link whose target is computed.

use std::fmt;
use std::sync::Arc;

use abi::stat::S_IFLNK;

use super::{Meta, Tree, meta_inode};
use crate::error::Result;
use crate::vfs::Inode;

type Target = Box<dyn Fn() -> Result<Vec<u8>> + Send + Sync>;

/// A link with mode 0777.
pub struct Link {
    meta: Meta,
    target: Target,
}

impl Link {
    /// A link to what `target` says when it is read.
    #[must_use]
    pub fn new(tree: &Tree, target: impl Fn() -> Result<Vec<u8>> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { meta: tree.meta(S_IFLNK | 0o777, 1), target: Box::new(target) })
    }

    /// A link to a fixed place.
    #[must_use]
    pub fn fixed(tree: &Tree, target: &'static str) -> Arc<Self> {
        Self::new(tree, move || Ok(target.as_bytes().to_vec()))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl Inode for Link {
    meta_inode!();

    fn readlink(&self) -> Result<Vec<u8>> {
        (self.target)()
    }
}
