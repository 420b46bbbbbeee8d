//! Threads and processes.
//!
//! [`Task`] is what other tasks may see of a thread; [`CurrentTask`] is what only the thread itself may touch, and is passed
//! to every system call. [`ThreadGroup`] is a process. What relates them: [`pid`] numbers and pid namespaces, [`session`]
//! process groups, sessions and terminals, [`tree`] parents and children. Their life: [`run`], `clone`, `exec`, `exit`, `wait`.
//!
//! Locks: `Tree` over every change of who is whose parent or member; `TreeLinks`, `Pids`, `PidUses`, `Threads` and `Task`
//! protect one object each and are read without `Tree`. What a plain system call needs of its own task takes none of them.

mod access;
pub mod activity;
mod barrier;
mod clone;
pub mod creds;
pub mod current;
mod enter;
pub mod exec;
mod exec_creds;
mod exit;
mod first;
pub mod group;
pub mod here;
pub mod host_thread;
mod jobs;
pub mod limits;
pub mod namespaces;
pub mod pid;
pub mod pidfd;
pub mod ptrace;
pub mod run;
pub mod sched;
mod seccomp;
pub mod session;
mod set_caps;
mod set_ids;
pub mod signal;
mod strace;
pub mod tree;
mod unshare;
pub mod usage;
mod user_dispatch;
pub mod user_ns;
mod vsyscall;
pub mod wait;
mod work;

pub use clone::CloneRequest;
pub use creds::Credentials;
pub use current::CurrentTask;
pub use first::NewProcess;
pub use group::ThreadGroup;
pub use limits::Limits;
pub use namespaces::Namespaces;
pub use pid::{Pid, PidNamespace};
pub use session::{ControllingTty, ProcessGroup, Session};
pub use user_dispatch::UserDispatch;
pub use user_ns::UserNamespace;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use abi::UserAddr;
use abi::limits::TASK_COMM_LEN;
use abi::signal::Signal;
use platform::CpuMeter;
use sync::{Mutex, Parker};

use crate::ipc::SemUndo;
use crate::kernel::Kernel;
use crate::lock_order;
use crate::mm::MemoryManager;
use crate::vfs::{FdTable, FsContext};
use activity::{Activity, AtomicActivity};
use sched::Sched;
use signal::{Attention, Charge, TaskSignals};
use usage::{CpuTime, TaskClocks, TaskUsage, Usage};

/// A thread, as others see it.
pub struct Task {
    kernel: Arc<Kernel>,
    group: Arc<ThreadGroup>,
    /// Its number in its own namespace. Changes when execve makes it the leader.
    tid: AtomicI32,
    activity: AtomicActivity,
    /// Its signal mask, pending signals, alternate stack.
    pub signals: Arc<TaskSignals>,
    ptrace: ptrace::Tracee,
    seccomp: seccomp::Seccomp,
    /// The keyrings of its own.
    pub keys: Mutex<crate::keys::TaskKeys, lock_order::Leaf>,
    work: work::Work,
    pub(crate) sem_undo: Mutex<Option<Arc<SemUndo>>, lock_order::Leaf>,
    shared: Mutex<Shared, lock_order::Task>,
    clocks: TaskClocks,
    /// Counters.
    pub usage: TaskUsage,
    /// Policy, priority, affinity: stored, not obeyed.
    pub sched: Sched,
    started: Instant,
    personality: AtomicU32,
    parent_death_signal: AtomicI32,
    robust_list: AtomicU64,
    timer_slack: AtomicU64,
    /// What PR_SET_TIMERSLACK with 0 goes back to: its parent's when it was made.
    default_timer_slack: u64,
}

/// What other tasks may read of a task. [`CurrentTask`] has copies of most of it, which it reads without this lock, because
/// only the task itself replaces them.
#[derive(Debug)]
struct Shared {
    comm: Comm,
    pid: Arc<Pid>,
    creds: Arc<Credentials>,
    mm: Option<Arc<MemoryManager>>,
    files: Option<Arc<FdTable>>,
    fs: Option<Arc<FsContext>>,
    namespaces: Option<Arc<Namespaces>>,
    /// It counts as one task of its real user (RLIMIT_NPROC).
    charge: Option<Charge>,
}

/// The name of a task: at most 15 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Comm([u8; TASK_COMM_LEN]);

/// What `/proc/PID/stat` calls the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// R
    Running,
    /// S
    Sleeping,
    /// D
    Uninterruptible,
    /// T
    Stopped,
    /// t
    Traced,
    /// Z
    Zombie,
    /// X
    Dead,
}

