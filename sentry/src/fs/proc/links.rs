//! Links of procfs: `self`, and the magic ones that lead to a place without walking a path.

use std::fmt;
use std::sync::Arc;

use abi::Errno;
use abi::capability::Cap;
use abi::stat::S_IFLNK;

use super::ids;
use crate::error::{Result, err};
use crate::fs::pseudo::{Meta, Tree, meta_inode};
use crate::task::{CurrentTask, PidNamespace, Task};
use crate::vfs::{Inode, Path};

/// A link whose target depends on who reads it.
pub(super) struct ReaderLink {
    meta: Meta,
    target: Box<dyn Fn(&CurrentTask) -> Result<Vec<u8>> + Send + Sync>,
}

/// `/proc/self`.
pub(super) fn this_process(tree: &Tree, ns: &Arc<PidNamespace>) -> Arc<ReaderLink> {
    let ns = Arc::clone(ns);
    ReaderLink::new(tree, move |task| match task.group().tgid_in(&ns) {
        0 => err(Errno::ENOENT),
        pid => Ok(pid.to_string().into_bytes()),
    })
}

/// `/proc/thread-self`.
pub(super) fn this_thread(tree: &Tree, ns: &Arc<PidNamespace>) -> Arc<ReaderLink> {
    let ns = Arc::clone(ns);
    ReaderLink::new(tree, move |task| match (task.group().tgid_in(&ns), task.tid_in(&ns)) {
        (0, _) | (_, 0) => err(Errno::ENOENT),
        (pid, tid) => Ok(format!("{pid}/task/{tid}").into_bytes()),
    })
}

impl ReaderLink {
    fn new(tree: &Tree, target: impl Fn(&CurrentTask) -> Result<Vec<u8>> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { meta: tree.meta(S_IFLNK | 0o777, 1), target: Box::new(target) })
    }
}

impl fmt::Debug for ReaderLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReaderLink")
    }
}

impl Inode for ReaderLink {
    meta_inode!();

    fn readlink_for(&self, task: &CurrentTask) -> Result<Vec<u8>> {
        (self.target)(task)
    }
}

/// Where a magic link leads.
pub(super) type Place = fn(&Task) -> Option<Path>;

/// `cwd`, `root`, `exe` of a process.
#[derive(Debug)]
pub(super) struct PlaceLink {
    meta: Meta,
    of: Arc<Task>,
    place: Place,
}

impl PlaceLink {
    pub(super) fn new(tree: &Tree, of: &Arc<Task>, number: i32, index: u64, place: Place) -> Arc<Self> {
        let creds = of.creds();
        let meta = tree.meta_with_ino(ids::process(number, index), S_IFLNK | 0o777, 1).owned_by(creds.euid, creds.egid);
        Arc::new(Self { meta, of: Arc::clone(of), place })
    }

    fn path(&self, task: &CurrentTask) -> Result<Path> {
        may_inspect(task, &self.of)?;
        (self.place)(&self.of).ok_or_else(|| Errno::ENOENT.into())
    }
}

impl Inode for PlaceLink {
    meta_inode!();

    fn readlink_for(&self, task: &CurrentTask) -> Result<Vec<u8>> {
        Ok(self.path(task)?.shown(&task.fs().root()))
    }

    fn follow(&self, task: &CurrentTask) -> Result<Option<Path>> {
        self.path(task).map(Some)
    }
}

/// Whether the reader may look into another process, as ptrace(2)'s PTRACE_MODE_READ_FSCREDS decides; EACCES otherwise.
pub(super) fn may_inspect(reader: &CurrentTask, of: &Task) -> Result<()> {
    if Arc::ptr_eq(reader.group(), of.group()) {
        return Ok(());
    }
    let (me, other) = (reader.creds(), of.creds());
    let same_user = [other.uid, other.euid, other.suid].iter().all(|uid| *uid == me.fsuid)
        && [other.gid, other.egid, other.sgid].iter().all(|gid| *gid == me.fsgid);
    let dumpable = of.group().dumpable() == 1;
    let covers = other.permitted.difference(me.permitted).is_empty() && Arc::ptr_eq(&me.user_ns, &other.user_ns);
    if (same_user && dumpable && covers) || me.has_in(Cap::CAP_SYS_PTRACE, &other.user_ns) {
        Ok(())
    } else {
        err(Errno::EACCES)
    }
}
