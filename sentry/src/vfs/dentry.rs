//! Names: [`Dentry`], and the cache of them.
//!
//! A directory's dentry keeps the names that were looked up in it, found or not. A cached lookup takes that directory's
//! `Names` lock to read and nothing else. A miss, and every change, calls the file system under the directory's `Dentry`
//! lock (shared for lookups). A dentry always has an inode: names that do not exist are entries without a dentry.
//!
//! Parents keep their children in the cache and children keep their parents alive. A name leaves the cache when it is
//! removed, found stale, evicted ([`shrink`](super::dentry_shrink)) or when its file system is unmounted.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use abi::Errno;
use abi::stat::FileType;
use sync::RwLock;

use super::name_hash::NameHash;
use super::super_block::SuperBlock;
use super::{Caching, FileSystem, Inode, dentry_shrink};
use crate::error::{Result, err};
use crate::lock_order;

/// A name in a file system, and the inode it means.
#[derive(Debug)]
pub struct Dentry {
    sb: Arc<SuperBlock>,
    inode: Arc<dyn Inode>,
    kind: FileType,
    place: RwLock<Place, lock_order::Place>,
    /// Held over calls of the file system on this directory: shared to look up, exclusive to change.
    pub(super) dir: RwLock<(), lock_order::Dentry>,
    pub(super) names: RwLock<Names, lock_order::Names>,
    /// Mounts on this dentry, in all namespaces.
    pub(super) mounts: AtomicU32,
    /// Open files of it.
    pub(super) opens: AtomicU32,
    pub(super) flags: AtomicU8,
}

/// The name was removed (or found stale): paths to it end in ` (deleted)`.
pub(super) const UNLINKED: u8 = 1;
/// Found in the cache since the last look for names to evict.
pub(super) const REFERENCED: u8 = 2;
/// Not in a directory: a pipe, a socket; its name is its whole path.
const PSEUDO: u8 = 4;
/// Made without a name, by O_TMPFILE without O_EXCL: link(2) may give it one.
const TMPFILE: u8 = 8;

#[derive(Debug)]
struct Place {
    parent: Option<Arc<Dentry>>,
    name: Arc<[u8]>,
}

pub(super) type Names = HashMap<Arc<[u8]>, Entry, NameHash>;

/// What the cache knows of a name.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// It exists.
    Positive(Arc<Dentry>),
    /// It does not.
    Negative,
}

impl Dentry {
    /// The root of a tree of dentries over a file system. Whoever mounts a file system more than once keeps this root and
    /// mounts it again, so that all see the same cache.
    pub fn new_root(fs: Arc<dyn FileSystem>) -> Result<Arc<Self>> {
        let inode = fs.root();
        Self::make(SuperBlock::new(fs), inode, None, Arc::from(&b"/"[..]))
    }

    /// A dentry outside of any directory; `name` is what /proc/PID/fd shows (`pipe:[7]`).
    pub(super) fn new_pseudo(sb: &Arc<SuperBlock>, inode: Arc<dyn Inode>, name: &[u8]) -> Arc<Self> {
        let kind = inode.file_type().unwrap_or(FileType::Regular);
        let dentry = Self::with_kind(Arc::clone(sb), inode, kind, None, Arc::from(name));
        dentry.flags.fetch_or(PSEUDO, Ordering::Relaxed);
        dentry
    }

    /// A dentry that has a parent but never is in its cache: what O_TMPFILE makes.
    pub(super) fn new_tmpfile(
        self: &Arc<Self>,
        inode: Arc<dyn Inode>,
        name: &[u8],
        linkable: bool,
    ) -> Result<Arc<Self>> {
        let dentry = Self::make(Arc::clone(&self.sb), inode, Some(Arc::clone(self)), Arc::from(name))?;
        let flags = if linkable { UNLINKED | TMPFILE } else { UNLINKED };
        dentry.flags.fetch_or(flags, Ordering::Relaxed);
        Ok(dentry)
    }

    fn make(
        sb: Arc<SuperBlock>,
        inode: Arc<dyn Inode>,
        parent: Option<Arc<Self>>,
        name: Arc<[u8]>,
    ) -> Result<Arc<Self>> {
        let kind = inode.file_type()?;
        Ok(Self::with_kind(sb, inode, kind, parent, name))
    }

