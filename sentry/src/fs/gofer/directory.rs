//! Finding and listing names.

use std::sync::Arc;

use abi::Errno;
use ninep::{ClientError, Name, Stat};

use super::inode::{Body, GoferInode};
use super::listing::{Answer, Listing};
use super::log_lost;
use crate::error::{Result, err};
use crate::vfs::{DirEntry, Inode};

/// Names that readdir copies at a time out of a listing.
const BATCH: usize = 64;

/// Listings with more names than this are not kept to answer lookups.
const MAX_INDEX: usize = 16 * 1024;

impl GoferInode {
    /// The file called `name` in this directory.
    pub(super) fn find(&self, name: &[u8]) -> Result<Arc<Self>> {
        let known = self.listing()?;
        match known.as_ref().map(|listing| listing.lookup(name)) {
            Some(Answer::Absent) => return err(Errno::ENOENT),
            Some(Answer::Known(name, stat)) => {
                if let Some(this) = self.this() {
                    return Ok(self.fs.inode_listed(&this, &name, *stat));
                }
            }
            Some(Answer::Unknown) | None => {}
        }
        self.ask(name).map_err(|error| log_lost(&error))
    }

    fn ask(&self, name: &[u8]) -> std::result::Result<Arc<Self>, ClientError> {
        let fid = self.fid().map_err(|error| error.errno())?;
        let entry = self.fs.client.lookup(&fid, Name::new(name)?)?;
        Ok(self.fs.inode(entry))
    }

    /// Whether a name still means `child`, or still nothing.
    pub(super) fn still_is(&self, name: &[u8], child: Option<&Arc<dyn Inode>>) -> bool {
        let found = self.ask(name);
        match (found, child) {
            (Ok(found), Some(child)) => Self::of(child).is_ok_and(|child| Arc::ptr_eq(&found, &child)),
            (Err(ClientError::Refused(Errno::ENOENT)), None) => true,
            _ => false,
        }
    }

    /// readdir: names after position `from`.
    pub(super) fn list(&self, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        let Body::Directory(kept) = &self.body else { return err(Errno::ENOTDIR) };
        let known = self.listing()?.filter(|_| self.fs.exclusive() || from != 0);
        let listing = match known {
            Some(listing) => listing,
            None => {
                let entries = self.fs.client.list(&*self.fid()?).map_err(|error| log_lost(&error))?;
                let index = self.fs.exclusive() && entries.len() <= MAX_INDEX;
                let listing = Arc::new(Listing::new(entries, index));
                *kept.lock() = Some(Arc::clone(&listing));
                listing
            }
        };
        let mut at = from;
        loop {
            let batch = listing.after(at, BATCH);
            if batch.is_empty() {
                break;
            }
            for (next, entry) in &batch {
                if !emit(DirEntry { name: &entry.name, ino: entry.ino, kind: entry.kind, next: *next }) {
                    return Ok(());
                }
                at = *next;
            }
        }
        // Who lists a shared directory again wants to see what others changed.
        if !self.fs.exclusive() {
            *kept.lock() = None;
        }
        Ok(())
    }

    /// The names, if they were listed. ENOTDIR for anything else.
    pub(super) fn listing(&self) -> Result<Option<Arc<Listing>>> {
        match &self.body {
            Body::Directory(listing) => Ok(listing.lock().clone()),
            _ => err(Errno::ENOTDIR),
        }
    }

    /// A name in this directory was made, or means another file now.
    pub(super) fn name_added(&self, name: &[u8], stat: &Stat) {
        if let Ok(Some(listing)) = self.listing() {
            listing.added(name, stat);
        }
        self.attributes.touch();
    }

    /// A name in this directory was removed.
    pub(super) fn name_removed(&self, name: &[u8]) {
        if let Ok(Some(listing)) = self.listing() {
            listing.removed(name);
        }
        self.attributes.touch();
    }

    /// Ourselves, as others hold us.
    pub(super) fn this(&self) -> Option<Arc<Self>> {
        self.fs.inodes.get(self.key)
    }
}