/// What a new task is made of.
pub(crate) struct TaskParts {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) group: Arc<ThreadGroup>,
    pub(crate) pid: Arc<Pid>,
    pub(crate) comm: Comm,
    pub(crate) creds: Arc<Credentials>,
    pub(crate) mm: Arc<MemoryManager>,
    pub(crate) files: Arc<FdTable>,
    pub(crate) fs: Arc<FsContext>,
    pub(crate) namespaces: Arc<Namespaces>,
    pub(crate) signals: Arc<TaskSignals>,
    pub(crate) cpu_meter: CpuMeter,
    pub(crate) sched: Sched,
    pub(crate) personality: u32,
    pub(crate) timer_slack: u64,
}

impl Task {
    pub(crate) fn new(parts: TaskParts) -> Arc<Self> {
        let charge = parts.kernel.user_tasks.charge(parts.creds.uid, u64::MAX);
        Arc::new(Self {
            kernel: parts.kernel,
            group: parts.group,
            tid: AtomicI32::new(parts.pid.number()),
            activity: AtomicActivity::default(),
            signals: parts.signals,
            ptrace: ptrace::Tracee::default(),
            seccomp: seccomp::Seccomp::default(),
            keys: Mutex::default(),
            work: work::Work::default(),
            sem_undo: Mutex::new(None),
            shared: Mutex::new(Shared {
                comm: parts.comm,
                pid: parts.pid,
                creds: parts.creds,
                mm: Some(parts.mm),
                files: Some(parts.files),
                fs: Some(parts.fs),
                namespaces: Some(parts.namespaces),
                charge,
            }),
            clocks: TaskClocks::new(parts.cpu_meter),
            usage: TaskUsage::default(),
            sched: parts.sched,
            started: Instant::now(),
            personality: AtomicU32::new(parts.personality),
            parent_death_signal: AtomicI32::new(0),
            robust_list: AtomicU64::new(0),
            timer_slack: AtomicU64::new(parts.timer_slack),
            default_timer_slack: parts.timer_slack,
        })
    }

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

    /// Its number in its own pid namespace: what gettid(2) returns.
    #[must_use]
    pub fn tid(&self) -> i32 {
        self.tid.load(Ordering::Relaxed)
    }

    /// Its number as `ns` sees it; 0 if it does not.
    #[must_use]
    pub fn tid_in(&self, ns: &Arc<PidNamespace>) -> i32 {
        self.pid().number_in(ns)
    }

    /// Its identity.
    #[must_use]
    pub fn pid(&self) -> Arc<Pid> {
        Arc::clone(&self.shared.lock().pid)
    }

    /// The pid namespace it lives in, which never changes.
    #[must_use]
    pub fn pid_ns(&self) -> &Arc<PidNamespace> {
        self.group.pid().ns()
    }

