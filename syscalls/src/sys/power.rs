//! reboot(2).

use abi::Errno;
use abi::capability::Cap;
use sentry::error::{Result, err};
use sentry::task::CurrentTask;

/// The two numbers that say that it is meant; the second may be any of these.
const MAGIC1: u32 = 0xfee1_dead;
const MAGIC2: [u32; 4] = [0x2812_1969, 0x0512_1996, 0x1604_1998, 0x2011_2000];
/// LINUX_REBOOT_CMD_RESTART, _HALT, _POWER_OFF, _RESTART2, _SW_SUSPEND, _KEXEC.
const COMMANDS: [u32; 6] = [0x0123_4567, 0xcdef_0123, 0x4321_fedc, 0xa1b2_c3d4, 0xd000_fce2, 0x4558_4543];
/// LINUX_REBOOT_CMD_CAD_ON, _CAD_OFF: what Ctrl-Alt-Del does.
const CTRL_ALT_DEL: [u32; 2] = [0x89ab_cdef, 0];

/// reboot(2): a container has nothing to switch off, and no keyboard.
pub(crate) fn reboot(task: &mut CurrentTask, magic: u32, magic2: u32, operation: u32, _arg: u64) -> Result<()> {
    if !task.creds().has(Cap::CAP_SYS_BOOT) {
        return err(Errno::EPERM);
    }
    if magic != MAGIC1 || !MAGIC2.contains(&magic2) {
        return err(Errno::EINVAL);
    }
    match operation {
        _ if CTRL_ALT_DEL.contains(&operation) => Ok(()),
        _ if COMMANDS.contains(&operation) => err(Errno::EPERM),
        _ => err(Errno::EINVAL),
    }
}