    fn with_kind(
        sb: Arc<SuperBlock>,
        inode: Arc<dyn Inode>,
        kind: FileType,
        parent: Option<Arc<Self>>,
        name: Arc<[u8]>,
    ) -> Arc<Self> {
        Arc::new(Self {
            sb,
            inode,
            kind,
            place: RwLock::new(Place { parent, name }),
            dir: RwLock::new(()),
            names: RwLock::new(HashMap::with_hasher(NameHash)),
            mounts: AtomicU32::new(0),
            opens: AtomicU32::new(0),
            flags: AtomicU8::new(0),
        })
    }

    /// What it means.
    #[must_use]
    pub fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    /// What the inode is; never changes.
    #[must_use]
    pub fn kind(&self) -> FileType {
        self.kind
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.kind == FileType::Directory
    }

    /// Its file system instance.
    #[must_use]
    pub fn sb(&self) -> &Arc<SuperBlock> {
        &self.sb
    }

    /// Its file system.
    #[must_use]
    pub fn fs(&self) -> &Arc<dyn FileSystem> {
        self.sb.fs()
    }

    /// The directory it is in; `None` for the root of a file system.
    #[must_use]
    pub fn parent(&self) -> Option<Arc<Self>> {
        self.place.read().parent.clone()
    }

    /// Its name in that directory.
    #[must_use]
    pub fn name(&self) -> Arc<[u8]> {
        Arc::clone(&self.place.read().name)
    }

    /// Parent and name at one moment.
    #[must_use]
    pub fn place(&self) -> (Option<Arc<Self>>, Arc<[u8]>) {
        let place = self.place.read();
        (place.parent.clone(), Arc::clone(&place.name))
    }

    /// Whether the name was removed while something still uses the dentry.
    #[must_use]
    pub fn is_unlinked(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & UNLINKED != 0
    }

    /// Whether it stands outside of any directory (a pipe, a socket).
    #[must_use]
    pub fn is_pseudo(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & PSEUDO != 0
    }

    /// Whether it was made without a name and may get one.
    #[must_use]
    pub(super) fn is_tmpfile(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & TMPFILE != 0
    }

    /// Whether something is mounted on it, in any namespace.
    #[must_use]
    pub fn is_mountpoint(&self) -> bool {
        self.mounts.load(Ordering::Acquire) != 0
    }

    /// Whether `self` is `other` or above it in the same file system.
    #[must_use]
    pub fn is_ancestor_of(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        let mut at = Arc::clone(other);
        loop {
            if Arc::ptr_eq(self, &at) {
                return true;
            }
            match at.parent() {
                Some(parent) => at = parent,
                None => return false,
            }
        }
    }

    /// Finds a name in this directory: ENOENT if there is none, ENOTDIR if this is no directory. Permission was checked.
    pub fn lookup(self: &Arc<Self>, name: &[u8]) -> Result<Arc<Self>> {
        match self.cached(name) {
            Some(Entry::Positive(found)) => Ok(found),
            Some(Entry::Negative) => err(Errno::ENOENT),
            None => {
                let _dir = self.dir.read();
                self.lookup_locked(name)
            }
        }
    }

    /// As [`Self::lookup`], with the `dir` lock held (either way).
    pub(super) fn lookup_locked(self: &Arc<Self>, name: &[u8]) -> Result<Arc<Self>> {
        match self.cached(name) {
            Some(Entry::Positive(found)) => return Ok(found),
            Some(Entry::Negative) => return err(Errno::ENOENT),
            None => {}
        }
        if !self.is_dir() {
            return err(Errno::ENOTDIR);
        }
        if self.is_unlinked() {
            return err(Errno::ENOENT);
        }
        match self.inode.lookup(name) {
            Ok(inode) => {
                let name: Arc<[u8]> = Arc::from(name);
                let child = Self::make(Arc::clone(&self.sb), inode, Some(Arc::clone(self)), Arc::clone(&name))?;
                if self.sb.caching() == Caching::Never { Ok(child) } else { Ok(self.adopt(name, child)) }
            }
            Err(e) if e.is(Errno::ENOENT) => {
                if self.sb.caching() != Caching::Never {
                    self.set_entry(Arc::from(name), Entry::Negative);
                }
                Err(e)
            }
            Err(e) => Err(e),
        }
    }

