//! reboot(2).

use abi::Errno;
use sentry::error::{Result, err};
use sentry::task::CurrentTask;

/// reboot(2): a container has nothing to switch off.
pub(crate) fn reboot(_: &mut CurrentTask, _magic: u32, _magic2: u32, _operation: u32, _arg: u64) -> Result<()> {
    err(Errno::EPERM)
}
