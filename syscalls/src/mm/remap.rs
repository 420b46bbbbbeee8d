//! mremap(2).

use abi::UserAddr;
use abi::mman::MremapFlags;
use sentry::error::Result;
use sentry::task::CurrentTask;

use super::may_lock;
use crate::arg::flag_args;

flag_args! { MremapFlags: u32 }

/// mremap(2).
pub(crate) fn mremap(
    task: &mut CurrentTask,
    addr: UserAddr,
    old_len: u64,
    new_len: u64,
    flags: MremapFlags,
    new_addr: UserAddr,
) -> Result<UserAddr> {
    task.mm().remap(addr, old_len, new_len, flags, new_addr, may_lock(task))
}
