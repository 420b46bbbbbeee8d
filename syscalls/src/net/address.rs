//! Socket addresses in and out of application memory.

use abi::sockaddr::SOCKADDR_STORAGE_SIZE;
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use super::lookup;
use crate::arg::Fd;

/// getsockname(2).
pub(crate) fn getsockname(task: &mut CurrentTask, fd: Fd, addr: UserAddr, len: UserPtr<i32>) -> Result<()> {
    let (_, socket) = lookup(task, fd)?;
    store(task, addr, len, &socket.local_addr()?)
}

/// getpeername(2).
pub(crate) fn getpeername(task: &mut CurrentTask, fd: Fd, addr: UserAddr, len: UserPtr<i32>) -> Result<()> {
    let (_, socket) = lookup(task, fd)?;
    store(task, addr, len, &socket.peer_addr()?)
}

/// Reads an address of `len` bytes; EINVAL if that is negative or more than any address has.
pub(crate) fn load(task: &CurrentTask, addr: UserAddr, len: i32) -> Result<Vec<u8>> {
    match usize::try_from(len) {
        Ok(len @ 0..=SOCKADDR_STORAGE_SIZE) => {
            let mut bytes = vec![0; len];
            task.mm().read_bytes(addr, &mut bytes)?;
            Ok(bytes)
        }
        _ => err(Errno::EINVAL),
    }
}

/// Writes as much of an address as there is room for, and its whole length.
pub(super) fn store(task: &CurrentTask, addr: UserAddr, len: UserPtr<i32>, bytes: &[u8]) -> Result<()> {
    let Ok(room) = usize::try_from(task.mm().read(len)?) else { return err(Errno::EINVAL) };
    task.mm().write_bytes(addr, &bytes[..room.min(bytes.len())])?;
    task.mm().write(len, &i32::try_from(bytes.len()).unwrap_or(i32::MAX))
}
