//! mprotect(2), mseal(2), and protection keys, which there are none of.

use abi::mman::Prot;
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;

use super::access;

/// mprotect(2).
pub(crate) fn mprotect(task: &mut CurrentTask, addr: UserAddr, len: u64, prot: Prot) -> Result<()> {
    let grows = Prot::PROT_GROWSDOWN | Prot::PROT_GROWSUP;
    if prot.contains(grows) || !(prot - grows - Prot::RWX - Prot::PROT_SEM).is_empty() {
        return err(Errno::EINVAL);
    }
    if prot.contains(Prot::PROT_GROWSUP) {
        // No area grows upwards on x86-64.
        return err(Errno::EINVAL);
    }
    task.mm().protect(addr, len, access(task, prot), prot.contains(Prot::PROT_GROWSDOWN))
}

/// pkey_mprotect(2): the only key is the default one.
pub(crate) fn pkey_mprotect(task: &mut CurrentTask, addr: UserAddr, len: u64, prot: Prot, key: i32) -> Result<()> {
    if !matches!(key, -1 | 0) {
        return err(Errno::EINVAL);
    }
    mprotect(task, addr, len, prot)
}

/// pkey_alloc(2): as on a CPU without protection keys.
pub(crate) fn pkey_alloc(_: &mut CurrentTask, flags: u64, rights: u64) -> Result<i32> {
    err(if flags != 0 || rights > 3 { Errno::EINVAL } else { Errno::ENOSPC })
}

/// pkey_free(2).
pub(crate) fn pkey_free(_: &mut CurrentTask, _key: i32) -> Result<()> {
    err(Errno::EINVAL)
}

/// mseal(2).
pub(crate) fn mseal(task: &mut CurrentTask, addr: UserAddr, len: u64, flags: u64) -> Result<()> {
    if flags != 0 {
        return err(Errno::EINVAL);
    }
    task.mm().seal(addr, len)
}
