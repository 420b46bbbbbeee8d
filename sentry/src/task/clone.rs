//! Making threads and processes: clone(2), clone3(2), fork(2), vfork(2).
//!
//! Everything that can fail is done first: a new task is either complete, and then visible, or was never there.

use std::sync::Arc;

use abi::capability::Cap;
use abi::resource::Resource;
use abi::sched::CloneFlags;
use abi::signal::Signal;
use abi::{Errno, UserAddr};
use platform::Sharing;

use super::exit::VforkDone;
use super::group::GroupParts;
use super::host_thread::HostThread;
use super::namespaces::Namespaces;
use super::pid::{Pid, PidNamespace};
use super::pidfd;
use super::signal::{GroupSignals, TaskSignals};
use super::{CurrentTask, Limits, Task, TaskParts, ThreadGroup, UserNamespace};
use crate::error::{Restart, Result, err};
use crate::ipc::SemUndo;
use crate::user::UserPtr;

/// What to make, checked for what needs no look at the task.
#[derive(Clone, Debug)]
pub struct CloneRequest {
    /// Flags, without the exit signal.
    pub flags: CloneFlags,
    /// What the parent gets when the new process ends.
    pub exit_signal: Option<Signal>,
    /// The new stack pointer; `None` keeps the parent's.
    pub stack: Option<u64>,
    /// Where CLONE_PIDFD stores the descriptor.
    pub pidfd: UserPtr<i32>,
    /// Where CLONE_CHILD_SETTID and CLONE_CHILD_CLEARTID write.
    pub child_tid: UserPtr<i32>,
    /// Where CLONE_PARENT_SETTID writes.
    pub parent_tid: UserPtr<i32>,
    /// The thread pointer of CLONE_SETTLS.
    pub tls: u64,
    /// Numbers to take, the innermost pid namespace first.
    pub set_tid: Vec<i32>,
}

/// Namespaces other than user and mount.
pub(super) const NEW_PROXIED: CloneFlags = CloneFlags::CLONE_NEWUTS
    .union(CloneFlags::CLONE_NEWIPC)
    .union(CloneFlags::CLONE_NEWNET)
    .union(CloneFlags::CLONE_NEWPID)
    .union(CloneFlags::CLONE_NEWCGROUP)
    .union(CloneFlags::CLONE_NEWTIME);

impl CloneRequest {
    /// A fork(2).
    #[must_use]
    pub fn fork(flags: CloneFlags) -> Self {
        Self {
            flags,
            exit_signal: Some(Signal::SIGCHLD),
            stack: None,
            pidfd: UserPtr::new(UserAddr::NULL),
            child_tid: UserPtr::new(UserAddr::NULL),
            parent_tid: UserPtr::new(UserAddr::NULL),
            tls: 0,
            set_tid: Vec::new(),
        }
    }

    /// The combinations that Linux refuses, whoever asks.
    fn check(&self) -> Result<()> {
        use CloneFlags as F;
        let has = |flags: F| self.flags.contains(flags);
        let bad = has(F::CLONE_NEWNS | F::CLONE_FS)
            || has(F::CLONE_NEWUSER | F::CLONE_FS)
            || has(F::CLONE_THREAD) && !has(F::CLONE_SIGHAND)
            || has(F::CLONE_SIGHAND) && !has(F::CLONE_VM)
            || has(F::CLONE_THREAD) && self.flags.intersects(F::CLONE_NEWUSER | F::CLONE_NEWPID)
            || has(F::CLONE_PIDFD | F::CLONE_DETACHED)
            || has(F::CLONE_VM | F::CLONE_NEWTIME);
        if bad { err(Errno::EINVAL) } else { Ok(()) }
    }
}

