//! A container: a first process, what it is limited to, and what `exec` enters.
//!
//! Locks: `Leaf` over the small state; what is taken out of it is dropped after it is released.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use abi::Errno;
use abi::wait::WaitStatus;
use control::Failure;
use sync::{Mutex, WaitQueue};

use super::failure;
use crate::error::{Result, err};
use crate::fs::tty::Tty;
use crate::lock_order::Leaf;
use crate::task::signal::Attention;
use crate::task::{CurrentTask, Namespaces, PidNamespace, ThreadGroup};
use crate::vfs::FsContext;

/// A container of the sandbox.
#[derive(Debug)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Most tasks it may have.
    pids: Option<u64>,
    pid_ns: Arc<PidNamespace>,
    namespaces: Arc<Namespaces>,
    /// At its root directory.
    fs: Arc<FsContext>,
    init: OnceLock<Arc<ThreadGroup>>,
    console: OnceLock<Arc<Tty>>,
    frozen: AtomicBool,
    /// Told when it goes on.
    thawed: WaitQueue,
    state: Mutex<State, Leaf>,
}

#[derive(Debug, Default)]
struct State {
    /// The first task, until `start`.
    prepared: Option<Box<CurrentTask>>,
    /// Processes of `exec` that nobody has waited for, by their pid in the container.
    processes: Vec<(u32, Arc<ThreadGroup>)>,
}

impl Container {
    /// A container without processes.
    pub(super) fn new(
        id: String,
        pids: Option<u64>,
        pid_ns: Arc<PidNamespace>,
        namespaces: Arc<Namespaces>,
        fs: Arc<FsContext>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            pids,
            pid_ns,
            namespaces,
            fs,
            init: OnceLock::new(),
            console: OnceLock::new(),
            frozen: AtomicBool::new(false),
            thawed: WaitQueue::new(),
            state: Mutex::default(),
        })
    }

    /// The pid namespace of its processes.
    #[must_use]
    pub fn pid_ns(&self) -> &Arc<PidNamespace> {
        &self.pid_ns
    }

    /// Its namespaces.
    #[must_use]
    pub fn namespaces(&self) -> &Arc<Namespaces> {
        &self.namespaces
    }

    /// The directories of its first process.
    #[must_use]
    pub fn fs(&self) -> &Arc<FsContext> {
        &self.fs
    }

    /// Its first process, also after it has ended.
    #[must_use]
    pub fn init(&self) -> Option<&Arc<ThreadGroup>> {
        self.init.get()
    }

    pub(super) fn set_init(&self, init: &Arc<ThreadGroup>, task: &CurrentTask) -> Result<(), Failure> {
        task.appear().map_err(|e| failure("cannot make a process", &e))?;
        let _ = self.init.set(Arc::clone(init));
        Ok(())
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

    /// EAGAIN if it has as many tasks as it may have.
    pub fn check_pids(&self) -> Result<()> {
        let full = self.pids.is_some_and(|limit| u64::try_from(self.pid_ns.used()).is_ok_and(|used| used >= limit));
        if full { err(Errno::EAGAIN) } else { Ok(()) }
    }

    pub(super) fn prepare(&self, task: CurrentTask) {
        self.state.lock().prepared = Some(Box::new(task));
    }

    pub(super) fn take_prepared(&self) -> Option<CurrentTask> {
        self.state.lock().prepared.take().map(|task| *task)
    }

    /// Whether its first process waits for `start`.
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        self.state.lock().prepared.is_some()
    }

    /// Ends a first process that never ran.
    pub(super) fn discard_prepared(&self) {
        if let Some(task) = self.take_prepared() {
            task.never_ran();
        }
    }

    pub(super) fn add_process(&self, process: &Arc<ThreadGroup>, task: &CurrentTask) -> Result<u32, Failure> {
        task.appear().map_err(|e| failure("cannot make a process", &e))?;
        let pid = u32::try_from(process.tgid_in(&self.pid_ns)).unwrap_or(0);
        self.state.lock().processes.push((pid, Arc::clone(process)));
        Ok(pid)
    }

    /// The process of `exec` with this pid, to be waited for once, or a living one.
    pub(super) fn take_waited(&self, pid: u32) -> Option<Arc<ThreadGroup>> {
        let mut state = self.state.lock();
        let at = state.processes.iter().position(|(known, _)| *known == pid);
        match at {
            Some(at) => Some(state.processes.swap_remove(at).1),
            None => {
                drop(state);
                self.process(pid)
            }
        }
    }

    /// Its processes, zombies included.
    #[must_use]
    pub fn processes(&self) -> Vec<Arc<ThreadGroup>> {
        let mut all = self.pid_ns.groups();
        all.retain(|process| std::ptr::eq(Arc::as_ptr(process.container()), self));
        all
    }

    /// Its process with this pid.
    #[must_use]
    pub fn process(&self, pid: u32) -> Option<Arc<ThreadGroup>> {
        let process = self.pid_ns.group(i32::try_from(pid).ok()?)?;
        std::ptr::eq(Arc::as_ptr(process.container()), self).then_some(process)
    }

    /// Whether its tasks are stopped from outside.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::SeqCst)
    }

    /// Stops its tasks, or lets them go on.
    pub fn set_frozen(&self, frozen: bool) {
        self.frozen.store(frozen, Ordering::SeqCst);
        if !frozen {
            self.thawed.notify(1);
            return;
        }
        for task in self.processes().iter().flat_map(|process| process.threads()) {
            task.attention().raise(Attention::WORK);
        }
    }

    /// Told when it goes on.
    #[must_use]
    pub fn thawed(&self) -> &WaitQueue {
        &self.thawed
    }
}
