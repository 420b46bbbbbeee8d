//! flock(2): one lock on the whole file an open file description.

use std::sync::Arc;

use abi::Errno;
use abi::poll::POLLIN;

use super::InodeLocks;
use crate::error::{Result, err};
use crate::task::CurrentTask;
use crate::vfs::File;

/// How a file is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlockKind {
    /// LOCK_SH
    Shared,
    /// LOCK_EX
    Exclusive,
}

/// Who holds what: open file descriptions by address.
#[derive(Debug, Default)]
pub(super) struct FlockList(Vec<(usize, FlockKind)>);

/// flock(2); `None` unlocks. EAGAIN if others hold it and `wait` is not set. A lock that cannot be converted is lost, as on
/// Linux.
pub fn flock(task: &CurrentTask, file: &Arc<File>, kind: Option<FlockKind>, wait: bool) -> Result<()> {
    let me = Arc::as_ptr(file).addr();
    let locks = file.inode().attachments().get_or_insert(InodeLocks::default);
    let Some(kind) = kind else {
        if locks.flocks.lock().unlock(me) {
            locks.freed.notify(POLLIN);
        }
        return Ok(());
    };
    file.note_locked();
    let attempt = || {
        let (got, freed) = locks.flocks.lock().lock(me, kind);
        if freed {
            locks.freed.notify(POLLIN);
        }
        if got { Ok(()) } else { err(Errno::EAGAIN) }
    };
    if wait { task.wait_on(&locks.freed, POLLIN, None, attempt) } else { attempt() }
}

impl FlockList {
    /// Takes the lock if nobody is in the way. The second result: whether others may get further now.
    fn lock(&mut self, me: usize, kind: FlockKind) -> (bool, bool) {
        let mut freed = false;
        if let Some(at) = self.0.iter().position(|(who, _)| *who == me) {
            if self.0[at].1 == kind {
                return (true, false);
            }
            self.0.swap_remove(at);
            freed = true;
        }
        let free = match kind {
            FlockKind::Exclusive => self.0.is_empty(),
            FlockKind::Shared => self.0.iter().all(|(_, held)| *held == FlockKind::Shared),
        };
        if free {
            self.0.push((me, kind));
        }
        (free, freed)
    }

    pub(super) fn unlock(&mut self, me: usize) -> bool {
        let before = self.0.len();
        self.0.retain(|(who, _)| *who != me);
        self.0.len() != before
    }
}