impl CurrentTask {
    /// Makes a thread or process. Returns its number as the caller sees it.
    pub fn clone_task(&mut self, request: &CloneRequest) -> Result<i32> {
        request.check()?;
        let flags = request.flags;
        let thread = flags.contains(CloneFlags::CLONE_THREAD);
        if flags.contains(CloneFlags::CLONE_PARENT) && self.task.group.is_init() {
            return err(Errno::EINVAL);
        }
        if thread && !Arc::ptr_eq(&self.namespaces.pid_for_children, self.task.pid_ns()) {
            return err(Errno::EINVAL);
        }
        if self.interrupted() {
            // As on Linux the signal comes first, so that a storm of them cannot make a half-done fork start over.
            return Err(Restart::NoIntr.into());
        }
        let creds = match flags.contains(CloneFlags::CLONE_NEWUSER) {
            true => Arc::new(self.creds_in_new_user_ns()?),
            false => Arc::clone(&self.creds),
        };
        let mut namespaces = match flags.intersects(NEW_PROXIED) {
            true => Arc::new(self.new_namespaces(flags, &creds.user_ns, &creds)?),
            false => Arc::clone(&self.namespaces),
        };
        // Who shares memory shares the clocks that are mapped there; execve(2) makes up for it.
        if !flags.contains(CloneFlags::CLONE_VM) && !Arc::ptr_eq(&namespaces.time, &namespaces.time_for_children) {
            namespaces = Arc::new(namespaces.for_child());
        }
        self.check_task_limits()?;

        let host_thread = HostThread::find()?;
        let shares_memory = flags.contains(CloneFlags::CLONE_VM);
        let mut context = self.context.duplicate(if shares_memory { Sharing::Space } else { Sharing::Nothing })?;
        {
            let regs = context.regs()?;
            regs.rax = 0;
            if let Some(stack) = request.stack {
                regs.rsp = stack;
            }
            if flags.contains(CloneFlags::CLONE_SETTLS) {
                if request.tls >= abi::TASK_SIZE {
                    return err(Errno::EPERM);
                }
                regs.fs_base = request.tls;
            }
        }
        let mm = if shares_memory { Arc::clone(&self.mm) } else { self.mm.fork()? };
        if !Arc::ptr_eq(&namespaces.time, &self.namespaces.time) {
            self.task.kernel.vdso_of(&namespaces.time)?.replace(&mm)?;
        }
        let files = match flags.contains(CloneFlags::CLONE_FILES) {
            true => Arc::clone(&self.files),
            false => self.files.copy(),
        };
        let fs = if flags.contains(CloneFlags::CLONE_NEWNS) {
            if !creds.has(Cap::CAP_SYS_ADMIN) {
                return err(Errno::EPERM);
            }
            self.fs.copy_with_new_namespace(Arc::clone(&creds.user_ns))
        } else if flags.contains(CloneFlags::CLONE_FS) {
            Arc::clone(&self.fs)
        } else {
            self.fs.copy()
        };
        let pid = self.allocate_pid(&namespaces, request)?;
        let undo = PidGuard(Some(Arc::clone(&pid)));

        let group = if thread { Arc::clone(&self.task.group) } else { self.new_group(&pid, request) };
        let task = Task::new(TaskParts {
            kernel: Arc::clone(&self.task.kernel),
            group: Arc::clone(&group),
            pid: Arc::clone(&pid),
            comm: self.task.comm(),
            creds: Arc::clone(&creds),
            mm: Arc::clone(&mm),
            files: Arc::clone(&files),
            fs: Arc::clone(&fs),
            namespaces: Arc::clone(&namespaces),
            signals: TaskSignals::new(self.task.signals.blocked()),
            cpu_meter: context.cpu_meter(),
            sched: self.task.sched.inherit(),
            personality: self.task.personality(),
            timer_slack: self.task.timer_slack(),
        });
        task.attention().set_interrupter(context.interrupter());
        let pidfd = match flags.contains(CloneFlags::CLONE_PIDFD) {
            true => Some(pidfd::PendingFd::new(self, &pid, thread, request.pidfd)?),
            false => None,
        };
        task.inherit_keys(&self.task);
        if flags.contains(CloneFlags::CLONE_SYSVSEM) {
            SemUndo::share(&self.task, &task);
        }
        let vfork = flags.contains(CloneFlags::CLONE_VFORK).then(|| VforkDone::new(Arc::clone(&self.task)));
        let event = self.clone_event(flags, request.exit_signal.filter(|_| !thread));
        let traced = event.is_some() || flags.contains(CloneFlags::CLONE_PTRACE);
        self.link(&task, &group, request, traced)?;
        undo.keep();

        let number = pid.number_in(self.task.pid_ns());
        if flags.contains(CloneFlags::CLONE_PARENT_SETTID) {
            let _ = self.mm.write(request.parent_tid, &number);
        }
        if let Some(pidfd) = pidfd {
            pidfd.keep();
        }
        host_thread.run(CurrentTask {
            own_signals: self.own_signals.for_clone(flags),
            user_dispatch: None,
            futex_waiter: None,
            task,
            mm,
            files,
            fs,
            creds,
            namespaces,
            context,
            clear_child_tid: match flags.contains(CloneFlags::CLONE_CHILD_CLEARTID) {
                true => request.child_tid.addr(),
                false => UserAddr::NULL,
            },
            set_child_tid: flags.contains(CloneFlags::CLONE_CHILD_SETTID).then_some(request.child_tid),
            resume: None,
            stepping: false,
            exit: None,
            faults: crate::mm::FaultHistory::default(),
            vfork: vfork.clone(),
        });
        if let Some(event) = event {
            self.tell_clone(event, &pid);
        }
        if let Some(vfork) = vfork {
            self.wait_for_vfork(&vfork);
            self.tell_vfork_done(&pid);
        }
        Ok(number)
    }

    /// Sleeps until a vfork(2) child no longer uses our memory. Only our own death ends it early.
    fn wait_for_vfork(&self, vfork: &VforkDone) {
        loop {
            self.parker().reset();
            if vfork.is_done() || self.park_killable().is_err() {
                return;
            }
        }
    }

    fn allocate_pid(&self, namespaces: &Namespaces, request: &CloneRequest) -> Result<Arc<Pid>> {
        let ns = &namespaces.pid_for_children;
        let mut at = Some(ns);
        for _ in &request.set_tid {
            let level = at.ok_or(Errno::EINVAL)?;
            if !self.creds.has_in(Cap::CAP_CHECKPOINT_RESTORE, &level.user_ns)
                && !self.creds.has_in(Cap::CAP_SYS_ADMIN, &level.user_ns)
            {
                return err(Errno::EPERM);
            }
            at = level.parent();
        }
        ns.allocate(&request.set_tid)
    }

