//! The running task: what only its own thread may touch.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use abi::resource::Resource;
use abi::siginfo::{SI_USER, SigInfo};
use abi::signal::Signal;
use abi::wait::WaitStatus;
use abi::{Errno, UserAddr};
use platform::{Context, Resume};
use sync::WaitQueue;

use super::Task;
use super::activity::Activity;
use super::creds::Credentials;
use super::exit::VforkDone;
use super::group::SUID_DUMP_DISABLE;
use super::namespaces::Namespaces;
use super::signal::CurrentSignals;
use super::user_dispatch::UserDispatch;
use crate::error::{Error, Restart, Result};
use crate::futex::Waiter;
use crate::mm::{FaultHistory, MemoryManager};
use crate::user::UserPtr;
use crate::vfs::{FdTable, FsContext};

/// The task whose thread this is. Every system call gets it; what other tasks may see is in [`Task`], which it derefs to.
#[derive(Debug)]
pub struct CurrentTask {
    pub(super) task: Arc<Task>,
    pub(super) mm: Arc<MemoryManager>,
    pub(super) files: Arc<FdTable>,
    pub(super) fs: Arc<FsContext>,
    pub(super) creds: Arc<Credentials>,
    pub(super) namespaces: Arc<Namespaces>,
    pub(super) context: Box<dyn Context>,
    /// Where to write 0 and wake a futex when the thread ends (set_tid_address(2)).
    pub(super) clear_child_tid: UserAddr,
    /// Alternate stack, saved mask, restart block.
    pub(super) own_signals: CurrentSignals,
    /// What it waits on futexes with, once it has.
    pub(crate) futex_waiter: Option<Arc<Waiter>>,
    /// Set by calls that leave more than a result behind: what to apply before application code goes on.
    pub(super) resume: Option<Resume>,
    /// Where CLONE_CHILD_SETTID wants the number, before the task runs first.
    pub(super) set_child_tid: Option<UserPtr<i32>>,
    /// Application code runs a single step, by the trap flag that we set.
    pub(super) stepping: bool,
    /// Set when the thread is to end.
    pub(super) exit: Option<WaitStatus>,
    /// The last page fault, to tell one that another thread resolved from one that is a signal.
    pub(super) faults: FaultHistory,
    /// PR_SET_SYSCALL_USER_DISPATCH.
    pub(super) user_dispatch: Option<UserDispatch>,
    /// Whom to tell when it no longer uses its parent's memory.
    pub(super) vfork: Option<Arc<VforkDone>>,
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

    /// Its namespaces, without a lock.
    #[must_use]
    pub fn namespaces(&self) -> &Arc<Namespaces> {
        &self.namespaces
    }

    /// Replaces its credentials. Who becomes somebody else can no longer be looked into by who it was.
    pub fn set_creds(&mut self, creds: Credentials) {
        if creds.gains_over(&self.creds) {
            self.group().set_dumpable(SUID_DUMP_DISABLE);
            self.set_parent_death_signal(None);
        }
        if creds.uid != self.creds.uid {
            let charge = self.kernel().user_tasks.charge(creds.uid, u64::MAX);
            let old = std::mem::replace(&mut self.task.shared.lock().charge, charge);
            drop(old);
        }
        self.creds = Arc::new(creds);
        let old = std::mem::replace(&mut self.task.shared.lock().creds, Arc::clone(&self.creds));
        drop(old);
    }

    /// Replaces its open files (unshare, execve).
    pub fn set_files(&mut self, files: Arc<FdTable>) {
        self.files = Arc::clone(&files);
        let old = self.task.shared.lock().files.replace(files);
        drop(old);
    }

    /// Replaces its working directory, root and umask (unshare).
    pub fn set_fs(&mut self, fs: Arc<FsContext>) {
        self.fs = Arc::clone(&fs);
        let old = self.task.shared.lock().fs.replace(fs);
        drop(old);
    }

    /// Replaces its namespaces (unshare, setns).
    pub fn set_namespaces(&mut self, namespaces: Namespaces) {
        self.namespaces = Arc::new(namespaces);
        let old = self.task.shared.lock().namespaces.replace(Arc::clone(&self.namespaces));
        drop(old);
    }

