//! process_vm_readv(2), process_vm_writev(2).

use std::sync::Arc;

use abi::Errno;
use abi::uio::Iovec;
use sentry::error::{Result, err};
use sentry::io::{IoDst, IoSrc};
use sentry::mm::{MemoryManager, RemoteAccess};
use sentry::task::CurrentTask;
use sentry::user::{UserPtr, UserSlice};

use crate::file::iovec;

/// How much is moved at once. The two address spaces are never locked together.
const STEP: usize = 64 << 10;

/// process_vm_readv(2).
pub(crate) fn process_vm_readv(
    task: &mut CurrentTask,
    pid: i32,
    local: UserPtr<Iovec>,
    local_count: usize,
    remote: UserPtr<Iovec>,
    remote_count: usize,
    flags: u64,
) -> Result<usize> {
    let local = iovec::read(task, local, local_count)?;
    let (mm, remote) = target(task, pid, remote, remote_count, flags)?;
    let mut to = IoDst::user(task.mm(), &local);
    let mut buffer = vec![0; STEP.min(to.remaining())];
    let mut total = 0;
    'all: for piece in remote {
        let mut done = 0;
        while done < piece.len && to.remaining() > 0 {
            let want = (piece.len - done).min(buffer.len()).min(to.remaining());
            let at = piece.addr.wrapping_add(done as u64);
            let n = match mm.read_remote(at, &mut buffer[..want], RemoteAccess::AsOwner) {
                Ok(n) => n,
                Err(e) if total == 0 => return Err(e),
                Err(_) => break 'all,
            };
            let put = match to.put(&buffer[..n]) {
                Ok(put) => put,
                Err(e) if total == 0 => return Err(e),
                Err(_) => break 'all,
            };
            total += put;
            done += put;
            if put < want {
                break 'all;
            }
        }
    }
    Ok(total)
}

/// process_vm_writev(2).
pub(crate) fn process_vm_writev(
    task: &mut CurrentTask,
    pid: i32,
    local: UserPtr<Iovec>,
    local_count: usize,
    remote: UserPtr<Iovec>,
    remote_count: usize,
    flags: u64,
) -> Result<usize> {
    let local = iovec::read(task, local, local_count)?;
    let (mm, remote) = target(task, pid, remote, remote_count, flags)?;
    let mut from = IoSrc::user(task.mm(), &local);
    let mut buffer = vec![0; STEP.min(from.remaining())];
    let mut total = 0;
    'all: for piece in remote {
        let mut done = 0;
        while done < piece.len && from.remaining() > 0 {
            let want = (piece.len - done).min(buffer.len());
            let taken = match from.take(&mut buffer[..want]) {
                Ok(taken) => taken,
                Err(e) if total == 0 => return Err(e),
                Err(_) => break 'all,
            };
            let at = piece.addr.wrapping_add(done as u64);
            let n = match mm.write_remote(at, &buffer[..taken], RemoteAccess::AsOwner) {
                Ok(n) => n,
                Err(e) if total == 0 => return Err(e),
                Err(_) => break 'all,
            };
            total += n;
            done += n;
            if n < taken || taken == 0 {
                break 'all;
            }
        }
    }
    Ok(total)
}

/// The other process's memory, and which parts of it.
fn target(
    task: &CurrentTask,
    pid: i32,
    remote: UserPtr<Iovec>,
    count: usize,
    flags: u64,
) -> Result<(Arc<MemoryManager>, Vec<UserSlice>)> {
    if flags != 0 {
        return err(Errno::EINVAL);
    }
    let remote = iovec::read(task, remote, count)?;
    let other = task.pid_ns().task(pid).ok_or(Errno::ESRCH)?;
    if !task.may_attach(&other) {
        return err(Errno::EPERM);
    }
    Ok((other.mm().ok_or(Errno::ESRCH)?, remote))
}
