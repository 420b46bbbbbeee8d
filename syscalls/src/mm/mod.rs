//! Memory: mappings, their protection and locks, advice, other processes' memory, NUMA policy.

pub(crate) mod advise;
pub(crate) mod heap;
pub(crate) mod lock;
pub(crate) mod map;
pub(crate) mod name;
pub(crate) mod numa;
pub(crate) mod protect;
pub(crate) mod remap;
pub(crate) mod remote;
pub(crate) mod sync;

use abi::capability::Cap;
use abi::mman::Prot;
use sentry::platform::Prot as Access;
use sentry::task::CurrentTask;

/// personality(2): readable memory is executable too.
const READ_IMPLIES_EXEC: u32 = 0x0040_0000;

/// What a `prot` argument lets the application do; bits Linux does not know are ignored, as it does.
fn access(task: &CurrentTask, prot: Prot) -> Access {
    let read = prot.contains(Prot::PROT_READ);
    let implied = read && task.personality() & READ_IMPLIES_EXEC != 0;
    Access { read, write: prot.contains(Prot::PROT_WRITE), exec: prot.contains(Prot::PROT_EXEC) || implied }
}

/// Whether RLIMIT_MEMLOCK does not bind the task.
fn may_lock(task: &CurrentTask) -> bool {
    task.creds().has_in_root(Cap::CAP_IPC_LOCK)
}
