//! A process: threads that share an identity, signal actions, limits and a place in the tree.
//!
//! Locks: `TreeLinks` for its place (changed only under `Tree`), `Threads` for its threads and its end, `Leaf` for the
//! rest.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use abi::resource::{Resource, Rlimit};
use abi::signal::Signal;
use abi::wait::WaitStatus;
use sync::{Mutex, WaitQueue};

use super::Task;
use super::limits::Limits;
use super::pid::{Pid, PidNamespace};
use super::session::{ControllingTty, ProcessGroup, Session};
use super::signal::GroupSignals;
use super::usage::{CpuTime, GroupUsage, Usage};
use crate::kernel::Kernel;
use crate::kernel::container::Container;
use crate::lock_order::{self, TreeLinks};
use crate::time::GroupTimers;
use crate::vfs::Path;

/// PR_SET_DUMPABLE: nobody may look into the process.
pub(super) const SUID_DUMP_DISABLE: u32 = 0;
/// PR_SET_DUMPABLE: its user may.
pub(crate) const SUID_DUMP_USER: u32 = 1;

/// A process.
pub struct ThreadGroup {
    kernel: Arc<Kernel>,
    container: Arc<Container>,
    pid: Arc<Pid>,
    /// The parent's number in this process's namespace, so that getppid(2) takes no lock.
    ppid: AtomicI32,
    pub(super) links: Mutex<Links, TreeLinks>,
    pub(super) threads: Mutex<Threads, lock_order::Threads>,
    /// Signal actions, shared pending signals, stop state.
    pub signals: GroupSignals,
    /// Interval timers, POSIX timers, the CPU limit.
    pub timers: GroupTimers,
    limits: Limits,
    pub(super) usage: GroupUsage,
    /// Whom its threads trace; changes under `Tree`.
    pub(super) tracees: Mutex<Vec<Arc<Task>>, lock_order::Tracees>,
    /// Told when a child changes state.
    pub child_queue: WaitQueue,
    oom_score_adj: AtomicI32,
    oom_score_adj_min: AtomicI32,
    dumpable: AtomicU32,
    subreaper: AtomicBool,
    thp_disabled: AtomicBool,
    /// Kinds of membarrier(2) it registered for.
    pub(super) barriers: AtomicU32,
    started: Instant,
    /// The keyring that its threads share.
    pub(crate) process_keyring: Mutex<Option<Arc<crate::keys::Key>>, lock_order::Leaf>,
}

/// A process's place in the tree.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) parent: Weak<ThreadGroup>,
    /// The thread that made it: whose death sends PR_SET_PDEATHSIG, and for whom __WNOTHREAD waits.
    pub(super) parent_task: Weak<Task>,
    /// Oldest first, zombies included.
    pub(super) children: Vec<Arc<ThreadGroup>>,
    /// `None` once it was released.
    pub(super) process_group: Option<Arc<ProcessGroup>>,
    /// What the parent gets when it ends; `None` for no signal.
    pub(super) exit_signal: Option<Signal>,
    /// A stop or continuation that no wait has reported yet.
    pub(super) job_report: Option<JobReport>,
    /// It has called execve: setpgid(2) by the parent is refused.
    pub(super) execed: bool,
    pub(super) life: Life,
}

/// A change of state by job control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobReport {
    /// A signal stopped it.
    Stopped(Signal),
    /// SIGCONT let it go on.
    Continued,
}

impl JobReport {
    /// As wait4(2) tells it.
    #[must_use]
    pub const fn wait_status(self) -> WaitStatus {
        match self {
            Self::Stopped(signal) => WaitStatus::stopped(signal),
            Self::Continued => WaitStatus::CONTINUED,
        }
    }
}

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// At least one thread runs.
    Alive,
    /// All threads have ended; nobody has waited for it yet.
    Zombie(WaitStatus),
    /// It was waited for, or nobody ever will.
    Released(WaitStatus),
}

/// The threads of a process.
#[derive(Debug, Default)]
pub(super) struct Threads {
    /// Those that run, the leader included even after it has ended.
    pub(super) list: Vec<Arc<Task>>,
    /// The thread whose tid is the pid; `None` once the process was released.
    pub(super) leader: Option<Arc<Task>>,
    /// How many have not ended.
    pub(super) live: usize,
    /// How the leader ended by exit(2), which counts if the process did not end as a whole.
    pub(super) leader_exit: WaitStatus,
    /// The thread that waits for all others to end because it is in execve.
    pub(super) execing: Option<Arc<Task>>,
}

/// What a new process is made of.
pub(crate) struct GroupParts {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) container: Arc<Container>,
    pub(crate) pid: Arc<Pid>,
    pub(crate) signals: GroupSignals,
    pub(crate) limits: Limits,
    pub(crate) exit_signal: Option<Signal>,
    pub(crate) oom_score_adj: (i32, i32),
    pub(crate) dumpable: u32,
}

