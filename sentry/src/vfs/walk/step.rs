//! The steps of a walk: down a name, up, along a link, across mounts.

use std::borrow::Cow;
use std::sync::Arc;

use abi::Errno;
use abi::limits::{MAXSYMLINKS, NAME_MAX};
use abi::stat::{FileType, S_ISVTX, S_IWOTH};

use super::{Last, Name, Walk, WalkFlags};
use crate::error::{Result, err};
use crate::vfs::perm::Want;
use crate::vfs::{Dentry, MountFlags, Path, sysctl};

impl Walk<'_> {
    /// Goes to the directory of the last name.
    pub fn go_to_last(&mut self) -> Result<Last> {
        loop {
            while self.text.get(self.pos) == Some(&b'/') {
                self.pos += 1;
            }
            if self.pos >= self.text.len() {
                match self.outer.pop() {
                    Some((text, pos)) => (self.text, self.pos) = (text, pos),
                    None => return Ok(Last::Root),
                }
                continue;
            }
            self.check_search()?;
            let rest = &self.text[self.pos..];
            let len = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
            let name = &rest[..len];
            let slashes = rest[len..].iter().take_while(|b| **b == b'/').count();
            if len + slashes == rest.len() && self.outer.is_empty() {
                let last = match name {
                    b"." => Last::Dot,
                    b".." => Last::DotDot,
                    _ => Last::Name(Name::new(name)?),
                };
                self.slashes |= slashes > 0 && matches!(last, Last::Name(_));
                self.pos = self.text.len();
                return Ok(last);
            }
            match name {
                b"." => self.pos += len + slashes,
                b".." => {
                    self.pos += len + slashes;
                    self.up()?;
                }
                _ => {
                    let child = self.lookup(name)?;
                    self.pos += len + slashes;
                    if child.kind() == FileType::Symlink {
                        self.follow(&child, false)?;
                    } else {
                        self.enter(child)?;
                    }
                }
            }
        }
    }

    /// Finds a name where the walk is, without going there.
    pub fn lookup(&self, name: &[u8]) -> Result<Arc<Dentry>> {
        if name.len() > NAME_MAX {
            return err(Errno::ENAMETOOLONG);
        }
        self.at.dentry.lookup(name)
    }

    /// Goes to a name that was found, and onto what is mounted there.
    pub fn enter(&mut self, child: Arc<Dentry>) -> Result<()> {
        let mounted = child.is_mountpoint();
        self.at.dentry = child;
        if mounted {
            self.cross_mounts()?;
        }
        Ok(())
    }

    /// Goes to `..`. At the root it stays.
    pub fn up(&mut self) -> Result<()> {
        let beneath = self.flags.contains(WalkFlags::BENEATH);
        let root = self.root().clone();
        let mut at = self.at.clone();
        loop {
            if at == root {
                return if beneath { err(Errno::EXDEV) } else { self.cross_mounts() };
            }
            if !Arc::ptr_eq(&at.dentry, at.mount.root()) {
                break;
            }
            // Down from the root of a mount to the place it covers.
            match at.mount.mountpoint() {
                Some(_) if self.flags.contains(WalkFlags::NO_XDEV) => return err(Errno::EXDEV),
                Some(place) => at = place,
                None => return if beneath { err(Errno::EXDEV) } else { self.cross_mounts() },
            }
        }
        let Some(parent) = at.dentry.parent() else { return self.cross_mounts() };
        // Out of what a bind mount shows: the directory was moved away above us.
        if !at.mount.root().is_ancestor_of(&parent) {
            return err(Errno::ENOENT);
        }
        at.dentry = parent;
        self.at = at;
        self.cross_mounts()
    }

    /// Goes on along a symbolic link found where the walk is; `last`: it is the last name. Returns whether there is more
    /// to walk: a magic link leads to its place at once.
    pub fn follow(&mut self, link: &Arc<Dentry>, last: bool) -> Result<bool> {
        self.links += 1;
        if self.links > MAXSYMLINKS
            || self.flags.contains(WalkFlags::NO_SYMLINKS)
            || self.at.mount.flags().contains(MountFlags::NO_SYM_FOLLOW)
        {
            return err(Errno::ELOOP);
        }
        if last {
            self.check_protected(link)?;
        }
        if let Some(task) = self.caller.task
            && let Some(to) = link.inode().follow(task)?
        {
            self.jump(to)?;
            return Ok(false);
        }
        let target = match self.caller.task {
            Some(task) => link.inode().readlink_for(task)?,
            None => link.inode().readlink()?,
        };
        let rest = std::mem::replace(&mut self.text, Cow::Owned(target));
        let pos = std::mem::replace(&mut self.pos, 0);
        if pos < rest.len() {
            self.outer.push((rest, pos));
        }
        match self.text.first() {
            Some(b'/') => self.go_to_root()?,
            Some(_) => {}
            None => return err(Errno::ENOENT),
        }
        Ok(true)
    }

    /// The root directory of the walk.
    pub(super) fn root(&mut self) -> &Path {
        let fs = self.caller.fs;
        self.root.get_or_insert_with(|| fs.root())
    }

    /// Along a magic link.
    fn jump(&mut self, to: Path) -> Result<()> {
        if self.flags.contains(WalkFlags::NO_MAGICLINKS) {
            return err(Errno::ELOOP);
        }
        if self.flags.intersects(WalkFlags::SCOPED)
            || (self.flags.contains(WalkFlags::NO_XDEV) && !Arc::ptr_eq(&to.mount, &self.at.mount))
        {
            return err(Errno::EXDEV);
        }
        self.at = to;
        Ok(())
    }

    /// Along an absolute link.
    fn go_to_root(&mut self) -> Result<()> {
        if self.flags.contains(WalkFlags::BENEATH) {
            return err(Errno::EXDEV);
        }
        let root = self.root().clone();
        if self.flags.contains(WalkFlags::NO_XDEV) && !Arc::ptr_eq(&root.mount, &self.at.mount) {
            return err(Errno::EXDEV);
        }
        self.at = root;
        Ok(())
    }

    /// Onto what is mounted where the walk is.
    fn cross_mounts(&mut self) -> Result<()> {
        while self.at.dentry.is_mountpoint()
            && let Some(mount) = self.at.mount.child_at(&self.at.dentry)
        {
            if self.flags.contains(WalkFlags::NO_XDEV) {
                return err(Errno::EXDEV);
            }
            self.at = Path::root_of(&mount);
        }
        Ok(())
    }

    /// ENOTDIR if the walk is at no directory, EACCES if it may not be searched.
    fn check_search(&self) -> Result<()> {
        if !self.at.is_dir() {
            return err(Errno::ENOTDIR);
        }
        if self.searches_all {
            return Ok(());
        }
        self.at.inode().access()?.check(self.caller.creds, Want::EXEC)
    }

    /// EACCES for a link that somebody else left in a sticky directory that all can write.
    fn check_protected(&self, link: &Arc<Dentry>) -> Result<()> {
        if sysctl::PROTECTED_SYMLINKS.get() == 0 {
            return Ok(());
        }
        let owner = link.inode().access()?.uid;
        let dir = self.at.inode().access()?;
        if owner == self.caller.creds.fsuid || dir.mode & (S_ISVTX | S_IWOTH) != S_ISVTX | S_IWOTH || owner == dir.uid {
            Ok(())
        } else {
            err(Errno::EACCES)
        }
    }
}
