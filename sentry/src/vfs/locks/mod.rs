//! Advisory locks of a file: POSIX record locks (owned by a table of open files), OFD and flock locks (owned by an open file
//! description). They hang on the inode.
//!
//! A wait for a POSIX lock is entered in one table of who waits for whom, where deadlocks are seen (EDEADLK).

mod deadlock;
mod flock;
mod ranges;

pub use flock::{FlockKind, flock};
pub use ranges::{LockKind, LockRange, Owner, Record};

use std::sync::Arc;

use abi::Errno;
use abi::poll::POLLIN;
use sync::{Mutex, WaitQueue};

use self::flock::FlockList;
use self::ranges::Ranges;
use super::{File, Inode};
use crate::error::{Result, err};
use crate::lock_order::FileLocks;
use crate::task::CurrentTask;

/// The attachment.
#[derive(Debug, Default)]
struct InodeLocks {
    records: Mutex<Ranges, FileLocks>,
    flocks: Mutex<FlockList, FileLocks>,
    /// Told with POLLIN when a lock is freed.
    freed: WaitQueue,
}

/// F_SETLK, F_OFD_SETLK, and with `wait` F_SETLKW, F_OFD_SETLKW; `kind` is `None` to unlock. EAGAIN if others hold it.
pub fn set_record(
    task: &CurrentTask,
    file: &Arc<File>,
    owner: Owner,
    kind: Option<LockKind>,
    range: LockRange,
    wait: bool,
) -> Result<()> {
    let inode = file.inode();
    let Some(kind) = kind else {
        if let Some(locks) = inode.attachments().get::<InodeLocks>() {
            let changed = locks.records.lock().unlock(owner, range);
            if changed {
                locks.freed.notify(POLLIN);
            }
        }
        return Ok(());
    };
    let locks = inode.attachments().get_or_insert(InodeLocks::default);
    if let Owner::File(_) = owner {
        file.note_locked();
    }
    let record = Record { owner, kind, range, pid: task.group().tgid() };
    let attempt = || {
        let outcome = {
            let mut records = locks.records.lock();
            if records.is_full() {
                return err(Errno::ENOLCK);
            }
            records.lock(record)
        };
        match outcome {
            Ok(true) => locks.freed.notify(POLLIN),
            Ok(false) => {}
            Err(holder) if wait && deadlock::enter(owner, holder) => return err(Errno::EDEADLK),
            Err(_) => return err(Errno::EAGAIN),
        }
        Ok(())
    };
    if !wait {
        return attempt();
    }
    let result = task.wait_on(&locks.freed, POLLIN, None, attempt);
    deadlock::leave(owner);
    result
}

/// F_GETLK, F_OFD_GETLK: a lock that would be in the way.
#[must_use]
pub fn find_conflict(file: &File, owner: Owner, kind: LockKind, range: LockRange) -> Option<Record> {
    let locks = file.inode().attachments().get::<InodeLocks>()?;
    locks.records.lock().conflict(owner, kind, range).copied()
}

/// Frees the POSIX locks that a table of open files holds on the inode: one of its descriptors was closed.
pub(super) fn release_posix(inode: &Arc<dyn Inode>, table: u64) {
    release_records(inode, Owner::Table(table));
}

/// Frees the flock and OFD locks of an open file description, named by its address.
pub(super) fn release_file(inode: &Arc<dyn Inode>, file: usize) {
    release_records(inode, Owner::File(file));
    if let Some(locks) = inode.attachments().get::<InodeLocks>()
        && locks.flocks.lock().unlock(file)
    {
        locks.freed.notify(POLLIN);
    }
}

fn release_records(inode: &Arc<dyn Inode>, owner: Owner) {
    if let Some(locks) = inode.attachments().get::<InodeLocks>() {
        let changed = locks.records.lock().unlock(owner, LockRange::ALL);
        if changed {
            locks.freed.notify(POLLIN);
        }
    }
}
