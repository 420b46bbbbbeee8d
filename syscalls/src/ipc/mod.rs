//! System V IPC and POSIX message queues.

pub(crate) mod mqueue;
pub(crate) mod msg;
pub(crate) mod sem;
pub(crate) mod shm;

use std::sync::Arc;

use abi::ipc::IPC_64;
use sentry::ipc::IpcSpace;
use sentry::task::CurrentTask;

/// The objects that the task sees.
fn space(task: &CurrentTask) -> Arc<IpcSpace> {
    task.namespaces().ipc.space()
}

/// A command without the bit that old callers set.
const fn command(raw: u32) -> u32 {
    raw & !IPC_64
}
