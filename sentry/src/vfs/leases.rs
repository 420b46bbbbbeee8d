//! Leases, fcntl(2) F_SETLEASE: who has one hears, by signal, of somebody who wants to open or truncate the file, and has
//! some time to let go of it. They hang on the inode; while there is none anywhere an open costs one load.
//!
//! Locks: `FileLocks` around the list; signals are sent without it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use abi::Errno;
use abi::capability::Cap;
use abi::fcntl::{F_RDLCK, F_UNLCK, F_WRLCK};
use abi::poll::POLLIN;
use abi::stat::FileType;
use sync::{Mutex, WaitQueue};

use super::{File, Path, sysctl, write_access};
use crate::error::{Result, err};
use crate::lock_order::FileLocks;
use crate::task::CurrentTask;

/// The attachment.
#[derive(Debug, Default)]
struct Leases {
    list: Mutex<Vec<Lease>, FileLocks>,
    /// Told with POLLIN when one is given up.
    changed: WaitQueue,
}

#[derive(Debug)]
struct Lease {
    file: Weak<File>,
    /// The number of the descriptor, for the signal.
    fd: i32,
    /// F_RDLCK or F_WRLCK.
    kind: i16,
    /// What somebody waits for it to become, and until when its holder has time for that.
    breaking: Option<(i16, Option<Instant>)>,
}

/// All leases there are.
static LEASES: AtomicUsize = AtomicUsize::new(0);

/// F_SETLEASE. EINVAL for what is no regular file, EACCES for files of others without CAP_LEASE, EAGAIN if somebody has it
/// open in a way that goes against the lease, or waits for it.
pub fn set(task: &CurrentTask, fd: i32, file: &Arc<File>, kind: i16) -> Result<()> {
    if kind == F_UNLCK {
        return if release(file) { Ok(()) } else { err(Errno::EAGAIN) };
    }
    if file.inode().access()?.uid != task.creds().fsuid && !task.creds().has(Cap::CAP_LEASE) {
        return err(Errno::EACCES);
    }
    if file.kind() != FileType::Regular {
        return err(Errno::EINVAL);
    }
    let writers = write_access::writers(&**file.inode());
    let own = u32::from(file.flags().writable());
    let in_the_way = match kind {
        F_RDLCK => writers > 0,
        _ => writers > own || file.path().dentry.opens.load(Ordering::SeqCst) > 1,
    };
    if in_the_way {
        return err(Errno::EAGAIN);
    }
    let leases = file.inode().attachments().get_or_insert(Leases::default);
    {
        let mut list = leases.list.lock();
        let is_own = |lease: &Lease| lease.file.as_ptr() == Arc::as_ptr(file);
        if list.iter().any(|lease| !is_own(lease) && (kind == F_WRLCK || lease.kind == F_WRLCK)) {
            return err(Errno::EAGAIN);
        }
        match list.iter_mut().find(|lease| is_own(lease)) {
            Some(lease) => {
                if lease.breaking.is_some_and(|(to, _)| to == F_UNLCK || kind == F_WRLCK) {
                    return err(Errno::EAGAIN);
                }
                (lease.kind, lease.breaking) = (kind, None);
            }
            None => {
                list.push(Lease { file: Arc::downgrade(file), fd, kind, breaking: None });
                LEASES.fetch_add(1, Ordering::SeqCst);
                file.note_leased();
            }
        }
    }
    leases.changed.notify(POLLIN);
    file.own_by_default(task);
    Ok(())
}

/// F_GETLEASE: what the description has, or what it is to become.
#[must_use]
pub fn get(file: &Arc<File>) -> i16 {
    let Some(leases) = file.inode().attachments().get::<Leases>() else { return F_UNLCK };
    let list = leases.list.lock();
    let own = list.iter().find(|lease| lease.file.as_ptr() == Arc::as_ptr(file));
    own.map_or(F_UNLCK, |lease| lease.breaking.map_or(lease.kind, |(to, _)| to))
}

/// Gives up what the description has; whether it had any.
pub(super) fn release(file: &File) -> bool {
    let Some(leases) = file.inode().attachments().get::<Leases>() else { return false };
    let gone = {
        let mut list = leases.list.lock();
        let at = list.iter().position(|lease| std::ptr::eq(lease.file.as_ptr(), file));
        at.map(|at| list.swap_remove(at))
    };
    if gone.is_some() {
        LEASES.fetch_sub(1, Ordering::SeqCst);
        leases.changed.notify(POLLIN);
    }
    gone.is_some()
}

/// Somebody opens the file, or truncates it: those who have a lease against that are told, and waited for. EAGAIN if the
/// caller does not wait.
#[inline]
pub fn break_for(task: &CurrentTask, path: &Path, write: bool, wait: bool) -> Result<()> {
    if LEASES.load(Ordering::SeqCst) == 0 || path.kind() != FileType::Regular {
        return Ok(());
    }
    break_all(task, path, write, wait)
}

#[cold]
fn break_all(task: &CurrentTask, path: &Path, write: bool, wait: bool) -> Result<()> {
    let Some(leases) = path.inode().attachments().get::<Leases>() else { return Ok(()) };
    loop {
        let until = match leases.begin_break(write) {
            Ok(()) => return Ok(()),
            Err(until) => until,
        };
        if !wait {
            return err(Errno::EAGAIN);
        }
        let waited = task.wait_on(&leases.changed, POLLIN, until, || match leases.begin_break(write) {
            Ok(()) => Ok(()),
            Err(_) => err(Errno::EAGAIN),
        });
        match waited {
            // Its holder's time is over: the next round takes it away.
            Err(e) if e.is(Errno::ETIMEDOUT) => {}
            other => return other,
        }
    }
}

impl Leases {
    /// Tells those whose leases are in the way, and takes away what is overdue. `Err`: until when to wait for the rest.
    fn begin_break(&self, write: bool) -> Result<(), Option<Instant>> {
        let now = Instant::now();
        let to = if write { F_UNLCK } else { F_RDLCK };
        let mut told = Vec::new();
        let mut until = None;
        let left = {
            let mut list = self.list.lock();
            let before = list.len();
            list.retain_mut(|lease| {
                if lease.kind != F_WRLCK && !write {
                    return true;
                }
                let stricter = lease.breaking.is_none_or(|(old, _)| old != to && to == F_UNLCK);
                if stricter {
                    if lease.breaking.is_none() {
                        told.push((Weak::clone(&lease.file), lease.fd));
                    }
                    let time = Duration::from_secs(sysctl::LEASE_BREAK_TIME.get().into());
                    let end = if time.is_zero() { None } else { now.checked_add(time) };
                    lease.breaking = Some((to, end));
                }
                match lease.breaking {
                    Some((F_UNLCK, Some(end))) if end <= now => false,
                    Some((_, Some(end))) if end <= now => {
                        (lease.kind, lease.breaking) = (F_RDLCK, None);
                        true
                    }
                    _ => true,
                }
            });
            LEASES.fetch_sub(before - list.len(), Ordering::SeqCst);
            let mut left = false;
            for lease in list.iter().filter(|lease| lease.kind == F_WRLCK || write) {
                left = true;
                let end = lease.breaking.and_then(|(_, end)| end);
                until = match (until, end) {
                    (Some(a), Some(b)) => Some(std::cmp::min::<Instant>(a, b)),
                    (a, b) => a.or(b),
                };
            }
            left
        };
        for (file, fd) in told {
            if let Some(file) = file.upgrade() {
                file.signal_of_lease(fd);
            }
        }
        if left { Err(until) } else { Ok(()) }
    }
}
