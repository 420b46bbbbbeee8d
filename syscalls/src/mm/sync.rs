//! msync(2).

use abi::UserAddr;
use abi::mman::MsyncFlags;
use sentry::error::Result;
use sentry::task::CurrentTask;

use crate::arg::flag_args;

flag_args! { MsyncFlags: u32 }

/// msync(2).
pub(crate) fn msync(task: &mut CurrentTask, addr: UserAddr, len: u64, flags: MsyncFlags) -> Result<()> {
    task.mm().sync(addr, len, flags)
}
