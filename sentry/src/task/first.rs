//! Processes that no process made: the first of a container, and those of `exec`.

use std::sync::Arc;

use abi::UserAddr;
use abi::signal::SigSet;
use abi::wait::WaitStatus;
use sync::Parker;

use super::group::{GroupParts, SUID_DUMP_USER};
use super::session::Session;
use super::signal::{GroupSignals, SigHand, TaskSignals};
use super::{Comm, Credentials, CurrentTask, Limits, Namespaces, PidNamespace, Task, TaskParts, ThreadGroup};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::kernel::container::Container;
use crate::mm::MemoryManager;
use crate::vfs::{FdTable, FsContext};

/// Nanoseconds of timer slack that a process starts with.
const TIMER_SLACK: u64 = 50_000;

/// What such a process is made of.
#[derive(Debug)]
#[expect(missing_docs, reason = "the types say it")]
pub struct NewProcess {
    pub kernel: Arc<Kernel>,
    pub container: Arc<Container>,
    pub pid_ns: Arc<PidNamespace>,
    pub creds: Arc<Credentials>,
    /// Empty; execve brings the program's.
    pub mm: Arc<MemoryManager>,
    pub files: Arc<FdTable>,
    pub fs: Arc<FsContext>,
    pub namespaces: Arc<Namespaces>,
    pub limits: Limits,
    pub oom_score_adj: i32,
    pub blocked: SigSet,
}

impl CurrentTask {
    /// A task that nobody sees yet. The calling thread may load its program with [`Self::execve`], then make it visible
    /// with [`Self::appear`] and hand it to a thread.
    pub fn first(new: NewProcess) -> Result<Self> {
        let context = new.kernel.platform.new_context()?;
        let pid = new.pid_ns.allocate(&[])?;
        let group = ThreadGroup::new(GroupParts {
            kernel: Arc::clone(&new.kernel),
            container: new.container,
            pid: Arc::clone(&pid),
            signals: GroupSignals::new(SigHand::new(), pid.number() == 1),
            limits: new.limits,
            exit_signal: None,
            oom_score_adj: (new.oom_score_adj, new.oom_score_adj),
            dumpable: SUID_DUMP_USER,
        });
        let task = Task::new(TaskParts {
            kernel: new.kernel,
            group,
            pid,
            comm: Comm::new(b"init"),
            creds: Arc::clone(&new.creds),
            mm: Arc::clone(&new.mm),
            files: Arc::clone(&new.files),
            fs: Arc::clone(&new.fs),
            namespaces: Arc::clone(&new.namespaces),
            signals: TaskSignals::new(new.blocked),
            cpu_meter: context.cpu_meter(),
            sched: Default::default(),
            personality: 0,
            timer_slack: TIMER_SLACK,
        });
        task.attention().set_interrupter(context.interrupter());
        Ok(Self {
            task,
            mm: new.mm,
            files: new.files,
            fs: new.fs,
            creds: new.creds,
            namespaces: new.namespaces,
            context,
            clear_child_tid: UserAddr::NULL,
            own_signals: Default::default(),
            user_dispatch: None,
            futex_waiter: None,
            faults: Default::default(),
            resume: None,
            set_child_tid: None,
            stepping: false,
            exit: None,
            vfork: None,
        })
    }

    /// Makes it visible, as the leader of a session of its own.
    pub fn appear(&self) -> Result<()> {
        let _tree = self.kernel().tree.lock();
        let group = self.group();
        let pid = group.pid();
        // Nothing can have been sent to a process that nobody saw.
        let _ = group.signals.attach(&self.task.signals, None);
        if pid.number() == 1 {
            pid.ns().set_init(group);
        }
        group.add_thread(&self.task);
        pid.set_task(Some(Arc::clone(&self.task)));
        pid.set_group(Some(Arc::clone(group)));
        group.move_to(&Session::create(group));
        Ok(())
    }

    /// Ends a visible task that was never run, as if SIGKILL had found it at its first instruction.
    pub fn never_ran(mut self) {
        self.exit_group(WaitStatus::signaled(abi::signal::Signal::SIGKILL, false));
        Box::new(self).finish();
    }
}

impl ThreadGroup {
    /// Sleeps until the process has ended; for threads that are no task. Returns how it ended.
    pub fn wait_dead(&self) -> WaitStatus {
        /// A thread that is no task, asleep.
        #[derive(Debug, Default)]
        struct Sleeper(Parker);
        impl sync::Wake for Sleeper {
            fn wake(&self, _: u32) {
                self.0.wake();
            }
        }
        let sleeper = Arc::new(Sleeper::default());
        let id = self.pid().exit_queue.register(!0, Arc::clone(&sleeper) as Arc<dyn sync::Wake>);
        let status = loop {
            sleeper.0.reset();
            if let Some(status) = self.wait_status() {
                break status;
            }
            sleeper.0.park(None);
        };
        self.pid().exit_queue.unregister(id);
        status
    }
}
