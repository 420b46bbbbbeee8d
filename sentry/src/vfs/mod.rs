//! The virtual file system: mounts, dentries, path walking, open files.
//!
//! [`inode`] says what a file system implements, [`file`] what an open file does; the rest is the same for all.
//!
//! - [`Path`] is a place: a [`Mount`] and a [`Dentry`] (a name, with its inode) in it. [`MountNamespace`] is a tree of mounts.
//! - [`FdTable`] and [`FsContext`] are what a task holds of it.
//! - [`anon`]: files without a name; [`notify`]: file events; [`locks`]: advisory locks; [`leases`]; [`write_access`]: ETXTBSY.

pub mod anon;
pub mod attachments;
pub mod attr;
mod caller;
mod dentry;
mod dentry_shrink;
mod dir;
pub mod fd_table;
pub mod file;
mod fs_context;
pub mod fs_types;
pub mod inode;
pub mod leases;
pub mod locks;
mod mount;
mod name_hash;
pub mod namei;
pub mod notify;
pub mod open;
mod path;
pub mod perm;
pub mod setattr;
mod super_block;
pub mod sysctl;
#[cfg(any(test, fuzzing))]
#[cfg_attr(fuzzing, expect(dead_code, reason = "tests use all of it"))]
pub(crate) mod testing;
pub mod walk;
pub mod write_access;
pub mod xattr;

pub use attr::{Access, Attr, SetAttr, SetTime};
pub use caller::Caller;
pub use dentry::Dentry;
pub use fd_table::FdTable;
pub use file::{File, FileOps};
pub use fs_context::FsContext;
pub use inode::{Caching, DirEntry, FileSystem, Inode, NewKind, NewNode, XattrMode};
pub use mount::{Mount, MountFlags, MountNamespace, Propagation, PropagationChange, UNIQUE_ID_OFFSET};
pub(crate) use name_hash::NameHash;
pub use path::{Path, PathText};
pub use super_block::SuperBlock;

use std::sync::Arc;

use abi::Errno;
use abi::stat::FileType;

use crate::error::{Result, err};
use crate::task::CurrentTask;

/// Makes the node of a unix socket at `path`, for bind(2): EEXIST if the name is taken.
pub fn make_socket(task: &CurrentTask, path: &[u8]) -> Result<Arc<dyn Inode>> {
    let made = namei::mknod(Caller::of(task), None, path, NewKind::Socket, 0o777)?;
    Ok(Arc::clone(made.inode()))
}

/// The inode of the socket at `path`, for connect(2): the caller may write to it, and it is a socket (ECONNREFUSED).
pub fn find_socket(task: &CurrentTask, path: &[u8]) -> Result<Arc<dyn Inode>> {
    let found = walk::resolve(Caller::of(task), None, path, walk::WalkFlags::FOLLOW)?;
    found.check(task.creds(), perm::Want::WRITE)?;
    if found.kind() == FileType::Socket { Ok(Arc::clone(found.inode())) } else { err(Errno::ECONNREFUSED) }
}
