//! What a connection serves.

use std::os::fd::OwnedFd;

use abi::Errno;

use crate::node::Node;

/// A tree of the host that one connection serves.
#[derive(Debug)]
pub struct Export {
    pub(crate) root: Node,
    pub(crate) read_only: bool,
    pub(crate) device_nodes: bool,
    pub(crate) max_fids: usize,
}

/// Fids that one connection may have, unless told otherwise. Each is a descriptor, so the limit on those counts too.
const MAX_FIDS: usize = 1 << 18;

impl Export {
    /// Serves what `root` refers to, a directory or a file, opened with O_PATH or otherwise.
    pub fn new(root: OwnedFd) -> Result<Self, Errno> {
        Ok(Self { root: Node::new(root)?, read_only: false, device_nodes: true, max_fids: MAX_FIDS })
    }

    /// Refuses every change with EROFS.
    #[must_use]
    pub fn read_only(self, read_only: bool) -> Self {
        Self { read_only, ..self }
    }

    /// Whether the client may make device nodes, which the gofer itself never opens.
    #[must_use]
    pub fn device_nodes(self, device_nodes: bool) -> Self {
        Self { device_nodes, ..self }
    }

    /// How many fids the client may have at once.
    #[must_use]
    pub fn max_fids(self, max_fids: usize) -> Self {
        Self { max_fids, ..self }
    }
}
