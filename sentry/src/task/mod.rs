//! Threads and processes.
//!
//! [`Task`] is what other tasks may see of a thread; [`CurrentTask`] is what only the thread itself may touch, and is passed
//! to every system call. [`ThreadGroup`] is a process. [`tree::TaskTree`] relates them: parents, process groups, sessions,
//! pid namespaces.

pub mod creds;
pub mod current;
pub mod tree;

pub use creds::Credentials;
pub use current::CurrentTask;

use std::sync::Arc;

use sync::{Mutex, Parker};

use crate::kernel::Kernel;
use crate::lock_order;
use crate::mm::MemoryManager;
use crate::vfs::{FdTable, FsContext};

/// A thread, as others see it.
#[derive(Debug)]
pub struct Task {
    kernel: Arc<Kernel>,
    group: Arc<ThreadGroup>,
    parker: Parker,
    shared: Mutex<Shared, lock_order::Task>,
}

/// What other tasks may read of a task. `mm`, `files` and `fs` are also held by [`CurrentTask`], which reads its own
/// without this lock, because only the task itself replaces them.
#[derive(Debug)]
struct Shared {
    comm: [u8; 16],
    creds: Arc<Credentials>,
    mm: Option<Arc<MemoryManager>>,
    files: Option<Arc<FdTable>>,
    fs: Option<Arc<FsContext>>,
}

/// A process.
#[derive(Debug)]
pub struct ThreadGroup {}

impl Task {
    /// The sandbox.
    #[must_use]
    pub fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel
    }

    /// The process.
    #[must_use]
    pub fn group(&self) -> &Arc<ThreadGroup> {
        &self.group
    }

    /// Credentials; of another task a moment later they may be others.
    #[must_use]
    pub fn creds(&self) -> Arc<Credentials> {
        Arc::clone(&self.shared.lock().creds)
    }
}
