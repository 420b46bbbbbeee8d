//! The virtual file system: mounts, dentries, path walking, open files.
//!
//! [`inode`] says what a file system implements, [`file`] what an open file does; the rest is the same for all.

pub mod attachments;
pub mod attr;
pub mod file;
pub mod inode;

pub use attr::{Attr, SetAttr, SetTime};
pub use file::{File, FileOps};
pub use inode::{Caching, DirEntry, FileSystem, Inode, NewKind, NewNode, XattrMode};

use std::sync::Arc;

/// A place in the tree of one mount namespace: which mount, and which name in it.
#[derive(Clone, Debug)]
pub struct Path {
    /// The mount.
    pub mount: Arc<Mount>,
    /// The name.
    pub dentry: Arc<Dentry>,
}

/// A mounted file system.
#[derive(Debug)]
pub struct Mount {}

/// A name in a file system, and the inode it means.
#[derive(Debug)]
pub struct Dentry {}

/// A table of open files, shared by tasks cloned with CLONE_FILES.
#[derive(Debug)]
pub struct FdTable {}

/// Working directory, root and umask, shared by tasks cloned with CLONE_FS.
#[derive(Debug)]
pub struct FsContext {}