impl ThreadGroup {
    /// A process without threads, parent or process group yet.
    pub(crate) fn new(parts: GroupParts) -> Arc<Self> {
        Arc::new(Self {
            kernel: parts.kernel,
            container: parts.container,
            pid: parts.pid,
            ppid: AtomicI32::new(0),
            links: Mutex::new(Links {
                parent: Weak::new(),
                parent_task: Weak::new(),
                children: Vec::new(),
                process_group: None,
                exit_signal: parts.exit_signal,
                job_report: None,
                execed: false,
                life: Life::Alive,
            }),
            threads: Mutex::new(Threads::default()),
            signals: parts.signals,
            timers: GroupTimers::default(),
            limits: parts.limits,
            usage: GroupUsage::default(),
            tracees: Mutex::default(),
            child_queue: WaitQueue::new(),
            oom_score_adj: AtomicI32::new(parts.oom_score_adj.0),
            oom_score_adj_min: AtomicI32::new(parts.oom_score_adj.1),
            dumpable: AtomicU32::new(parts.dumpable),
            subreaper: AtomicBool::new(false),
            thp_disabled: AtomicBool::new(false),
            barriers: AtomicU32::new(0),
            started: Instant::now(),
            process_keyring: Mutex::new(None),
        })
    }

    /// The sandbox.
    #[must_use]
    pub fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel
    }

    /// The container it runs in.
    #[must_use]
    pub fn container(&self) -> &Arc<Container> {
        &self.container
    }

    /// Its identity.
    #[must_use]
    pub fn pid(&self) -> &Arc<Pid> {
        &self.pid
    }

    /// Its number in its own pid namespace: what getpid(2) returns.
    #[must_use]
    pub fn tgid(&self) -> i32 {
        self.pid.number()
    }

    /// Its number as `ns` sees it; 0 if it does not.
    #[must_use]
    pub fn tgid_in(&self, ns: &Arc<PidNamespace>) -> i32 {
        self.pid.number_in(ns)
    }

    /// The parent's number in its own namespace; 0 for a parent outside. What getppid(2) returns.
    #[must_use]
    pub fn ppid(&self) -> i32 {
        self.ppid.load(Ordering::Relaxed)
    }

    pub(super) fn set_ppid(&self, ppid: i32) {
        self.ppid.store(ppid, Ordering::Relaxed);
    }

    /// Whether it is the init of its pid namespace: signals without a handler do not kill it.
    #[must_use]
    pub fn is_init(&self) -> bool {
        self.tgid() == 1
    }

    /// The parent; `None` for the first process of a container.
    #[must_use]
    pub fn parent(&self) -> Option<Arc<ThreadGroup>> {
        self.links.lock().parent.upgrade()
    }

    /// Its children, oldest first, zombies included.
    #[must_use]
    pub fn children(&self) -> Vec<Arc<ThreadGroup>> {
        self.links.lock().children.clone()
    }

    /// Its process group; `None` once it was released.
    #[must_use]
    pub fn process_group(&self) -> Option<Arc<ProcessGroup>> {
        self.links.lock().process_group.clone()
    }

    /// Its session; `None` once it was released.
    #[must_use]
    pub fn session(&self) -> Option<Arc<Session>> {
        self.links.lock().process_group.as_ref().map(|pg| Arc::clone(pg.session()))
    }

    /// The controlling terminal of its session.
    #[must_use]
    pub fn tty(&self) -> Option<Arc<dyn ControllingTty>> {
        self.session()?.tty()
    }

    /// Whether it leads its session.
    #[must_use]
    pub fn is_session_leader(&self) -> bool {
        self.links.lock().process_group.as_ref().is_some_and(|pg| Arc::ptr_eq(pg.session().pid(), &self.pid))
    }

    /// The signal its parent gets when it ends.
    #[must_use]
    pub fn exit_signal(&self) -> Option<Signal> {
        self.links.lock().exit_signal
    }

    /// The thread whose tid is the pid, also after it has exited; `None` once the process was released.
    #[must_use]
    pub fn leader(&self) -> Option<Arc<Task>> {
        self.threads.lock().leader.clone()
    }

    /// Its threads that have not exited, and the leader.
    #[must_use]
    pub fn threads(&self) -> Vec<Arc<Task>> {
        self.threads.lock().list.clone()
    }

    /// Calls `f` for each of its threads until it returns false. The `Threads` lock is held.
    pub fn for_each_thread(&self, mut f: impl FnMut(&Arc<Task>) -> bool) {
        for task in &self.threads.lock().list {
            if !f(task) {
                break;
            }
        }
    }

    /// How many threads it has that did not exit.
    #[must_use]
    pub fn live_threads(&self) -> usize {
        self.threads.lock().live
    }

    /// Its thread with this number in `ns`.
    #[must_use]
    pub fn thread(&self, ns: &Arc<PidNamespace>, tid: i32) -> Option<Arc<Task>> {
        ns.task(tid).filter(|task| std::ptr::eq(Arc::as_ptr(task.group()), self))
    }

    /// Whether it is ending as a whole: exit_group(2) or a fatal signal came.
    #[must_use]
    pub fn is_exiting(&self) -> bool {
        self.signals.exit_status().is_some()
    }

    /// Whether all its threads have ended.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.links.lock().life != Life::Alive
    }

    /// Whether it was waited for (or nobody ever will).
    #[must_use]
    pub fn is_released(&self) -> bool {
        matches!(self.links.lock().life, Life::Released(_))
    }

    /// How it ended; `None` while it lives.
    #[must_use]
    pub fn wait_status(&self) -> Option<WaitStatus> {
        match self.links.lock().life {
            Life::Alive => None,
            Life::Zombie(status) | Life::Released(status) => Some(status),
        }
    }

    /// Resource limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// CPU time of all its threads (CLOCK_PROCESS_CPUTIME_ID).
    #[must_use]
    pub fn cpu_time(&self) -> CpuTime {
        self.used().cpu
    }

    /// What all its threads have used.
    #[must_use]
    pub fn used(&self) -> Usage {
        let threads = self.threads();
        let mut sum = *self.usage.dead_threads.lock();
        for task in threads.iter().filter(|task| !task.is_dead()) {
            sum.add(&task.used());
        }
        sum
    }

    /// What its children that were waited for, and theirs, have used.
    #[must_use]
    pub fn children_used(&self) -> Usage {
        *self.usage.children.lock()
    }

    /// The program (/proc/PID/exe); `None` once it has ended.
    #[must_use]
    pub fn exe(&self) -> Option<Path> {
        Some(self.leader()?.mm()?.exe()?.path().clone())
    }

    /// Tells those who keep a copy of a limit that it has changed.
    pub fn limit_changed(&self, resource: Resource, limit: Rlimit) {
        if resource == Resource::RLIMIT_CPU {
            self.cpu_limit_changed();
        }
        if resource == Resource::RLIMIT_CPU {
            self.cpu_limit_changed();
        }
        let Some(mm) = self.threads().iter().find_map(|task| task.mm()) else { return };
        let copy = match resource {
            Resource::RLIMIT_AS => &mm.limits().address_space,
            Resource::RLIMIT_DATA => &mm.limits().data,
            Resource::RLIMIT_STACK => &mm.limits().stack,
            Resource::RLIMIT_MEMLOCK => &mm.limits().locked,
            _ => return,
        };
        copy.store(limit.rlim_cur, Ordering::Relaxed);
    }

    /// /proc/PID/oom_score_adj.
    #[must_use]
    pub fn oom_score_adj(&self) -> i32 {
        self.oom_score_adj.load(Ordering::Relaxed)
    }

    /// The lowest value it may set without CAP_SYS_RESOURCE.
    #[must_use]
    pub fn oom_score_adj_min(&self) -> i32 {
        self.oom_score_adj_min.load(Ordering::Relaxed)
    }

    /// Sets /proc/PID/oom_score_adj; `privileged` (CAP_SYS_RESOURCE) also sets the lowest value.
    pub fn set_oom_score_adj(&self, value: i32, privileged: bool) {
        self.oom_score_adj.store(value, Ordering::Relaxed);
        if privileged {
            self.oom_score_adj_min.store(value, Ordering::Relaxed);
        }
    }

    /// PR_GET_DUMPABLE: SUID_DUMP_*.
    #[must_use]
    pub fn dumpable(&self) -> u32 {
        self.dumpable.load(Ordering::Relaxed)
    }

    /// Sets PR_SET_DUMPABLE.
    pub fn set_dumpable(&self, dumpable: u32) {
        self.dumpable.store(dumpable, Ordering::Relaxed);
    }

    /// PR_GET_CHILD_SUBREAPER.
    #[must_use]
    pub fn is_subreaper(&self) -> bool {
        self.subreaper.load(Ordering::Relaxed)
    }

    /// Sets PR_SET_CHILD_SUBREAPER.
    pub fn set_subreaper(&self, on: bool) {
        self.subreaper.store(on, Ordering::Relaxed);
    }

    /// PR_GET_THP_DISABLE.
    #[must_use]
    pub fn is_thp_disabled(&self) -> bool {
        self.thp_disabled.load(Ordering::Relaxed)
    }

    /// Sets PR_SET_THP_DISABLE. Memory has no large pages to begin with.
    pub fn set_thp_disabled(&self, on: bool) {
        self.thp_disabled.store(on, Ordering::Relaxed);
    }

    /// When it was made.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }
}

impl fmt::Debug for ThreadGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ThreadGroup({})", self.tgid())
    }
}

impl fmt::Debug for GroupParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupParts({})", self.pid.number())
    }
}
