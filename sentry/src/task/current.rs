//! The running task: what only its own thread may touch.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use abi::Errno;
use platform::Context;
use sync::WaitQueue;

use super::Task;
use super::creds::Credentials;
use crate::error::{Error, Restart, Result};
use crate::mm::MemoryManager;
use crate::vfs::{FdTable, FsContext};

/// The task whose thread this is. Every system call gets it; what other tasks may see is in [`Task`], which it derefs to.
#[derive(Debug)]
pub struct CurrentTask {
    task: Arc<Task>,
    mm: Arc<MemoryManager>,
    files: Arc<FdTable>,
    fs: Arc<FsContext>,
    creds: Arc<Credentials>,
    context: Box<dyn Context>,
}

impl Deref for CurrentTask {
    type Target = Arc<Task>;
    fn deref(&self) -> &Arc<Task> {
        &self.task
    }
}

impl CurrentTask {
    /// Its memory.
    #[must_use]
    pub fn mm(&self) -> &Arc<MemoryManager> {
        &self.mm
    }

    /// Its open files.
    #[must_use]
    pub fn files(&self) -> &Arc<FdTable> {
        &self.files
    }

    /// Its working directory, root and umask.
    #[must_use]
    pub fn fs(&self) -> &Arc<FsContext> {
        &self.fs
    }

    /// Its credentials, without a lock.
    #[must_use]
    pub fn creds(&self) -> &Arc<Credentials> {
        &self.creds
    }

    /// The platform's side of it: registers.
    pub fn context(&mut self) -> &mut dyn Context {
        &mut *self.context
    }

    /// Whether a signal (or death) should end a wait.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        false
    }

    /// Waits until `attempt` no longer fails with EAGAIN. It is made first, and again whenever `queue` tells one of the
    /// events in `mask`. A signal ends the wait with [`Restart::Sys`], the deadline with ETIMEDOUT.
    pub fn wait_on<T>(
        &self,
        queue: &WaitQueue,
        mask: u32,
        deadline: Option<Instant>,
        mut attempt: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        match attempt() {
            Err(e) if e.is(Errno::EAGAIN) => {}
            other => return other,
        }
        let id = queue.register(mask, Arc::clone(&self.task) as Arc<dyn sync::Wake>);
        let result = loop {
            self.task.parker.reset();
            match attempt() {
                Err(e) if e.is(Errno::EAGAIN) => {}
                other => break other,
            }
            if let Err(e) = self.park(deadline) {
                break Err(e);
            }
        };
        queue.unregister(id);
        result
    }

    /// The task as something a wait queue can wake.
    #[must_use]
    pub fn as_wake(&self) -> Arc<dyn sync::Wake> {
        Arc::clone(&self.task) as Arc<dyn sync::Wake>
    }

    /// Forgets earlier wake-ups, before a condition is tested and [`Self::park`] called.
    pub fn reset_wake(&self) {
        self.task.parker.reset();
    }

    /// Raises SIGPIPE for this thread, as a write to a pipe or socket without readers does.
    pub fn raise_sigpipe(&self) {}

    /// Sleeps until the parker is woken; `Parker::reset` was called before the condition was tested.
    pub fn park(&self, deadline: Option<Instant>) -> Result<()> {
        if self.interrupted() {
            return Err(Error::from(Restart::Sys));
        }
        let woken = self.task.parker.park(deadline);
        if self.interrupted() {
            return Err(Error::from(Restart::Sys));
        }
        if woken { Ok(()) } else { Err(Errno::ETIMEDOUT.into()) }
    }
}

impl sync::Wake for Task {
    fn wake(&self, _events: u32) {
        self.parker.wake();
    }
}
