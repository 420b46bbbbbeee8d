//! Changes of names in an overlay directory, and what it lists.
//!
//! The VFS holds the directories' locks; the overlay's own (`Overlay`) keeps pinning away meanwhile.

use std::sync::Arc;

use abi::Errno;

use super::OverlayNode;
use super::names::{DirNames, Known};
use super::place::Place;
use crate::error::{Result, err};
use crate::vfs::attr::now;
use crate::vfs::{DirEntry, Inode, NewNode};

impl OverlayNode {
    /// Makes a new node under a name that does not exist.
    pub(super) fn create_node(self: &Arc<Self>, name: &[u8], node: &NewNode<'_>) -> Result<Arc<Self>> {
        let fs = Arc::clone(&self.fs);
        let _tree = fs.tree.lock();
        self.check_absent(name)?;
        let made = Self::make(&self.fs, node, 1);
        self.put(name, &made)?;
        self.changed(i32::from(made.is_dir()))?;
        Ok(made)
    }

    /// Makes another name of a node.
    pub(super) fn add_link(self: &Arc<Self>, name: &[u8], target: &Arc<Self>) -> Result<()> {
        let fs = Arc::clone(&self.fs);
        let _tree = fs.tree.lock();
        self.check_absent(name)?;
        target.pin_locked();
        target
            .change_meta_pinned(|meta| {
                meta.nlink = meta.nlink.checked_add(1).ok_or(Errno::EMLINK)?;
                meta.ctime = now();
                Ok(())
            })?
            .map_err(|e: Errno| crate::error::Error::from(e))?;
        self.put(name, target)?;
        self.changed(0)
    }

    /// Removes a name of `child`.
    pub(super) fn remove(self: &Arc<Self>, name: &[u8], child: &Arc<Self>) -> Result<()> {
        let fs = Arc::clone(&self.fs);
        let _tree = fs.tree.lock();
        self.pin_locked();
        child.unlinked()?;
        self.names()?.write().remove(name);
        // What is still open, or has another name, lives on; it need not be found here.
        if matches!(*child.place.lock(), Place::Shown(..)) {
            child.set_place(Place::Nowhere);
        }
        self.changed(-i32::from(child.is_dir()))
    }

    /// Renames.
    pub(super) fn move_name(
        self: &Arc<Self>,
        (name, child): (&[u8], &Arc<Self>),
        (to, new_name): (&Arc<Self>, &[u8]),
        replaced: Option<&Arc<Self>>,
        exchange: bool,
    ) -> Result<()> {
        if let Some(replaced) = replaced
            && !exchange
        {
            replaced.check_empty()?;
        }
        let fs = Arc::clone(&self.fs);
        let _tree = fs.tree.lock();
        self.pin_locked();
        to.pin_locked();
        let is_dir = i32::from(child.is_dir());
        child.change_meta_pinned(|meta| meta.ctime = now())?;
        if let Some(replaced) = replaced {
            if exchange {
                replaced.change_meta_pinned(|meta| meta.ctime = now())?;
            } else {
                replaced.unlinked()?;
                if matches!(*replaced.place.lock(), Place::Shown(..)) {
                    replaced.set_place(Place::Nowhere);
                }
            }
        }
        to.names()?.write().put(new_name, child, replaced.is_some());
        child.set_place(Place::Pinned);
        match replaced {
            Some(replaced) if exchange => {
                self.names()?.write().put(name, replaced, true);
                replaced.set_place(Place::Pinned);
                let other = i32::from(replaced.is_dir());
                self.changed(other - is_dir)?;
                to.changed(is_dir - other)
            }
            replaced => {
                self.names()?.write().remove(name);
                self.changed(-is_dir)?;
                to.changed(is_dir - replaced.map_or(0, |r| i32::from(r.is_dir())))
            }
        }
    }

    /// ENOTEMPTY for a directory with names in it.
    pub(super) fn check_empty(&self) -> Result<()> {
        if !self.is_dir() {
            return Ok(());
        }
        if !self.names()?.read().is_empty() {
            return err(Errno::ENOTEMPTY);
        }
        let mut empty = true;
        self.list(0, &mut |_| {
            empty = false;
            false
        })?;
        if empty { Ok(()) } else { err(Errno::ENOTEMPTY) }
    }

    /// Lists the names below in their order, with what stands in their places now, then the new ones.
    pub(super) fn list(&self, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        let names = self.names()?;
        let mut more = true;
        if from < DirNames::first_new()
            && let Some(lower) = &self.lower
        {
            lower.readdir(from, &mut |entry| {
                // A lower tmpfs has its directory locked.
                let shown = match names.read_nested().over(entry.name) {
                    None => Some((entry.ino, entry.kind)),
                    Some(Some(node)) => Some((node.ino(), node.file_type().map_or(0, |kind| kind.dirent_type()))),
                    Some(None) => None,
                };
                if let Some((ino, kind)) = shown {
                    more = emit(DirEntry { ino, kind, ..entry });
                }
                more
            })?;
        }
        if !more {
            return Ok(());
        }
        let names = names.read();
        for (name, node, next) in names.new_from(from) {
            let kind = node.file_type()?.dirent_type();
            if !emit(DirEntry { name, ino: node.ino(), kind, next }) {
                break;
            }
        }
        Ok(())
    }

    /// EEXIST if the name stands here.
    fn check_absent(&self, name: &[u8]) -> Result<()> {
        match self.names()?.read().get(name) {
            Known::Node(_) => err(Errno::EEXIST),
            // What is below the VFS has asked for.
            Known::Whiteout | Known::Below => Ok(()),
        }
    }

    /// Puts a node under a name that does not exist.
    fn put(self: &Arc<Self>, name: &[u8], node: &Arc<Self>) -> Result<()> {
        self.pin_locked();
        self.names()?.write().put(name, node, false);
        node.set_place(Place::Pinned);
        Ok(())
    }

    /// The directory changed, and has so many subdirectories more.
    fn changed(self: &Arc<Self>, subdirs: i32) -> Result<()> {
        self.change_meta_pinned(|meta| {
            meta.nlink = meta.nlink.saturating_add_signed(subdirs);
            meta.modified();
        })
    }
}