    /// Whether it is the leader of its process.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.tid() == self.group.tgid()
    }

    /// Gives it another identity; returns the old one. For execve, which makes any thread the leader.
    pub(super) fn replace_pid(&self, pid: Arc<Pid>) -> Arc<Pid> {
        self.tid.store(pid.number(), Ordering::Relaxed);
        std::mem::replace(&mut self.shared.lock().pid, pid)
    }

    /// Credentials; a moment later they may be others.
    #[must_use]
    pub fn creds(&self) -> Arc<Credentials> {
        Arc::clone(&self.shared.lock().creds)
    }

    /// Its memory; `None` once it has exited.
    #[must_use]
    pub fn mm(&self) -> Option<Arc<MemoryManager>> {
        self.shared.lock().mm.clone()
    }

    /// Its open files; `None` once it has exited.
    #[must_use]
    pub fn files(&self) -> Option<Arc<FdTable>> {
        self.shared.lock().files.clone()
    }

    /// Its working directory and root; `None` once it has exited.
    #[must_use]
    pub fn fs(&self) -> Option<Arc<FsContext>> {
        self.shared.lock().fs.clone()
    }

    /// Its namespaces; `None` once it has exited.
    #[must_use]
    pub fn namespaces(&self) -> Option<Arc<Namespaces>> {
        self.shared.lock().namespaces.clone()
    }

    /// Its name.
    #[must_use]
    pub fn comm(&self) -> Comm {
        self.shared.lock().comm
    }

    /// Changes its name (PR_SET_NAME, a write to /proc/PID/comm).
    pub fn set_comm(&self, comm: Comm) {
        self.shared.lock().comm = comm;
    }

    /// When it was made.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// CPU time it has used (CLOCK_THREAD_CPUTIME_ID).
    #[must_use]
    pub fn cpu_time(&self) -> CpuTime {
        self.clocks.read()
    }

    /// All it has used so far.
    #[must_use]
    pub fn used(&self) -> Usage {
        self.usage.sum(self.cpu_time(), 0)
    }

    /// personality(2).
    #[must_use]
    pub fn personality(&self) -> u32 {
        self.personality.load(Ordering::Relaxed)
    }

    /// Sets personality(2).
    pub fn set_personality(&self, personality: u32) {
        self.personality.store(personality, Ordering::Relaxed);
    }

    /// PR_SET_PDEATHSIG.
    #[must_use]
    pub fn parent_death_signal(&self) -> Option<Signal> {
        Signal::new(self.parent_death_signal.load(Ordering::Relaxed)).ok()
    }

    /// Sets PR_SET_PDEATHSIG.
    pub fn set_parent_death_signal(&self, signal: Option<Signal>) {
        self.parent_death_signal.store(signal.map_or(0, Signal::number), Ordering::Relaxed);
    }

    /// The head of its list of robust futexes (set_robust_list(2)).
    #[must_use]
    pub fn robust_list(&self) -> UserAddr {
        UserAddr(self.robust_list.load(Ordering::Relaxed))
    }

    /// Sets the head of its list of robust futexes.
    pub fn set_robust_list(&self, head: UserAddr) {
        self.robust_list.store(head.0, Ordering::Relaxed);
    }

    /// PR_SET_TIMERSLACK, in nanoseconds.
    #[must_use]
    pub fn timer_slack(&self) -> u64 {
        self.timer_slack.load(Ordering::Relaxed)
    }

    /// Sets PR_SET_TIMERSLACK; `None` is what the task began with.
    pub fn set_timer_slack(&self, ns: Option<u64>) {
        self.timer_slack.store(ns.unwrap_or(self.default_timer_slack), Ordering::Relaxed);
    }

    /// What it is doing, as /proc shows it.
    #[must_use]
    pub fn state(&self) -> TaskState {
        match self.activity.get() {
            Activity::Run => TaskState::Running,
            Activity::Sleep => TaskState::Sleeping,
            Activity::Killable => TaskState::Uninterruptible,
            Activity::Stopped => TaskState::Stopped,
            Activity::Traced => TaskState::Traced,
            Activity::Dead if self.is_leader() && !self.group.is_released() => TaskState::Zombie,
            Activity::Dead => TaskState::Dead,
        }
    }

    /// Whether it has exited.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.activity.get() == Activity::Dead
    }

    /// Says what it is doing now; for its own thread.
    pub fn set_activity(&self, activity: Activity) {
        self.activity.set(activity);
    }

    /// How other threads get its attention.
    #[must_use]
    pub fn attention(&self) -> &Attention {
        self.signals.attention()
    }

    /// Where it sleeps.
    #[must_use]
    pub fn parker(&self) -> &Parker {
        self.attention().parker()
    }

    /// Which record of SEM_UNDO operations it has, for kcmp(2); 0 for none.
    #[must_use]
    pub fn sem_undo_id(&self) -> u64 {
        SemUndo::id_of(self)
    }

    /// Whether it has to exit.
    #[must_use]
    pub fn is_dying(&self) -> bool {
        self.attention().killed()
    }
}

impl Comm {
    /// A name of these bytes, cut at 15 and at a NUL.
    #[must_use]
    pub fn new(name: &[u8]) -> Self {
        let mut comm = [0; TASK_COMM_LEN];
        for (to, from) in comm[..TASK_COMM_LEN - 1].iter_mut().zip(name.iter().take_while(|b| **b != 0)) {
            *to = *from;
        }
        Self(comm)
    }

    /// The name without NULs.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let len = self.0.iter().position(|b| *b == 0).unwrap_or(TASK_COMM_LEN);
        &self.0[..len]
    }

    /// All 16 bytes, NULs included.
    #[must_use]
    pub fn padded(&self) -> [u8; TASK_COMM_LEN] {
        self.0
    }
}

impl fmt::Debug for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task({} of {})", self.tid(), self.group.tgid())
    }
}

impl fmt::Debug for TaskParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskParts({})", self.pid.number())
    }
}

impl sync::Wake for Task {
    fn wake(&self, _events: u32) {
        self.parker().wake();
    }
}
