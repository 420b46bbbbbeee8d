//! Who traces whom: PTRACE_TRACEME, PTRACE_ATTACH, PTRACE_SEIZE, PTRACE_DETACH, the end of tracers and tracees.

use std::sync::Arc;

use abi::Errno;
use abi::capability::Cap;
use abi::ptrace::PtraceOptions;
use abi::siginfo::SigInfo;
use abi::signal::Signal;
use abi::wait::WaitStatus;

use super::{ALL_OPTIONS, Tracer};
use crate::error::{Result, err};
use crate::task::signal::Attention;
use crate::task::tree::TreeGuard;
use crate::task::{CurrentTask, Task};

impl CurrentTask {
    /// PTRACE_TRACEME: the parent traces from now on.
    pub fn ptrace_traceme(&self) -> Result<()> {
        self.mm().stop_rewriting();
        let tree = self.kernel().tree.lock();
        if self.is_traced() {
            return err(Errno::EPERM);
        }
        let parent = self.group().links.lock().parent_task.upgrade().ok_or(Errno::EPERM)?;
        if parent.is_dead() {
            return err(Errno::EPERM);
        }
        let capable = parent.creds().has_in(Cap::CAP_SYS_PTRACE, &self.creds().user_ns);
        if !capable && !Arc::ptr_eq(&parent.creds().user_ns, &self.creds().user_ns) {
            return err(Errno::EPERM);
        }
        let tracer = Tracer { task: Arc::downgrade(&parent), seized: false, options: PtraceOptions::empty(), capable };
        link(&self.task, tracer, &parent, &tree);
        Ok(())
    }

    /// PTRACE_ATTACH.
    pub fn ptrace_attach(&self, target: &Arc<Task>) -> Result<()> {
        self.trace(target, false, PtraceOptions::empty())?;
        target.send_signal(SigInfo::kernel(Signal::SIGSTOP));
        Ok(())
    }

    /// PTRACE_SEIZE.
    pub fn ptrace_seize(&self, target: &Arc<Task>, options: u64) -> Result<()> {
        let options = u32::try_from(options).ok().and_then(PtraceOptions::from_bits).ok_or(Errno::EIO)?;
        self.check_options(options)?;
        self.trace(target, true, options)
    }

    pub(super) fn check_options(&self, options: PtraceOptions) -> Result<()> {
        if !ALL_OPTIONS.contains(options) {
            return err(Errno::EINVAL);
        }
        if options.contains(PtraceOptions::PTRACE_O_SUSPEND_SECCOMP) {
            if !self.creds().has_in(Cap::CAP_SYS_ADMIN, &self.kernel().root_user_ns) {
                return err(Errno::EPERM);
            }
            // Nobody may who is filtered himself.
            if self.seccomp_mode() != abi::seccomp::SECCOMP_MODE_DISABLED {
                return err(Errno::EPERM);
            }
        }
        Ok(())
    }

    fn trace(&self, target: &Arc<Task>, seized: bool, options: PtraceOptions) -> Result<()> {
        if Arc::ptr_eq(target.group(), self.group()) || !self.may_attach(target) {
            return err(Errno::EPERM);
        }
        if let Some(mm) = target.mm() {
            mm.stop_rewriting();
        }
        let tree = self.kernel().tree.lock();
        if target.is_traced() || target.is_dead() {
            return err(Errno::EPERM);
        }
        let capable = self.creds().has_in(Cap::CAP_SYS_PTRACE, &target.creds().user_ns);
        link(target, Tracer { task: Arc::downgrade(&self.task), seized, options, capable }, &self.task, &tree);
        if target.signals.is_stopped() {
            // What was a stop for job control becomes one for the tracer.
            target.attention().raise(Attention::TRAP);
        }
        Ok(())
    }

    /// A new task is traced like this one, from its first instruction on. Under `Tree`.
    pub(in crate::task) fn inherit_tracer(&self, child: &Arc<Task>, tree: &TreeGuard<'_>) {
        let Some(tracer) = self.task.ptrace.state.lock().tracer.clone() else { return };
        let Some(task) = tracer.task.upgrade() else { return };
        let seized = tracer.seized;
        link(child, tracer, &task, tree);
        if seized {
            child.attention().note(Attention::TRAP);
        } else {
            child.signals.mark_pending(Signal::SIGSTOP);
        }
    }

    /// PTRACE_DETACH, with a signal for the tracee.
    pub fn ptrace_detach(&self, target: &Arc<Task>, signal: i32) -> Result<()> {
        if Signal::new(signal).is_err() && signal != 0 {
            return err(Errno::EIO);
        }
        let tree = self.kernel().tree.lock();
        self.commanded(target)?;
        untrace(target, signal, (self.group().tgid(), self.creds().uid), &tree);
        Ok(())
    }

