//! F_NOTIFY of fcntl(2): a signal to the owner of an open directory when something happens in it.
//!
//! A [`DirWatch`] hangs on the directory's inode for one open file and one table of descriptors, and goes when that
//! table closes a descriptor of the file. Locks: `Leaf` over a file's list of them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use abi::Errno;
use abi::fcntl::DnotifyFlags;

use super::{DIRECTORY_WATCHED, File, Target};
use crate::error::{Result, err};
use crate::task::CurrentTask;
use crate::vfs::notify::{self, Event, Watcher};

/// A watch.
#[derive(Debug)]
pub(super) struct DirWatch {
    file: Weak<File>,
    /// The table of descriptors it was asked through.
    table: u64,
    /// The descriptor that the signal names.
    fd: AtomicU32,
    /// What is asked for; nothing once a watch for one event had it.
    wanted: AtomicU32,
    /// The rename whose first half was told last.
    renamed: AtomicU32,
}

impl File {
    /// F_NOTIFY: adds to the events asked for, or ends all if there are none in `flags`. `fd` is the descriptor that signals name.
    pub fn notify_of(self: &Arc<Self>, task: &CurrentTask, fd: i32, flags: DnotifyFlags) -> Result<()> {
        let table = task.files().id();
        if (flags - DnotifyFlags::DN_MULTISHOT).is_empty() {
            self.end_dir_watches(table);
            return Ok(());
        }
        if !self.path.dentry.is_dir() {
            return err(Errno::ENOTDIR);
        }
        self.set_owner(|owner| {
            if let Target::None = owner.target {
                owner.target = Target::Process(Arc::clone(task.group().pid()));
                (owner.uid, owner.euid) = (task.creds().uid, task.creds().euid);
            }
        });
        let mut signals = self.signals.lock();
        if let Some(known) = signals.directories.iter().find(|watch| watch.table == table) {
            known.fd.store(fd.cast_unsigned(), Ordering::SeqCst);
            known.wanted.fetch_or(flags.bits(), Ordering::SeqCst);
            return Ok(());
        }
        let watch = Arc::new(DirWatch {
            file: Arc::downgrade(self),
            table,
            fd: AtomicU32::new(fd.cast_unsigned()),
            wanted: AtomicU32::new(flags.bits()),
            renamed: AtomicU32::new(0),
        });
        signals.directories.push(Arc::clone(&watch));
        drop(signals);
        self.marks.fetch_or(DIRECTORY_WATCHED, Ordering::Relaxed);
        notify::watch(&**self.inode(), watch);
        Ok(())
    }

    /// A descriptor of the file was closed in `table`.
    pub(super) fn end_dir_watches(&self, table: u64) {
        let gone: Vec<_> = self.signals.lock().directories.extract_if(.., |watch| watch.table == table).collect();
        for watch in gone {
            notify::unwatch(&**self.inode(), &(watch as Arc<dyn Watcher>));
        }
    }
}

impl Watcher for DirWatch {
    fn event(&self, event: Event, cookie: u32, name: Option<&[u8]>) {
        // What happens to an inode that is no directory is told under its name.
        if name.is_none() && !event.contains(Event::ISDIR) {
            return;
        }
        let wanted = DnotifyFlags::from_bits_retain(self.wanted.load(Ordering::SeqCst));
        if !wanted.intersects(self.kinds(event, cookie)) {
            return;
        }
        if !wanted.contains(DnotifyFlags::DN_MULTISHOT) {
            self.wanted.store(0, Ordering::SeqCst);
        }
        if let Some(file) = self.file.upgrade() {
            file.signal_of_directory(self.fd.load(Ordering::SeqCst).cast_signed());
        }
    }
}

impl DirWatch {
    fn kinds(&self, event: Event, cookie: u32) -> DnotifyFlags {
        let mut kinds = DnotifyFlags::empty();
        kinds.set(DnotifyFlags::DN_ACCESS, event.contains(Event::ACCESS));
        kinds.set(DnotifyFlags::DN_MODIFY, event.contains(Event::MODIFY));
        kinds.set(DnotifyFlags::DN_ATTRIB, event.contains(Event::ATTRIB));
        kinds.set(DnotifyFlags::DN_CREATE, event.intersects(Event::CREATE | Event::MOVED_TO));
        kinds.set(DnotifyFlags::DN_DELETE, event.intersects(Event::DELETE | Event::MOVED_FROM));
        if event.contains(Event::MOVED_FROM) {
            self.renamed.store(cookie, Ordering::SeqCst);
        }
        // Within the directory: both halves come here.
        let within = event.contains(Event::MOVED_TO) && self.renamed.load(Ordering::SeqCst) == cookie;
        kinds.set(DnotifyFlags::DN_RENAME, within);
        kinds
    }
}
