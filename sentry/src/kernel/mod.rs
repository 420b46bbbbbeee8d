//! The sandbox as a whole: what all tasks share.

pub mod container;
pub mod stubs;

use std::sync::Arc;

use platform::Platform;

use crate::mm::memfile::MemFile;
use crate::syscall::SyscallTable;
use crate::task::signal::SignalCounts;
use crate::task::tree::TaskTree;
use crate::time::Clocks;

/// One per sandbox process. Everything in it is either immutable or has a lock of its own.
#[derive(Debug)]
pub struct Kernel {
    /// How application code runs.
    pub platform: Arc<dyn Platform>,
    /// All memory.
    pub memfile: Arc<MemFile>,
    /// The calls.
    pub syscalls: SyscallTable,
    /// Processes and their relations, pid namespaces.
    pub tree: TaskTree,
    /// CLOCK_REALTIME, CLOCK_MONOTONIC, the vDSO's parameters, the timer thread.
    pub clocks: Arc<Clocks>,
    /// Queued signals by user (RLIMIT_SIGPENDING).
    pub signal_counts: Arc<SignalCounts>,
    /// Calls that were made and are not there.
    pub stubs: stubs::Stubs,
    /// Whether calls are written to the debug log.
    pub strace: bool,
}
