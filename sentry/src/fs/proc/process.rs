//! The directory of a process or a thread.

use std::sync::Arc;

use abi::Errno;
use abi::dirent::{DT_DIR, DT_LNK, DT_REG};
use abi::stat::{S_IFDIR, S_IFREG};

use super::links::{Place, PlaceLink};
use super::{fd, files, ids, memory, status};
use crate::error::{Result, err};
use crate::fs::pseudo::text::TextFile;
use crate::fs::pseudo::{Meta, Tree, meta_inode};
use crate::task::{CurrentTask, PidNamespace, Task, ThreadGroup};
use crate::vfs::{DirEntry, Inode};

/// Whom a file shows.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// The thread; the leader for a process's own directory.
    pub(super) task: Arc<Task>,
    /// Whether sums over all threads are meant.
    pub(super) whole_process: bool,
    /// Whose numbers are shown.
    pub(super) ns: Arc<PidNamespace>,
}

/// Makes the text of a file.
pub(super) type Show = fn(&Subject, &CurrentTask) -> Result<Vec<u8>>;
/// Takes what was written to a file.
pub(super) type Store = fn(&Subject, &CurrentTask, &[u8]) -> Result<()>;

/// An entry of the directory.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What kind of entry.
pub(super) enum Kind {
    /// A file anybody may read.
    Text(Show),
    /// A file only for those who may inspect the process (mode 0400).
    Private(Show),
    /// A file that can be written too, with its mode.
    Writable(u32, Show, Store),
    /// A magic link.
    Link(Place),
    /// A file of its own kind.
    Special(fn(&ProcessDir, u64) -> Arc<dyn Inode>),
    /// A directory.
    Dir(fn(&ProcessDir) -> Arc<dyn Inode>),
}

/// All entries that both processes and threads have.
const COMMON: &[&[Entry]] = &[status::ENTRIES, memory::ENTRIES, files::ENTRIES, DIRECTORIES];

const DIRECTORIES: &[Entry] = &[
    Entry {
        name: "mem",
        kind: Kind::Special(|dir, index| super::mem::new(&dir.meta.tree(), &dir.subject, dir.number, index)),
    },
    Entry {
        name: "fd",
        kind: Kind::Dir(|dir| fd::FdDir::new(&dir.meta.tree(), &dir.subject, dir.number, fd::What::Links)),
    },
    Entry {
        name: "fdinfo",
        kind: Kind::Dir(|dir| fd::FdDir::new(&dir.meta.tree(), &dir.subject, dir.number, fd::What::Info)),
    },
    Entry { name: "ns", kind: Kind::Dir(|dir| super::ns::NsDir::new(&dir.meta.tree(), &dir.subject.task, dir.number)) },
    Entry { name: "net", kind: Kind::Dir(|dir| super::net::directory(&dir.meta.tree(), &dir.subject)) },
];

/// What only a process has.
const PROCESS_ONLY: &[Entry] =
    &[Entry { name: "task", kind: Kind::Dir(|dir| TaskDir::new(&dir.meta.tree(), &dir.subject, dir.number)) }];

/// `/proc/PID` or `/proc/PID/task/TID`.
#[derive(Debug)]
pub(super) struct ProcessDir {
    pub(super) meta: Meta,
    pub(super) subject: Subject,
    pub(super) number: i32,
}

impl ProcessDir {
    /// The directory of a process; ENOENT once it was waited for.
    pub(super) fn of_process(tree: &Tree, ns: &Arc<PidNamespace>, group: &Arc<ThreadGroup>) -> Result<Arc<dyn Inode>> {
        let task = group.leader().ok_or(Errno::ENOENT)?;
        Ok(Self::new(tree, Subject { task, whole_process: true, ns: Arc::clone(ns) }))
    }

    fn new(tree: &Tree, subject: Subject) -> Arc<dyn Inode> {
        let number = subject.task.tid_in(&subject.ns);
        let creds = subject.task.creds();
        let index = u64::from(!subject.whole_process);
        let meta = tree.meta_with_ino(ids::process(number, index), S_IFDIR | 0o555, 9).owned_by(creds.euid, creds.egid);
        Arc::new(Self { meta, subject, number })
    }

    /// The process, if it is the directory of a whole one.
    pub(super) fn process(&self) -> Option<&Arc<ThreadGroup>> {
        self.subject.whole_process.then(|| self.subject.task.group())
    }

