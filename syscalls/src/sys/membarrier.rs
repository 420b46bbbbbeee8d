//! membarrier(2).

use abi::Errno;
use abi::membarrier::MembarrierCmd;
use sentry::error::{Result, err};
use sentry::task::CurrentTask;

use crate::arg::low;

/// What is offered: barriers of one process or of all, for which the other threads are interrupted.
const OFFERED: MembarrierCmd = MembarrierCmd::MEMBARRIER_CMD_PRIVATE_EXPEDITED
    .union(MembarrierCmd::MEMBARRIER_CMD_GLOBAL)
    .union(MembarrierCmd::MEMBARRIER_CMD_GLOBAL_EXPEDITED)
    .union(MembarrierCmd::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED)
    .union(MembarrierCmd::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
    .union(MembarrierCmd::MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE)
    .union(MembarrierCmd::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE)
    .union(MembarrierCmd::MEMBARRIER_CMD_GET_REGISTRATIONS);

/// membarrier(2). Without the commands for rseq.
pub(crate) fn membarrier(task: &mut CurrentTask, command: i32, flags: u32, _cpu: i32) -> Result<u32> {
    if flags != 0 {
        return err(Errno::EINVAL);
    }
    let group = task.group();
    let command = MembarrierCmd::from_bits_retain(command.cast_unsigned());
    match command {
        c if c.is_empty() => Ok(OFFERED.bits()),
        MembarrierCmd::MEMBARRIER_CMD_GLOBAL => {
            task.interrupt_everybody(false);
            Ok(0)
        }
        MembarrierCmd::MEMBARRIER_CMD_GLOBAL_EXPEDITED => {
            task.interrupt_everybody(true);
            Ok(0)
        }
        MembarrierCmd::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED
        | MembarrierCmd::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED
        | MembarrierCmd::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE => {
            group.register_barriers(command);
            Ok(0)
        }
        MembarrierCmd::MEMBARRIER_CMD_PRIVATE_EXPEDITED | MembarrierCmd::MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE => {
            // The bit that registers stands right above the one that it allows.
            let needed = MembarrierCmd::from_bits_retain(low(u64::from(command.bits()) << 1));
            if !group.barriers().contains(needed) {
                return err(Errno::EPERM);
            }
            task.interrupt_siblings();
            Ok(0)
        }
        MembarrierCmd::MEMBARRIER_CMD_GET_REGISTRATIONS => Ok(group.barriers().bits()),
        _ => err(Errno::EINVAL),
    }
}