    /// Replaces its memory (execve).
    pub(super) fn set_mm(&mut self, mm: Arc<MemoryManager>) {
        self.mm = Arc::clone(&mm);
        let old = self.task.shared.lock().mm.replace(mm);
        drop(old);
    }

    /// Bytes of its memory that are resident (ru_maxrss).
    #[must_use]
    pub fn peak_resident(&self) -> u64 {
        self.mm.usage().resident()
    }

    /// The CPU it runs on (getcpu(2)).
    #[must_use]
    pub fn current_cpu(&self) -> u32 {
        let cpus = u32::try_from(self.kernel().cpus).unwrap_or(u32::MAX);
        host::clock::current_cpu() % cpus.max(1)
    }

    /// set_tid_address(2).
    pub fn set_clear_child_tid(&mut self, addr: UserAddr) {
        self.clear_child_tid = addr;
    }

    /// Where the thread's end will be told (PR_GET_TID_ADDRESS).
    #[must_use]
    pub fn clear_child_tid(&self) -> UserAddr {
        self.clear_child_tid
    }

    /// The platform's side of it: registers.
    pub fn context(&mut self) -> &mut dyn Context {
        &mut *self.context
    }

    /// For calls that changed registers ([`Context::regs`]): they are loaded when application code goes on, and the call's
    /// result is not stored in `rax`.
    pub fn resume_with_regs(&mut self) {
        self.resume = Some(Resume::Regs);
    }

    /// Whether a signal (or death) should end a wait.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.attention().interrupted()
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
            self.parker().reset();
            match attempt() {
                Err(e) if e.is(Errno::EAGAIN) => {}
                other => break other,
            }
            if let Err(e) = self.park(deadline) {
                // What was waited for may have come together with the signal or the deadline.
                break match attempt() {
                    Err(again) if again.is(Errno::EAGAIN) => Err(e),
                    other => other,
                };
            }
        };
        queue.unregister(id);
        result
    }

    /// Sleeps until the parker is woken; `Parker::reset` was called before the condition was tested.
    pub fn park(&self, deadline: Option<Instant>) -> Result<()> {
        if self.interrupted() {
            return Err(Error::from(Restart::Sys));
        }
        self.set_activity(Activity::Sleep);
        self.usage.count_switch();
        self.task.clocks.pause();
        let woken = match self.parker().takes_turns() && self.context.takes_turns(true) {
            true => {
                let woken = self.parker().park_awake(deadline);
                self.context.takes_turns(false);
                woken
            }
            false => self.parker().park(deadline),
        };
        self.task.clocks.resume();
        self.set_activity(Activity::Run);
        if self.interrupted() {
            return Err(Error::from(Restart::Sys));
        }
        if woken { Ok(()) } else { Err(Errno::ETIMEDOUT.into()) }
    }

    /// Sleeps like [`Self::park`], but only death ends it early (EINTR).
    pub fn park_killable(&self) -> Result<()> {
        if self.is_dying() {
            return Err(Errno::EINTR.into());
        }
        self.set_activity(Activity::Killable);
        self.usage.count_switch();
        self.parker().park(None);
        self.set_activity(Activity::Run);
        if self.is_dying() { Err(Errno::EINTR.into()) } else { Ok(()) }
    }

    /// What a wait queue wakes: for waits on several queues at once.
    #[must_use]
    pub fn as_wake(&self) -> Arc<dyn sync::Wake> {
        Arc::clone(&self.task) as Arc<dyn sync::Wake>
    }

    /// Forgets earlier wake-ups, before conditions are tested.
    pub fn reset_wake(&self) {
        self.parker().reset();
    }

    /// Sends SIGPIPE to this thread.
    pub fn raise_sigpipe(&self) {
        self.send_signal(SigInfo::user(Signal::SIGPIPE, SI_USER, self.group().tgid(), self.creds().uid));
    }

    /// One past the highest descriptor it may have: RLIMIT_NOFILE.
    #[must_use]
    pub fn nofile_limit(&self) -> u64 {
        self.group().limits().soft(Resource::RLIMIT_NOFILE)
    }
}
