//! A container: a first process, what it is limited to, and the namespaces that `exec` enters.

use std::sync::{Arc, OnceLock};

use abi::Errno;
use abi::wait::WaitStatus;

use crate::error::{Result, err};
use crate::fs::tty::Tty;
use crate::task::ThreadGroup;

/// A container of the sandbox.
#[derive(Debug)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Most tasks it may have.
    pids: Option<u64>,
    init: OnceLock<Arc<ThreadGroup>>,
    console: OnceLock<Arc<Tty>>,
}

impl Container {
    /// A container without processes.
    #[must_use]
    pub fn new(id: String, pids: Option<u64>) -> Arc<Self> {
        Arc::new(Self { id, pids, init: OnceLock::new(), console: OnceLock::new() })
    }

    /// Its first process, also after it has ended.
    #[must_use]
    pub fn init(&self) -> Option<&Arc<ThreadGroup>> {
        self.init.get()
    }

    pub(super) fn set_init(&self, init: Arc<ThreadGroup>) {
        let _ = self.init.set(init);
    }

    /// What /dev/console is.
    #[must_use]
    pub fn console(&self) -> Option<&Arc<Tty>> {
        self.console.get()
    }

    /// Makes a terminal the container's console, once.
    pub fn set_console(&self, tty: Arc<Tty>) {
        let _ = self.console.set(tty);
    }

    /// How its first process ended; `None` while it lives.
    #[must_use]
    pub fn exit_status(&self) -> Option<WaitStatus> {
        self.init()?.wait_status()
    }

    /// EAGAIN if it has as many tasks as it may have. `used` is how many it has.
    pub fn check_pids(&self, used: usize) -> Result<()> {
        let full = self.pids.is_some_and(|limit| u64::try_from(used).is_ok_and(|used| used >= limit));
        if full { err(Errno::EAGAIN) } else { Ok(()) }
    }
}
