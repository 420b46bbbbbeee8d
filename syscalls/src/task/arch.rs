//! arch_prctl(2): thread pointers.

use abi::prctl::{ARCH_GET_CPUID, ARCH_GET_FS, ARCH_GET_GS, ARCH_SET_CPUID, ARCH_SET_FS, ARCH_SET_GS};
use abi::{Errno, TASK_SIZE, UserAddr};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

/// arch_prctl(2).
pub(crate) fn arch_prctl(task: &mut CurrentTask, code: u32, addr: u64) -> Result<i32> {
    match code {
        ARCH_SET_FS | ARCH_SET_GS => {
            if addr >= TASK_SIZE {
                return err(Errno::EPERM);
            }
            let regs = task.context().regs()?;
            if code == ARCH_SET_FS {
                regs.fs_base = addr;
            } else {
                regs.gs_base = addr;
            }
            regs.rax = 0;
            task.resume_with_regs();
        }
        ARCH_GET_FS | ARCH_GET_GS => {
            let regs = task.context().regs()?;
            let base = if code == ARCH_GET_FS { regs.fs_base } else { regs.gs_base };
            task.mm().write(UserPtr::new(UserAddr(addr)), &base)?;
        }
        // CPUID cannot be made to fault.
        ARCH_GET_CPUID => return Ok(1),
        ARCH_SET_CPUID => return err(Errno::ENODEV),
        _ => return err(Errno::EINVAL),
    }
    Ok(0)
}
