//! [`Path`]: a place in the tree of one mount namespace, and how it is printed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::stat::FileType;

use super::{Attr, Dentry, Inode, Mount};
use crate::error::Result;

/// A place in the tree of one mount namespace: which mount, and which name in it.
#[derive(Clone, Debug)]
pub struct Path {
    /// The mount.
    pub mount: Arc<Mount>,
    /// The name.
    pub dentry: Arc<Dentry>,
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.dentry, &other.dentry) && Arc::ptr_eq(&self.mount, &other.mount)
    }
}

impl Eq for Path {}

/// A path as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathText {
    /// From the root, or from the top of what is reachable if the root is not above it. No ` (deleted)`.
    pub text: Vec<u8>,
    /// Whether it is below the root it was printed from.
    pub reachable: bool,
    /// Whether its name was removed.
    pub deleted: bool,
}

impl PathText {
    /// As /proc/PID/fd, maps and exe show it: with ` (deleted)`.
    #[must_use]
    pub fn into_shown(mut self) -> Vec<u8> {
        if self.deleted {
            self.text.extend_from_slice(b" (deleted)");
        }
        self.text
    }
}

impl Path {
    /// The root of a mount.
    #[must_use]
    pub fn root_of(mount: &Arc<Mount>) -> Self {
        Self { mount: Arc::clone(mount), dentry: Arc::clone(mount.root()) }
    }

    /// Another name on the same mount.
    #[must_use]
    pub fn with(&self, dentry: Arc<Dentry>) -> Self {
        Self { mount: Arc::clone(&self.mount), dentry }
    }

    /// The inode.
    #[must_use]
    pub fn inode(&self) -> &Arc<dyn Inode> {
        self.dentry.inode()
    }

    /// What the inode is.
    #[must_use]
    pub fn kind(&self) -> FileType {
        self.dentry.kind()
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.dentry.is_dir()
    }

    /// Attributes of the inode.
    pub fn attr(&self) -> Result<Attr> {
        self.inode().attr()
    }

    /// The topmost of what is mounted here: the root of the last mount on this place, or the place itself.
    #[must_use]
    pub fn through_mounts(mut self) -> Self {
        while self.dentry.is_mountpoint() {
            match self.mount.child_at(&self.dentry) {
                Some(mount) => self = Self::root_of(&mount),
                None => break,
            }
        }
        self
    }

    /// The path as text, seen from `root` (a task's root directory).
    #[must_use]
    pub fn text(&self, root: &Self) -> PathText {
        loop {
            let sb = self.dentry.sb();
            let before = sb.moves.load(Ordering::Acquire);
            let text = self.text_once(root);
            if sb.moves.load(Ordering::Acquire) == before {
                return text;
            }
        }
    }

    /// As /proc/PID/fd, maps and exe show it.
    #[must_use]
    pub fn shown(&self, root: &Self) -> Vec<u8> {
        self.text(root).into_shown()
    }

    fn text_once(&self, root: &Self) -> PathText {
        let deleted = self.dentry.is_unlinked();
        if self.dentry.is_pseudo() {
            return PathText { text: self.dentry.name().to_vec(), reachable: true, deleted: false };
        }
        let mut names = Vec::new();
        let mut at = self.clone();
        let reachable = loop {
            if at == *root {
                break true;
            }
            if Arc::ptr_eq(&at.dentry, at.mount.root()) {
                match at.mount.mountpoint() {
                    Some(above) => at = above,
                    None => break false,
                }
                continue;
            }
            let (parent, name) = at.dentry.place();
            names.push(name);
            match parent {
                Some(parent) => at.dentry = parent,
                None => break false,
            }
        };
        let mut text = Vec::with_capacity(names.iter().map(|n| n.len() + 1).sum::<usize>().max(1));
        for name in names.iter().rev() {
            text.push(b'/');
            text.extend_from_slice(name);
        }
        if text.is_empty() {
            text.push(b'/');
        }
        PathText { text, reachable, deleted }
    }
}