    /// What the cache knows of a name, unless the file system says that it is stale.
    fn cached(&self, name: &[u8]) -> Option<Entry> {
        let entry = self.names.read().get(name)?.clone();
        if let Entry::Positive(child) = &entry {
            if child.flags.load(Ordering::Relaxed) & REFERENCED == 0 {
                child.flags.fetch_or(REFERENCED, Ordering::Relaxed);
            }
            // What is mounted on stays where it is.
            if child.is_mountpoint() {
                return Some(entry);
            }
        }
        if self.sb.caching() == Caching::Revalidate {
            let known = match &entry {
                Entry::Positive(child) => Some(&child.inode),
                Entry::Negative => None,
            };
            if !self.inode.revalidate(name, known) {
                self.forget(name, &entry);
                return None;
            }
        }
        Some(entry)
    }

    /// Drops a stale entry.
    fn forget(&self, name: &[u8], stale: &Entry) {
        let mut names = self.names.write();
        let same = match (names.get(name), stale) {
            (Some(Entry::Positive(a)), Entry::Positive(b)) => Arc::ptr_eq(a, b),
            (Some(Entry::Negative), Entry::Negative) => true,
            _ => false,
        };
        if same {
            let gone = names.remove(name);
            drop(names);
            self.sb.cached.fetch_sub(1, Ordering::Relaxed);
            if let Some(Entry::Positive(child)) = gone {
                child.flags.fetch_or(UNLINKED, Ordering::Relaxed);
            }
        }
    }

    /// Puts a dentry that a lookup made into the cache, or returns the one that was put there meanwhile.
    fn adopt(self: &Arc<Self>, name: Arc<[u8]>, child: Arc<Self>) -> Arc<Self> {
        let mut names = self.names.write();
        if let Some(Entry::Positive(there)) = names.get(&name) {
            return Arc::clone(there);
        }
        let fresh = names.insert(name, Entry::Positive(Arc::clone(&child))).is_none();
        drop(names);
        if fresh {
            self.count_entry();
        }
        child
    }

    fn set_entry(self: &Arc<Self>, name: Arc<[u8]>, entry: Entry) {
        let old = self.names.write().insert(name, entry);
        if old.is_none() {
            self.count_entry();
        }
    }

    fn count_entry(self: &Arc<Self>) {
        let count = self.sb.cached.fetch_add(1, Ordering::Relaxed) + 1;
        if count > dentry_shrink::LIMIT {
            dentry_shrink::shrink(self);
        }
    }

    /// A name was made in this directory. With `dir` held exclusively.
    pub(super) fn added(self: &Arc<Self>, name: &[u8], inode: Arc<dyn Inode>) -> Result<Arc<Self>> {
        let name: Arc<[u8]> = Arc::from(name);
        let child = Self::make(Arc::clone(&self.sb), inode, Some(Arc::clone(self)), Arc::clone(&name))?;
        if self.sb.caching() != Caching::Never {
            self.set_entry(name, Entry::Positive(Arc::clone(&child)));
        }
        Ok(child)
    }

    /// A name was removed from this directory. With `dir` held exclusively.
    pub(super) fn removed(self: &Arc<Self>, child: &Arc<Self>) {
        child.flags.fetch_or(UNLINKED, Ordering::Relaxed);
        self.clear_name(&child.name());
    }

    /// The cache no longer says that the name exists.
    fn clear_name(self: &Arc<Self>, name: &Arc<[u8]>) {
        if self.sb.caching() == Caching::Never {
            if self.names.write().remove(name).is_some() {
                self.sb.cached.fetch_sub(1, Ordering::Relaxed);
            }
        } else {
            self.set_entry(Arc::clone(name), Entry::Negative);
        }
    }

    /// `child` of this directory is now `name` in `new_dir`. With both `dir` locks held exclusively.
    pub(super) fn moved(self: &Arc<Self>, child: &Arc<Self>, new_dir: &Arc<Self>, name: &[u8]) {
        let name: Arc<[u8]> = Arc::from(name);
        self.clear_name(&child.name());
        let old = {
            let mut place = child.place.write();
            place.name = Arc::clone(&name);
            place.parent.replace(Arc::clone(new_dir))
        };
        drop(old);
        self.sb.moves.fetch_add(1, Ordering::Release);
        new_dir.set_entry(name, Entry::Positive(Arc::clone(child)));
    }

