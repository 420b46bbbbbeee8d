//! kcmp(2): whether two tasks share a resource.

use std::cmp::Ordering;
use std::sync::Arc;

use abi::Errno;
use abi::sched::{KCMP_FILE, KCMP_FILES, KCMP_FS, KCMP_IO, KCMP_SIGHAND, KCMP_SYSVSEM, KCMP_VM};
use sentry::error::{Result, err};
use sentry::task::{CurrentTask, Task};

/// kcmp(2).
pub(crate) fn kcmp(task: &mut CurrentTask, pid1: i32, pid2: i32, kind: u32, idx1: u64, idx2: u64) -> Result<i32> {
    let find = |pid| task.pid_ns().task(pid).ok_or(Errno::ESRCH);
    let (a, b) = (find(pid1)?, find(pid2)?);
    if !task.may_attach(&a) || !task.may_attach(&b) {
        return err(Errno::EPERM);
    }
    let order = match kind {
        KCMP_FILE => {
            let file = |task: &Task, fd: u64| {
                let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
                task.files().ok_or(Errno::EBADF)?.get_raw(fd)
            };
            compare(&file(&a, idx1)?, &file(&b, idx2)?)
        }
        KCMP_VM => compare_some(a.mm(), b.mm()),
        KCMP_FILES => compare_some(a.files(), b.files()),
        KCMP_FS => compare_some(a.fs(), b.fs()),
        KCMP_SIGHAND => compare(&a.group().signals.actions(), &b.group().signals.actions()),
        KCMP_SYSVSEM => a.sem_undo_id().cmp(&b.sem_undo_id()),
        // There are no I/O contexts: all tasks share none.
        KCMP_IO => Ordering::Equal,
        _ => return err(Errno::EINVAL),
    };
    // 0 equal, 1 less, 2 greater.
    Ok(match order {
        Ordering::Equal => 0,
        Ordering::Less => 1,
        Ordering::Greater => 2,
    })
}

/// An order of addresses that tells nothing about them: it only has to be the same each time.
fn compare<T>(a: &Arc<T>, b: &Arc<T>) -> Ordering {
    Arc::as_ptr(a).cmp(&Arc::as_ptr(b))
}

fn compare_some<T>(a: Option<Arc<T>>, b: Option<Arc<T>>) -> Ordering {
    a.as_ref().map(Arc::as_ptr).cmp(&b.as_ref().map(Arc::as_ptr))
}
