//! File events for those who watch inodes (inotify(7)): the VFS calls, [`Watcher`]s hang on inodes. While nobody watches
//! anything an event costs one load.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use bitflags::bitflags;
use sync::Mutex;

use super::{Dentry, File, Inode};
use crate::lock_order::FileLocks;

bitflags! {
    /// What happened; the values are those of inotify (IN_*).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Event: u32 {
        /// Data was read.
        const ACCESS = 0x1;
        /// Data was written or truncated.
        const MODIFY = 0x2;
        /// Metadata changed, links included.
        const ATTRIB = 0x4;
        /// A file open for writing was closed.
        const CLOSE_WRITE = 0x8;
        /// A file not open for writing was closed.
        const CLOSE_NOWRITE = 0x10;
        /// It was opened.
        const OPEN = 0x20;
        /// A name in the directory was moved away.
        const MOVED_FROM = 0x40;
        /// A name was moved into the directory.
        const MOVED_TO = 0x80;
        /// A name was made in the directory.
        const CREATE = 0x100;
        /// A name was removed from the directory.
        const DELETE = 0x200;
        /// The inode itself is gone.
        const DELETE_SELF = 0x400;
        /// The inode itself was moved.
        const MOVE_SELF = 0x800;
        /// Its file system was unmounted.
        const UNMOUNT = 0x2000;
        /// It came through an open file whose name is gone: not for watches with IN_EXCL_UNLINK (whose value it has).
        const UNLINKED = 0x0400_0000;
        /// The subject is a directory.
        const ISDIR = 0x4000_0000;
    }
}

/// Hears the events of the inodes it was added to. Whoever adds it keeps the [`Dentry`] of the inode alive, so that the
/// cache of names cannot forget the inode and make another for the same file.
pub trait Watcher: Debug + Send + Sync {
    /// Something happened to the inode, or (with `name`) to the entry of that name in the directory. Called with locks of
    /// the VFS up to `Dentry` held.
    fn event(&self, event: Event, cookie: u32, name: Option<&[u8]>);
}

/// The attachment.
#[derive(Debug, Default)]
struct Watches(Mutex<Vec<Arc<dyn Watcher>>, FileLocks>);

/// All watches there are.
static WATCHES: AtomicUsize = AtomicUsize::new(0);

/// Begins to tell `watcher` what happens to `inode`.
pub fn watch(inode: &dyn Inode, watcher: Arc<dyn Watcher>) {
    let watches = inode.attachments().get_or_insert(Watches::default);
    watches.0.lock().push(watcher);
    WATCHES.fetch_add(1, Ordering::SeqCst);
}

/// Stops that.
pub fn unwatch(inode: &dyn Inode, watcher: &Arc<dyn Watcher>) {
    let Some(watches) = inode.attachments().get::<Watches>() else { return };
    let mut list = watches.0.lock();
    let before = list.len();
    let (gone, kept): (Vec<_>, Vec<_>) = list.drain(..).partition(|w| Arc::ptr_eq(w, watcher));
    *list = kept;
    WATCHES.fetch_sub(before - list.len(), Ordering::SeqCst);
    drop(list);
    drop(gone);
}

/// A number that ties MOVED_FROM and MOVED_TO together.
#[must_use]
pub fn next_cookie() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Something happened through an open file: told to the inode and to its directory.
#[inline]
pub fn file_event(file: &File, event: Event) {
    if active() && !file.is_path() {
        let dentry = &file.path().dentry;
        tell(dentry, if dentry.is_unlinked() { event | Event::UNLINKED } else { event });
    }
}

/// Something happened to an inode under a name: told to the inode and to its directory.
#[inline]
pub fn dentry_event(dentry: &Arc<Dentry>, event: Event) {
    if active() {
        tell(dentry, event);
    }
}

/// Something happened to the entry `name` of a directory.
#[inline]
pub fn entry_event(dir: &Arc<Dentry>, name: &[u8], event: Event, is_dir: bool, cookie: u32) {
    if active() {
        let event = if is_dir { event | Event::ISDIR } else { event };
        send(&**dir.inode(), event, cookie, Some(name));
    }
}

/// Something happened to an inode itself, which its directory is not told.
#[inline]
pub fn self_event(inode: &dyn Inode, event: Event) {
    if active() {
        send(inode, event, 0, None);
    }
}

/// A name of an inode was removed: with the last one, and nobody having it open, the inode is gone.
pub(super) fn unlinked(dentry: &Arc<Dentry>) {
    if !active() {
        return;
    }
    if !dentry.is_dir() {
        send(&**dentry.inode(), Event::ATTRIB, 0, None);
    }
    if dentry.opens.load(Ordering::Acquire) == 0 {
        last_close(dentry);
    }
}

/// The last open file of an unlinked dentry is closed.
pub(super) fn last_close(dentry: &Arc<Dentry>) {
    if active() && (dentry.is_dir() || dentry.inode().attr().is_ok_and(|attr| attr.nlink == 0)) {
        send(&**dentry.inode(), Event::DELETE_SELF, 0, None);
    }
}

#[inline]
fn active() -> bool {
    WATCHES.load(Ordering::Relaxed) != 0
}

#[cold]
fn tell(dentry: &Arc<Dentry>, event: Event) {
    let event = if dentry.is_dir() { event | Event::ISDIR } else { event };
    if let (Some(parent), name) = dentry.place() {
        send(&**parent.inode(), event, 0, Some(&name));
    }
    send(&**dentry.inode(), event, 0, None);
}

#[cold]
fn send(inode: &dyn Inode, event: Event, cookie: u32, name: Option<&[u8]>) {
    let Some(watches) = inode.attachments().get::<Watches>() else { return };
    // A watcher may be taken off while it hears.
    let list = watches.0.lock().clone();
    for watcher in list {
        watcher.event(event, cookie, name);
    }
}