    fn entries(&self) -> impl Iterator<Item = (u64, &'static Entry)> {
        let own: &'static [Entry] = if self.subject.whole_process { PROCESS_ONLY } else { &[] };
        (2..).zip(COMMON.iter().copied().flatten().chain(own))
    }

    fn make(&self, index: u64, entry: &'static Entry) -> Arc<dyn Inode> {
        let tree = self.meta.tree();
        let creds = self.subject.task.creds();
        let file = |mode: u32, show: Show, store: Option<Store>| {
            let ino = ids::process(self.number, index + if self.subject.whole_process { 0 } else { 256 });
            let meta = tree.meta_with_ino(ino, S_IFREG | mode, 1).owned_by(creds.euid, creds.egid);
            let (reader, writer) = (self.subject.clone(), self.subject.clone());
            let show =
                Arc::new(move |task: &CurrentTask| if gone(&reader) { err(Errno::ESRCH) } else { show(&reader, task) });
            let store = store.map(|store| {
                Arc::new(move |task: &CurrentTask, bytes: &[u8]| store(&writer, task, bytes))
                    as Arc<crate::fs::pseudo::text::Store>
            });
            TextFile::with(meta, show, store) as Arc<dyn Inode>
        };
        match &entry.kind {
            Kind::Text(show) => file(0o444, *show, None),
            Kind::Private(show) => file(0o400, *show, None),
            Kind::Writable(mode, show, store) => file(*mode, *show, Some(*store)),
            Kind::Link(place) => PlaceLink::new(&tree, &self.subject.task, self.number, index, *place),
            Kind::Special(make) => make(self, index),
            Kind::Dir(make) => make(self),
        }
    }
}

/// Whether the process was waited for: its files then say ESRCH.
fn gone(subject: &Subject) -> bool {
    subject.task.group().is_released()
}

impl Inode for ProcessDir {
    meta_inode!();

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        if gone(&self.subject) {
            return err(Errno::ENOENT);
        }
        match self.entries().find(|(_, entry)| entry.name.as_bytes() == name) {
            Some((index, entry)) => Ok(self.make(index, entry)),
            None => err(Errno::ENOENT),
        }
    }

    fn readdir(&self, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        if gone(&self.subject) {
            return err(Errno::ENOENT);
        }
        for (index, entry) in self.entries().skip_while(|(index, _)| *index <= from) {
            let kind = match entry.kind {
                Kind::Link(_) => DT_LNK,
                Kind::Dir(_) => DT_DIR,
                Kind::Text(_) | Kind::Private(_) | Kind::Writable(..) | Kind::Special(_) => DT_REG,
            };
            if !emit(DirEntry { name: entry.name.as_bytes(), ino: ids::process(self.number, index), kind, next: index })
            {
                break;
            }
        }
        Ok(())
    }
}

/// `/proc/PID/task`.
#[derive(Debug)]
struct TaskDir {
    meta: Meta,
    subject: Subject,
}

impl TaskDir {
    fn new(tree: &Tree, subject: &Subject, number: i32) -> Arc<dyn Inode> {
        let links = 2 + u32::try_from(subject.task.group().threads().len()).unwrap_or(0);
        let meta = tree.meta_with_ino(ids::process(number, 512), S_IFDIR | 0o555, links);
        Arc::new(Self { meta, subject: subject.clone() })
    }
}

impl Inode for TaskDir {
    meta_inode!();

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let number = ids::parse_number(name).ok_or(Errno::ENOENT)?;
        let ns = &self.subject.ns;
        let task = self.subject.task.group().thread(ns, number).ok_or(Errno::ENOENT)?;
        Ok(ProcessDir::new(&self.meta.tree(), Subject { task, whole_process: false, ns: Arc::clone(ns) }))
    }

    fn readdir(&self, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        let from = i32::try_from(from).unwrap_or(i32::MAX);
        let mut numbers: Vec<i32> =
            self.subject.task.group().threads().iter().map(|task| task.tid_in(&self.subject.ns)).collect();
        numbers.sort_unstable();
        for number in numbers.into_iter().filter(|n| *n > from) {
            let next = u64::try_from(number).unwrap_or(0);
            if !emit(DirEntry { name: number.to_string().as_bytes(), ino: ids::process(number, 1), kind: DT_DIR, next })
            {
                break;
            }
        }
        Ok(())
    }
}