    /// The two changed places. With both `dir` locks held exclusively.
    pub(super) fn exchanged(a: &Arc<Self>, b: &Arc<Self>) {
        let (Some(a_dir), Some(b_dir)) = (a.parent(), b.parent()) else { return };
        let (a_name, b_name) = (a.name(), b.name());
        for (dentry, dir, name) in [(a, &b_dir, &b_name), (b, &a_dir, &a_name)] {
            let mut place = dentry.place.write();
            place.name = Arc::clone(name);
            let old = place.parent.replace(Arc::clone(dir));
            drop(place);
            drop(old);
        }
        a.sb.moves.fetch_add(1, Ordering::Release);
        b_dir.set_entry(b_name, Entry::Positive(Arc::clone(a)));
        a_dir.set_entry(a_name, Entry::Positive(Arc::clone(b)));
    }

    /// A file that had no name (O_TMPFILE) got one in this directory. With `dir` held exclusively.
    pub(super) fn named(self: &Arc<Self>, child: &Arc<Self>, name: &[u8]) {
        let name: Arc<[u8]> = Arc::from(name);
        let old = {
            let mut place = child.place.write();
            place.name = Arc::clone(&name);
            place.parent.replace(Arc::clone(self))
        };
        drop(old);
        child.flags.fetch_and(!UNLINKED, Ordering::Relaxed);
        self.set_entry(name, Entry::Positive(Arc::clone(child)));
    }

    /// Makes sure that lookups keep finding this very dentry, as a mount on it needs where names are not cached. Returns
    /// the one that they find, which is another if somebody was quicker.
    pub(super) fn pin(self: &Arc<Self>) -> Arc<Self> {
        if self.sb.caching() != Caching::Never {
            return Arc::clone(self);
        }
        // From the root downwards: what stands above must be found first.
        let mut chain = vec![Arc::clone(self)];
        while let Some(parent) = chain.last().and_then(|d| d.parent()) {
            chain.push(parent);
        }
        let Some(mut at) = chain.pop() else { return Arc::clone(self) };
        while let Some(child) = chain.pop() {
            let name = child.name();
            let mut place = child.place.write();
            let old = place.parent.replace(Arc::clone(&at));
            drop(place);
            drop(old);
            at = at.adopt(name, child);
        }
        at
    }

    /// Forgets all names in a directory that was removed.
    pub(super) fn drop_names(&self) {
        let names = std::mem::take(&mut *self.names.write());
        self.sb.cached.fetch_sub(names.len(), Ordering::Relaxed);
    }

    /// What [`Self::pin`] kept need not be found any more, unless something else is mounted on or below it.
    pub(super) fn unpin(self: &Arc<Self>) {
        if self.sb.caching() != Caching::Never {
            return;
        }
        let mut at = Arc::clone(self);
        while let Some(parent) = at.parent()
            && !at.is_mountpoint()
            && at.names.read().is_empty()
        {
            parent.clear_name(&at.name());
            at = parent;
        }
    }

    /// Empties the cache below this root, when its file system is unmounted for good: the cycles of parents and children
    /// are cut.
    pub(super) fn drop_cache(self: &Arc<Self>) {
        let mut stack = vec![Arc::clone(self)];
        while let Some(dentry) = stack.pop() {
            let names = std::mem::take(&mut *dentry.names.write());
            self.sb.cached.fetch_sub(names.len(), Ordering::Relaxed);
            stack.extend(names.into_values().filter_map(|entry| match entry {
                Entry::Positive(child) => Some(child),
                Entry::Negative => None,
            }));
        }
    }
}

impl Drop for Dentry {
    /// Lets go of a chain of ancestors without recursion, however deep an application nested it.
    fn drop(&mut self) {
        let mut next = self.place.get_mut().parent.take();
        while let Some(parent) = next.and_then(Arc::into_inner) {
            let mut parent = parent;
            next = parent.place.get_mut().parent.take();
        }
    }
}
