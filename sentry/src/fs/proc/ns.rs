//! `/proc/PID/ns`: the namespaces of a task, as links that can be opened for setns(2).

use std::sync::Arc;

use abi::Errno;
use abi::dirent::DT_LNK;
use abi::stat::{S_IFDIR, S_IFLNK};

use super::ids;
use super::links::may_inspect;
use crate::error::{Result, err};
use crate::fs::nsfs::{self, Namespace};
use crate::fs::pseudo::{Meta, Tree, meta_inode};
use crate::task::{CurrentTask, Task};
use crate::vfs::{DirEntry, Inode, Path};

/// The directory.
#[derive(Debug)]
pub(super) struct NsDir {
    meta: Meta,
    task: Arc<Task>,
    number: i32,
}

/// Name in the directory, and which namespace it is.
type Find = fn(&Task) -> Option<Namespace>;

const ENTRIES: &[(&str, Find)] = &[
    ("cgroup", |task| Some(Namespace::Cgroup(Arc::clone(&task.namespaces()?.cgroup)))),
    ("ipc", |task| Some(Namespace::Ipc(Arc::clone(&task.namespaces()?.ipc)))),
    ("mnt", |task| Some(Namespace::Mount(task.fs()?.namespace()))),
    ("net", |task| Some(Namespace::Net(Arc::clone(&task.namespaces()?.net)))),
    ("pid", |task| Some(Namespace::Pid(Arc::clone(task.pid_ns())))),
    ("pid_for_children", |task| Some(Namespace::Pid(Arc::clone(&task.namespaces()?.pid_for_children)))),
    ("time", |task| Some(Namespace::Time(Arc::clone(&task.namespaces()?.time)))),
    ("time_for_children", |task| Some(Namespace::Time(Arc::clone(&task.namespaces()?.time_for_children)))),
    ("user", |task| Some(Namespace::User(Arc::clone(&task.creds().user_ns)))),
    ("uts", |task| Some(Namespace::Uts(Arc::clone(&task.namespaces()?.uts)))),
];

impl NsDir {
    pub(super) fn new(tree: &Tree, task: &Arc<Task>, number: i32) -> Arc<dyn Inode> {
        let creds = task.creds();
        let meta = tree.meta_with_ino(ids::process(number, 515), S_IFDIR | 0o511, 2).owned_by(creds.euid, creds.egid);
        Arc::new(Self { meta, task: Arc::clone(task), number })
    }
}

impl Inode for NsDir {
    meta_inode!();

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let Some((index, (_, find))) = (520..).zip(ENTRIES).find(|(_, (known, _))| known.as_bytes() == name) else {
            return err(Errno::ENOENT);
        };
        let creds = self.task.creds();
        let meta = self
            .meta
            .tree()
            .meta_with_ino(ids::process(self.number, index), S_IFLNK | 0o777, 1)
            .owned_by(creds.euid, creds.egid);
        Ok(Arc::new(NsLink { meta, task: Arc::clone(&self.task), find: *find }))
    }

    fn readdir(&self, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        for (next, (name, _)) in (1..).zip(ENTRIES).skip_while(|(next, _)| *next <= from) {
            if !emit(DirEntry { name: name.as_bytes(), ino: ids::process(self.number, 519 + next), kind: DT_LNK, next })
            {
                break;
            }
        }
        Ok(())
    }
}

/// One namespace.
#[derive(Debug)]
struct NsLink {
    meta: Meta,
    task: Arc<Task>,
    find: Find,
}

impl NsLink {
    fn namespace(&self, task: &CurrentTask) -> Result<Namespace> {
        may_inspect(task, &self.task)?;
        (self.find)(&self.task).ok_or_else(|| Errno::ENOENT.into())
    }
}

impl Inode for NsLink {
    meta_inode!();

    fn readlink_for(&self, task: &CurrentTask) -> Result<Vec<u8>> {
        Ok(self.namespace(task)?.name().into_bytes())
    }

    fn follow(&self, task: &CurrentTask) -> Result<Option<Path>> {
        Ok(Some(nsfs::path(self.namespace(task)?)))
    }
}