    fn new_group(&self, pid: &Arc<Pid>, request: &CloneRequest) -> Arc<ThreadGroup> {
        let parent = &self.task.group;
        let actions = match request.flags.contains(CloneFlags::CLONE_SIGHAND) {
            true => parent.signals.actions(),
            false => parent.signals.actions().duplicate(request.flags.contains(CloneFlags::CLONE_CLEAR_SIGHAND)),
        };
        ThreadGroup::new(GroupParts {
            kernel: Arc::clone(&self.task.kernel),
            container: Arc::clone(parent.container()),
            pid: Arc::clone(pid),
            signals: GroupSignals::new(actions, pid.number() == 1),
            limits: Limits::new(parent.limits().all()),
            exit_signal: match request.flags.contains(CloneFlags::CLONE_PARENT) {
                true => parent.exit_signal(),
                false => request.exit_signal,
            },
            oom_score_adj: (parent.oom_score_adj(), parent.oom_score_adj_min()),
            dumpable: parent.dumpable(),
        })
    }

    /// Makes the task visible: from here on others see it, and it can only end as tasks do.
    fn link(&self, task: &Arc<Task>, group: &Arc<ThreadGroup>, request: &CloneRequest, traced: bool) -> Result<()> {
        let tree = self.task.kernel.tree.lock();
        let own = &self.task.group;
        let thread = Arc::ptr_eq(own, group);
        if !thread && own.signals.exit_status().is_some() {
            return Err(Restart::NoIntr.into());
        }
        if !group.signals.attach(&task.signals, Some(&self.task.signals)) {
            return Err(Restart::NoIntr.into());
        }
        let pid = task.pid();
        if !thread {
            let (parent, parent_task) = match request.flags.contains(CloneFlags::CLONE_PARENT) {
                true => {
                    let links = own.links.lock();
                    (links.parent.upgrade(), links.parent_task.clone())
                }
                false => (Some(Arc::clone(own)), Arc::downgrade(&self.task)),
            };
            let process_group = own.process_group();
            {
                let mut links = group.links.lock();
                links.parent = parent.as_ref().map(Arc::downgrade).unwrap_or_default();
                links.parent_task = parent_task;
                links.process_group.clone_from(&process_group);
            }
            if let Some(parent) = parent {
                group.set_ppid(parent.tgid_in(pid.ns()));
                parent.links.lock().children.push(Arc::clone(group));
            }
            if let Some(process_group) = process_group {
                process_group.join(group);
            }
            if pid.number() == 1 {
                pid.ns().set_init(group);
            }
        }
        group.add_thread(task);
        pid.set_task(Some(Arc::clone(task)));
        self.inherit_seccomp(task);
        if traced {
            self.inherit_tracer(task, &tree);
        }
        if !thread {
            pid.set_group(Some(Arc::clone(group)));
        }
        Ok(())
    }

    /// The namespaces that `flags` ask for. EPERM without CAP_SYS_ADMIN over `user_ns`.
    pub(super) fn new_namespaces(
        &self,
        flags: CloneFlags,
        user_ns: &Arc<UserNamespace>,
        creds: &super::Credentials,
    ) -> Result<Namespaces> {
        if !creds.has_in(Cap::CAP_SYS_ADMIN, user_ns) {
            return err(Errno::EPERM);
        }
        let mut new = (*self.namespaces).clone();
        if flags.contains(CloneFlags::CLONE_NEWPID) {
            new.pid_for_children = PidNamespace::nested(&self.namespaces.pid_for_children, Arc::clone(user_ns))?;
        }
        new.renew(flags, user_ns);
        Ok(new)
    }

    /// RLIMIT_NPROC and the container's limit of tasks.
    fn check_task_limits(&self) -> Result<()> {
        let limit = self.task.group.limits().soft(Resource::RLIMIT_NPROC);
        let uid = self.creds.uid;
        let privileged = uid == 0 || self.creds.has(Cap::CAP_SYS_RESOURCE) || self.creds.has(Cap::CAP_SYS_ADMIN);
        if !privileged && self.task.kernel.user_tasks.of(uid) >= limit {
            return err(Errno::EAGAIN);
        }
        self.task.group.container().check_pids()
    }
}

impl ThreadGroup {
    /// Adds a thread, the first one as leader. Under `Tree`.
    pub(super) fn add_thread(&self, task: &Arc<Task>) {
        let mut threads = self.threads.lock();
        if threads.list.is_empty() {
            threads.leader = Some(Arc::clone(task));
        }
        threads.list.push(Arc::clone(task));
        threads.live += 1;
    }
}

/// Gives a pid back unless the task that was to have it became visible.
struct PidGuard(Option<Arc<Pid>>);

impl PidGuard {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for PidGuard {
    fn drop(&mut self) {
        if let Some(pid) = self.0.take() {
            pid.release_if_unused();
        }
    }
}
