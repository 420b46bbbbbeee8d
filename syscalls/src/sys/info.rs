//! sysinfo(2).

use abi::sysinfo::Sysinfo;
use abi::time::NSEC_PER_SEC;
use sentry::error::Result;
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

/// sysinfo(2).
pub(crate) fn sysinfo(task: &mut CurrentTask, at: UserPtr<Sysinfo>) -> Result<()> {
    let kernel = task.kernel();
    let total = kernel.memory_total;
    let value = Sysinfo {
        // Rounded up, as Linux does.
        uptime: kernel.uptime(&task.namespaces().time).saturating_add(NSEC_PER_SEC - 1).div_euclid(NSEC_PER_SEC),
        loads: kernel.load_average(),
        totalram: total,
        freeram: total.saturating_sub(kernel.memory_used()),
        procs: u16::try_from(task.pid_ns().used()).unwrap_or(u16::MAX),
        mem_unit: 1,
        ..Sysinfo::default()
    };
    task.mm().write(at, &value)
}
