//! A container: a first process, what it is limited to, and what `exec` enters.
//!
//! Locks: `Leaf` over the small state; what is taken out of it is dropped after it is released.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use abi::Errno;
use abi::seccomp::SockFilter;
use abi::wait::WaitStatus;
use control::Failure;
use control::spec::{ContainerSpec, Limits, SeccompProfile};
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
    /// Most tasks it may have; `u64::MAX` for any number.
    pids: AtomicU64,
    /// Most memory it may have; `u64::MAX` for any amount.
    memory: AtomicU64,
    /// How many of its processes were killed because it had too much memory.
    oom_kills: AtomicU64,
    /// Told after each.
    oom_killed: WaitQueue,
    /// The filter of each of its processes.
    seccomp: Option<SeccompProfile>,
    pid_ns: Arc<PidNamespace>,
    namespaces: Arc<Namespaces>,
    /// At its root directory.
    fs: Arc<FsContext>,
    console: OnceLock<Arc<Tty>>,
    frozen: AtomicBool,
    /// Told when it goes on.
    thawed: WaitQueue,
    state: Mutex<State, Leaf>,
}

#[derive(Debug, Default)]
struct State {
    /// The first process, also after it has ended.
    init: Option<Arc<ThreadGroup>>,
    /// The first task, until `start`.
    prepared: Option<Box<CurrentTask>>,
    /// Processes of `exec` that nobody has waited for, by their pid in the container.
    processes: Vec<(u32, Arc<ThreadGroup>)>,
}

/// The seccomp profile of a container.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seccomp<'a>(&'a SeccompProfile);

impl Seccomp<'_> {
    /// SECCOMP_FILTER_FLAG_LOG.
    pub(super) const fn log(self) -> bool {
        self.0.log
    }

    /// The program, not yet checked.
    pub(super) fn code(self) -> Vec<SockFilter> {
        self.0.code.iter().map(|&(code, jt, jf, k)| SockFilter { code, jt, jf, k }).collect()
    }
}

impl Container {
    /// A container without processes.
    pub(super) fn new(
        spec: &ContainerSpec,
        pid_ns: Arc<PidNamespace>,
        namespaces: Arc<Namespaces>,
        fs: Arc<FsContext>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id: spec.id.clone(),
            pids: AtomicU64::new(spec.limits.pids.unwrap_or(u64::MAX)),
            memory: AtomicU64::new(spec.limits.memory.unwrap_or(u64::MAX)),
            oom_kills: AtomicU64::new(0),
            oom_killed: WaitQueue::new(),
            seccomp: spec.seccomp.clone(),
            pid_ns,
            namespaces,
            fs,
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
    pub fn init(&self) -> Option<Arc<ThreadGroup>> {
        self.state.lock().init.clone()
    }

    pub(super) fn set_init(&self, init: &Arc<ThreadGroup>, task: &CurrentTask) -> Result<(), Failure> {
        task.appear().map_err(|e| failure("cannot make a process", &e))?;
        self.state.lock().init = Some(Arc::clone(init));
        Ok(())
    }

    /// Lets go of its processes, which hold on to it: without this neither they nor its file tree would ever be dropped.
    pub(super) fn forget_processes(&self) {
        let state = std::mem::take(&mut *self.state.lock());
        drop(state);
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
        let limit = self.pids.load(Ordering::Relaxed);
        let full = limit != u64::MAX && u64::try_from(self.pid_ns.used()).is_ok_and(|used| used >= limit);
        if full { err(Errno::EAGAIN) } else { Ok(()) }
    }

    /// Most memory it may have; `u64::MAX` for any amount.
    #[must_use]
    pub fn memory_limit(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    /// Most tasks it may have; `u64::MAX` for any number.
    #[must_use]
    pub fn pids_limit(&self) -> u64 {
        self.pids.load(Ordering::Relaxed)
    }

    /// Changes what it is limited to; what is absent stays, and `u64::MAX` takes a limit away.
    pub(super) fn set_limits(&self, limits: Limits) {
        if let Some(pids) = limits.pids {
            self.pids.store(pids, Ordering::Relaxed);
        }
        if let Some(memory) = limits.memory {
            self.memory.store(memory, Ordering::Relaxed);
        }
    }

    /// How many of its processes were killed because it had too much memory.
    #[must_use]
    pub fn oom_kills(&self) -> u64 {
        self.oom_kills.load(Ordering::SeqCst)
    }

    pub(super) fn count_oom_kill(&self) {
        self.oom_kills.fetch_add(1, Ordering::SeqCst);
        self.oom_killed.notify(1);
    }

    /// Told after each process that was killed because the container had too much memory, and at its end.
    pub(super) fn oom_killed(&self) -> &WaitQueue {
        &self.oom_killed
    }

    /// The filter of each of its processes.
    pub(super) fn seccomp(&self) -> Option<Seccomp<'_>> {
        self.seccomp.as_ref().map(Seccomp)
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
