//! Finding and listing names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use abi::Errno;
use ninep::client::{ListedEntry, Stats};
use ninep::{ClientError, Name, Stat};
use sync::Mutex;

use super::inode::{Body, GoferInode, Reach};
use super::listing::{Answer, Listing};
use super::log_lost;
use crate::error::{Result, err};
use crate::lock_order::InodeData;
use crate::vfs::{DirEntry, Inode};

/// Names that readdir copies at a time out of a listing.
const BATCH: usize = 64;

/// Listings with more names than this are not kept to answer lookups.
const MAX_INDEX: usize = 16 * 1024;

/// Names that were asked for and absent, after which a small directory is listed: then the next ones cost nothing. Search
/// paths make for many of them.
const MISSES: u32 = 4;

/// What counts as small: the length of a directory with some hundreds of names.
const SMALL: u64 = 16 * 1024;

/// What a directory has besides its attributes.
#[derive(Debug, Default)]
pub(super) struct Directory {
    listing: Mutex<Option<Arc<Listing>>, InodeData>,
    misses: AtomicU32,
    /// Counts names made and removed, before the listing is told. A listing that was asked for meanwhile is not kept.
    changes: AtomicU64,
}

impl GoferInode {
    /// The file called `name` in this directory.
    pub(super) fn find(&self, name: &[u8]) -> Result<Arc<Self>> {
        if let Some(known) = self.listing()? {
            let mut answer = known.lookup(name);
            if matches!(answer, Answer::WorthAll) {
                // If it fails, files are asked for one by one as before.
                if let Ok(listed) = self.ask_names(Stats::All) {
                    known.tell(listed);
                }
                answer = known.lookup(name);
            }
            match answer {
                Answer::Absent => return err(Errno::ENOENT),
                Answer::Known(name, stat) => {
                    if let Some(this) = self.this() {
                        return Ok(self.fs.inode_listed(&this, &name, *stat));
                    }
                }
                Answer::Unknown | Answer::WorthAll => {}
            }
        }
        self.ask(name).map_err(|error| {
            self.missed(&error);
            log_lost(&error)
        })
    }

    /// A name was absent: many of them make it worth while to know all that are present.
    fn missed(&self, error: &ClientError) {
        let Body::Directory(directory) = &self.body else { return };
        let absent = matches!(error, ClientError::Refused(Errno::ENOENT));
        if absent
            && self.fs.exclusive()
            && directory.misses.fetch_add(1, Ordering::Relaxed) + 1 == MISSES
            && self.attributes.last().size <= SMALL
        {
            // If it fails, names are asked for one by one as before.
            let _ = self.fetch_listing(directory, Stats::All);
        }
    }

    fn fetch_listing(&self, directory: &Directory, stats: Stats) -> Result<Arc<Listing>> {
        let before = directory.changes.load(Ordering::SeqCst);
        let entries = self.ask_names(stats)?;
        let index = self.fs.exclusive() && entries.len() <= MAX_INDEX;
        let listing = Arc::new(Listing::new(entries, index));
        let mut kept = directory.listing.lock();
        if directory.changes.load(Ordering::SeqCst) == before {
            *kept = Some(Arc::clone(&listing));
        }
        Ok(listing)
    }

    fn ask_names(&self, stats: Stats) -> Result<Vec<ListedEntry>> {
        let listed = match self.reach()? {
            Reach::Fid(fid) => self.fs.client.list(&fid, stats),
            Reach::Name(dir, name) => {
                let asked = self.fs.client.lookup_and_list(&dir, Name::new(&name)?, stats);
                let (entry, listed) = asked.map_err(|error| log_lost(&error))?;
                self.reached(entry)?;
                listed
            }
        };
        listed.map_err(|error| log_lost(&error))
    }

    fn ask(&self, name: &[u8]) -> std::result::Result<Arc<Self>, ClientError> {
        let name = Name::new(name)?;
        let entry = match self.reach().map_err(|error| error.errno())? {
            Reach::Fid(fid) => self.fs.client.lookup(&fid, name)?,
            Reach::Name(dir, own) => {
                let (found, stopped) = self.fs.client.lookup_path(&dir, &[Name::new(&own)?, name])?;
                let mut found = found.into_iter();
                let refused = stopped.unwrap_or(Errno::EIO);
                self.reached(found.next().ok_or(refused)?).map_err(|error| error.errno())?;
                found.next().ok_or(refused)?
            }
        };
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
        let Body::Directory(directory) = &self.body else { return err(Errno::ENOTDIR) };
        let known = self.listing()?.filter(|_| self.fs.exclusive() || from != 0);
        let listing = match known {
            Some(listing) => listing,
            None => self.fetch_listing(directory, Stats::OfFew)?,
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
            *directory.listing.lock() = None;
        }
        Ok(())
    }

    /// The names, if they were listed. ENOTDIR for anything else.
    pub(super) fn listing(&self) -> Result<Option<Arc<Listing>>> {
        match &self.body {
            Body::Directory(directory) => Ok(directory.listing.lock().clone()),
            _ => err(Errno::ENOTDIR),
        }
    }

    /// A name in this directory was made, or means another file now.
    pub(super) fn name_added(&self, name: &[u8], stat: &Stat) {
        self.names_changed();
        if let Ok(Some(listing)) = self.listing() {
            listing.added(name, stat);
        }
        self.attributes.touch();
    }

    /// A name in this directory was removed.
    pub(super) fn name_removed(&self, name: &[u8]) {
        self.names_changed();
        if let Ok(Some(listing)) = self.listing() {
            listing.removed(name);
        }
        self.attributes.touch();
    }

    fn names_changed(&self) {
        if let Body::Directory(directory) = &self.body {
            directory.changes.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Ourselves, as others hold us.
    pub(super) fn this(&self) -> Option<Arc<Self>> {
        self.fs.inodes.get(self.key)
    }
}
