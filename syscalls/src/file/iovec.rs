//! I/O vectors of the application.

use abi::Errno;
use abi::uio::{Iovec, UIO_MAXIOV};
use abi::{TASK_SIZE, UserAddr};
use sentry::error::{Result, err};
use sentry::io::MAX_RW_COUNT;
use sentry::task::CurrentTask;
use sentry::user::{UserPtr, UserSlice};

/// Reads an array of `count` segments, shortened to what one call moves. EINVAL beyond 1024 segments or for lengths that
/// overflow, EFAULT for addresses beyond the application's.
pub(crate) fn read(task: &CurrentTask, iov: UserPtr<Iovec>, count: usize) -> Result<Vec<UserSlice>> {
    if count > UIO_MAXIOV {
        return err(Errno::EINVAL);
    }
    let mut slices = Vec::with_capacity(count);
    let mut room = MAX_RW_COUNT;
    for index in 0..count {
        let Iovec { iov_base, iov_len } = task.mm().read(iov.at(index)?)?;
        if i64::try_from(iov_len).is_err() {
            return err(Errno::EINVAL);
        }
        if iov_base.checked_add(iov_len).is_none_or(|end| end > TASK_SIZE) {
            return err(Errno::EFAULT);
        }
        let len = usize::try_from(iov_len).map_err(|_| Errno::EINVAL)?.min(room);
        room -= len;
        slices.push(UserSlice::new(UserAddr(iov_base), len));
    }
    Ok(slices)
}

/// A single buffer of a call such as read(2).
pub(crate) fn single(addr: UserAddr, len: usize) -> Result<[UserSlice; 1]> {
    if i64::try_from(len).is_err() {
        return err(Errno::EINVAL);
    }
    Ok([UserSlice::new(addr, len.min(MAX_RW_COUNT))])
}
