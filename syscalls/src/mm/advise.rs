//! madvise(2), process_madvise(2), mincore(2).

use abi::mman::{MADV_COLD, MADV_COLLAPSE, MADV_PAGEOUT, MADV_WILLNEED};
use abi::uio::Iovec;
use abi::{Errno, PAGE_SIZE, UserAddr, UserRange};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use crate::arg::Fd;
use crate::file::iovec;

/// How many pages mincore(2) looks at at once.
const STEP: usize = 4096;

/// madvise(2).
pub(crate) fn madvise(task: &mut CurrentTask, addr: UserAddr, len: u64, advice: u32) -> Result<()> {
    task.mm().advise(addr, len, advice)
}

/// process_madvise(2): advice about another process's memory. Returns how many bytes it was given for.
pub(crate) fn process_madvise(
    task: &mut CurrentTask,
    pidfd: Fd,
    iov: UserPtr<Iovec>,
    count: usize,
    advice: u32,
    flags: u32,
) -> Result<usize> {
    if flags != 0 {
        return err(Errno::EINVAL);
    }
    let ranges = iovec::read(task, iov, count)?;
    let file = task.files().get(pidfd.0)?;
    let target = sentry::task::pidfd::PidFd::pid_of(&file)?.task().ok_or(Errno::ESRCH)?;
    let own = std::sync::Arc::ptr_eq(target.group(), task.group());
    if !own && !matches!(advice, MADV_COLD | MADV_PAGEOUT | MADV_WILLNEED | MADV_COLLAPSE) {
        return err(Errno::EINVAL);
    }
    if !task.may_attach(&target) {
        return err(Errno::EPERM);
    }
    let mm = target.mm().ok_or(Errno::ESRCH)?;
    let mut done = 0;
    for range in ranges {
        match mm.advise(range.addr, range.len as u64, advice) {
            Ok(()) => done += range.len,
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// mincore(2).
pub(crate) fn mincore(task: &mut CurrentTask, addr: UserAddr, len: u64, vector: UserPtr<u8>) -> Result<()> {
    if !addr.is_page_aligned() {
        return err(Errno::EINVAL);
    }
    let len = len.checked_next_multiple_of(PAGE_SIZE).ok_or(Errno::ENOMEM)?;
    let range = UserRange::new(addr, len).map_err(|_| Errno::ENOMEM)?;
    let (mut at, mut out) = (range.start, vector.addr());
    while at < range.end {
        let told = task.mm().residency(UserRange::between(at, range.end), STEP)?;
        task.mm().write_bytes(out, &told)?;
        at = at.checked_add(told.len() as u64 * PAGE_SIZE)?;
        out = out.checked_add(told.len() as u64)?;
    }
    Ok(())
}