    /// The thread ends: nobody is traced by it any more. Under `Tree`.
    pub(in crate::task) fn give_up_tracees(task: &Arc<Task>, tree: &TreeGuard<'_>) {
        let all = task.group().tracees.lock().clone();
        for tracee in all {
            if !tracee.is_traced_by(task) {
                continue;
            }
            if tracee.ptrace.state.lock().has_option(PtraceOptions::PTRACE_O_EXITKILL) {
                tracee.send_signal(SigInfo::kernel(Signal::SIGKILL));
            }
            untrace(&tracee, 0, (0, 0), tree);
        }
    }
}

impl Task {
    /// Whether this very thread traces it.
    pub(in crate::task) fn is_traced_by(&self, tracer: &Arc<Task>) -> bool {
        self.ptrace.state.lock().tracer.as_ref().is_some_and(|t| std::ptr::eq(t.task.as_ptr(), Arc::as_ptr(tracer)))
    }

    /// Whether a thread of another process than its parent traces it: then the parent does not see its end before the tracer.
    pub(in crate::task) fn is_traced_by_stranger(&self) -> bool {
        let Some(tracer) = self.tracer() else { return false };
        self.group().parent().is_none_or(|parent| !Arc::ptr_eq(&parent, tracer.group()))
    }

    /// What a tracer's wait(2) has to report: that it is stopped, and then only once unless `peek`.
    pub(in crate::task) fn take_stop(&self, peek: bool) -> Option<WaitStatus> {
        let mut state = self.ptrace.state.lock();
        let stop = state.stop.as_mut().filter(|stop| !stop.reported)?;
        stop.reported = !peek;
        Some(stop.status)
    }

    /// The status of a thread that has ended and is kept for its tracer.
    pub(in crate::task) fn ended_for_tracer(&self) -> Option<WaitStatus> {
        self.ptrace.state.lock().ended
    }

    /// A thread that is not the leader has ended. Whether its number is kept until the tracer has waited. Under `Tree`.
    pub(in crate::task) fn keep_for_tracer(&self, status: WaitStatus) -> bool {
        let tracer = {
            let mut state = self.ptrace.state.lock();
            let Some(tracer) = state.tracer.as_ref().and_then(|t| t.task.upgrade()) else { return false };
            state.ended = Some(status);
            tracer
        };
        let group = tracer.group();
        let mut info = self.group().child_info(group, abi::siginfo::CLD_EXITED, status.exit_code().unwrap_or(0));
        info.set_pid(self.tid_in(group.pid().ns()));
        group.send_signal(info);
        group.child_queue.notify(abi::poll::POLLIN);
        true
    }

    /// A tracer has waited for the end of a thread: nothing is left of it. Under `Tree`.
    pub(in crate::task) fn release_thread(self: &Arc<Self>) {
        unlink(self);
        self.ptrace.state.lock().ended = None;
        let pid = self.pid();
        pid.set_task(None);
        pid.exit_queue.notify(abi::poll::POLLIN | abi::poll::POLLHUP);
    }

    /// It is not traced any more, and nobody is told: it has ended, or another took its place. Under `Tree`.
    pub(in crate::task) fn forget_tracer(self: &Arc<Self>) {
        unlink(self);
    }
}

fn link(tracee: &Arc<Task>, tracer: Tracer, by: &Arc<Task>, _: &TreeGuard<'_>) {
    tracee.signals.set_traced(true, tracer.seized);
    {
        let mut state = tracee.ptrace.state.lock();
        state.tracer = Some(tracer);
        state.stop = None;
        state.go = None;
        state.message = 0;
    }
    by.group().tracees.lock().push(Arc::clone(tracee));
}

fn unlink(tracee: &Arc<Task>) {
    let tracer = {
        let mut state = tracee.ptrace.state.lock();
        state.tracer.take().and_then(|tracer| tracer.task.upgrade())
    };
    tracee.signals.set_traced(false, false);
    tracee.ptrace.watch.choose(0);
    if let Some(tracer) = tracer {
        tracer.group().tracees.lock().retain(|other| !Arc::ptr_eq(other, tracee));
    }
}

/// Ends tracing: the tracee runs, or sleeps in a group stop that is on.
fn untrace(tracee: &Arc<Task>, signal: i32, by: (i32, u32), tree: &TreeGuard<'_>) {
    unlink(tracee);
    let ended = tracee.ptrace.state.lock().ended.take();
    if ended.is_some() {
        let pid = tracee.pid();
        pid.set_task(None);
        pid.exit_queue.notify(abi::poll::POLLIN | abi::poll::POLLHUP);
        return;
    }
    if tracee.is_dead() {
        if tracee.is_leader() {
            tracee.group().end_of_tracing(tree);
        }
        return;
    }
    tracee.group().signals.join_again(&tracee.signals);
    {
        let mut state = tracee.ptrace.state.lock();
        if let Some(stop) = state.stop.take() {
            state.go = Some(super::Go { signal, by, stop });
        }
    }
    tracee.attention().kick();
}
