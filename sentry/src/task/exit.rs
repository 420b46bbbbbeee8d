//! How threads and processes end: exit(2), exit_group(2), zombies, orphans, the end of a pid namespace.
//!
//! [`CurrentTask::finish`] is the last thing a thread does. The last thread of a process makes it a zombie, hands its children
//! over and tells the parent; `release` is the very end, when somebody has waited for it or nobody ever will.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use abi::siginfo::{CLD_DUMPED, CLD_EXITED, CLD_KILLED, SigInfo};
use abi::signal::Signal;
use abi::wait::WaitStatus;

use super::activity::Activity;
use super::group::Life;
use super::pid::PidNamespace;
use super::session::ProcessGroup;
use super::tree::TreeGuard;
use super::{CurrentTask, Task, ThreadGroup};
use crate::ipc::SemUndo;

/// What the parent of a vfork(2) child waits for: the child has ended or replaced its memory.
#[derive(Debug)]
pub(super) struct VforkDone {
    done: AtomicBool,
    parent: Arc<Task>,
}

impl VforkDone {
    pub(super) fn new(parent: Arc<Task>) -> Arc<Self> {
        Arc::new(Self { done: AtomicBool::new(false), parent })
    }

    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    pub(super) fn tell(&self) {
        self.done.store(true, Ordering::Release);
        self.parent.parker().wake();
    }
}

impl CurrentTask {
    /// exit(2): ends this thread. If it is the leader, `status` is the process's unless that ends as a whole.
    pub fn exit_thread(&mut self, status: WaitStatus) {
        self.exit = Some(status);
    }

    /// exit_group(2), a fatal signal: ends the process. The first status counts.
    pub fn exit_group(&mut self, status: WaitStatus) {
        self.exit = Some(self.task.group.signals.begin_exit(Some(&self.task.signals), status));
    }

    /// The thread's end. It gives back what it shares with others in the order in which they may look at it: memory (where
    /// futexes tell its death), files, its place in the tree.
    pub(super) fn finish(mut self: Box<Self>) {
        let task = Arc::clone(&self.task);
        let group = Arc::clone(task.group());
        let status = self.exit.unwrap_or_default();
        self.tell_exit(status);
        if let Some(notice) = group.signals.detach(&task.signals) {
            group.report_job(notice);
        }
        self.leave_memory();
        SemUndo::leave(&task);
        let last = {
            let mut threads = group.threads.lock();
            if task.is_leader() {
                threads.leader_exit = status;
            }
            threads.live -= 1;
            threads.live == 0
        };
        if last {
            group.end_timers();
            group.leave_terminal();
            if group.is_init() {
                end_namespace(&group, &mut self);
            }
        }
        self.forget_shared();
        task.clocks.stop();
        leave_tree(&task, last, status);
    }

    /// What must be done while the memory is still there: robust futexes, requests of rings, `clear_child_tid`, the vfork parent.
    pub(super) fn leave_memory(&mut self) {
        self.release_futexes();
        self.leave_rings();
        if let Some(vfork) = self.vfork.take() {
            vfork.tell();
        }
    }

    /// Drops files, memory and the rest, which may take a while, before others hear of the end.
    fn forget_shared(self: Box<Self>) {
        let old = {
            let mut shared = self.task.shared.lock();
            (shared.mm.take(), shared.files.take(), shared.fs.take(), shared.namespaces.take(), shared.charge.take())
        };
        self.task.drop_seccomp();
        drop(old);
        drop(self);
    }
}

/// The last part: under the tree's lock the thread leaves its process, and the last one makes it a zombie.
fn leave_tree(task: &Arc<Task>, last: bool, status: WaitStatus) {
    let group = task.group();
    let hand_over = {
        let tree = task.kernel().tree.lock();
        task.set_activity(Activity::Dead);
        group.usage.dead_threads.lock().add(&task.used());
        CurrentTask::give_up_tracees(task, &tree);
        let gone = group.forget_thread(task, status);
        let deaths = group.orphans_of_thread(task);
        for child in deaths {
            child.send_parent_death_signals(task);
        }
        if last {
            group.die(&tree);
        }
        gone
    };
    drop(hand_over);
}

impl ThreadGroup {
    /// Takes a thread that has ended off the list; the leader stays, as what a zombie looks like. Returns what is to be
    /// dropped without locks.
    fn forget_thread(&self, task: &Arc<Task>, status: WaitStatus) -> Option<Arc<Task>> {
        let leader = task.is_leader();
        let (waiter, gone) = {
            let mut threads = self.threads.lock();
            let at = threads.list.iter().position(|t| Arc::ptr_eq(t, task));
            let gone = at.filter(|_| !leader).map(|at| threads.list.swap_remove(at));
            (threads.execing.clone(), gone)
        };
        // A tracer waits for each thread.
        if !leader && !task.keep_for_tracer(status) {
            let pid = task.pid();
            pid.set_exit_status(status);
            pid.set_task(None);
            pid.exit_queue.notify(abi::poll::POLLIN | abi::poll::POLLHUP);
        }
        // execve waits until it is alone.
        if let Some(waiter) = waiter {
            waiter.parker().wake();
        }
        gone
    }

    /// Children that `task` made; from now on they are another thread's of this process.
    fn orphans_of_thread(&self, task: &Arc<Task>) -> Vec<Arc<ThreadGroup>> {
        let children: Vec<_> = self.children();
        let heir = self.threads.lock().list.iter().find(|t| !t.is_dead()).map(Arc::downgrade);
        children
            .into_iter()
            .filter(|child| {
                let mut links = child.links.lock();
                let own = std::ptr::eq(links.parent_task.as_ptr(), Arc::as_ptr(task));
                if own {
                    links.parent_task = heir.clone().unwrap_or_default();
                }
                own
            })
            .collect()
    }

    /// PR_SET_PDEATHSIG: the thread that made this process is gone.
    fn send_parent_death_signals(&self, parent: &Arc<Task>) {
        for thread in self.threads() {
            if let Some(signal) = thread.parent_death_signal() {
                let pid = parent.group().tgid_in(self.pid().ns());
                let uid = thread.creds().user_ns.show_uid(parent.creds().uid);
                let info = SigInfo::user(signal, abi::siginfo::SI_USER, pid, uid);
                self.send_signal(info);
            }
        }
    }

    /// The session of a leader that ends loses its terminal.
    fn leave_terminal(&self) {
        if !self.is_session_leader() {
            return;
        }
        let Some(session) = self.session() else { return };
        if let Some(tty) = session.take_tty() {
            tty.disassociate(&session, true);
        }
    }

    /// All threads have ended. Under `Tree`.
    fn die(self: &Arc<Self>, tree: &TreeGuard<'_>) {
        let status = self.signals.exit_status().unwrap_or_else(|| self.threads.lock().leader_exit);
        let (children, process_group) = {
            let mut links = self.links.lock();
            links.life = Life::Zombie(status);
            (std::mem::take(&mut links.children), links.process_group.clone())
        };
        if !children.is_empty() {
            self.hand_over(children, tree);
        }
        if let Some(process_group) = process_group
            && let Some(parent) = self.parent()
        {
            // The shell is gone: jobs that it stopped are nobody's.
            if connects(&parent, &process_group) {
                signal_if_orphaned(&process_group);
            }
        }
        self.pid().exit_queue.notify(abi::poll::POLLIN);
        if let Some(tracer) = self.leader().and_then(|leader| leader.tracer()) {
            // The tracer first; the parent hears of it when the tracer has waited.
            let own = self.parent().is_some_and(|parent| Arc::ptr_eq(&parent, tracer.group()));
            let signal = if own { self.exit_signal() } else { Some(Signal::SIGCHLD) };
            if let Some(signal) = signal {
                tracer.group().send_signal(self.end_info(tracer.group(), status, signal));
            }
            tracer.group().child_queue.notify(abi::poll::POLLIN);
        } else if self.tell_end(status) {
            self.release(tree);
        }
    }

    /// Its tracer is done with a process that has ended. Under `Tree`.
    pub(super) fn end_of_tracing(self: &Arc<Self>, tree: &TreeGuard<'_>) {
        let Some(status) = self.wait_status() else { return };
        if self.tell_end(status) {
            self.release(tree);
        }
    }

    /// SIGCHLD, or another signal, about its end.
    fn end_info(&self, to: &ThreadGroup, status: WaitStatus, signal: Signal) -> SigInfo {
        let (code, value) = match status.term_signal() {
            Some(killer) if status.core_dumped() => (CLD_DUMPED, killer.number()),
            Some(killer) => (CLD_KILLED, killer.number()),
            None => (CLD_EXITED, status.exit_code().unwrap_or(0)),
        };
        let mut info = self.child_info(to, code, value);
        info.si_signo = signal.number();
        info
    }

    /// Gives the children to whoever adopts them.
    fn hand_over(self: &Arc<Self>, children: Vec<Arc<ThreadGroup>>, tree: &TreeGuard<'_>) {
        let Some(reaper) = self.find_reaper() else {
            // Nothing is left that could wait for them: the end of the container.
            for child in children {
                child.links.lock().parent = std::sync::Weak::new();
                child.set_ppid(0);
                if child.is_dead() {
                    child.release(tree);
                }
            }
            return;
        };
        let heir = reaper.threads.lock().list.iter().find(|t| !t.is_dead()).map(Arc::downgrade).unwrap_or_default();
        let mut zombies = Vec::new();
        for child in children {
            let process_group = {
                let mut links = child.links.lock();
                links.parent = Arc::downgrade(&reaper);
                links.parent_task = heir.clone();
                if links.exit_signal.is_some() {
                    links.exit_signal = Some(Signal::SIGCHLD);
                }
                links.process_group.clone()
            };
            child.set_ppid(reaper.tgid_in(child.pid().ns()));
            reaper.links.lock().children.push(Arc::clone(&child));
            if child.is_dead() {
                zombies.push(child);
            } else if let Some(process_group) = process_group
                && connects(self, &process_group)
            {
                signal_if_orphaned(&process_group);
            }
        }
        for zombie in zombies {
            if let Some(status) = zombie.wait_status()
                && zombie.leader().is_none_or(|leader| !leader.is_traced())
                && zombie.tell_end(status)
            {
                zombie.release(tree);
            }
        }
    }

    /// Who adopts the children of a process that ends: the nearest ancestor that is a subreaper, or the init of its pid
    /// namespace.
    fn find_reaper(self: &Arc<Self>) -> Option<Arc<ThreadGroup>> {
        let ns = self.pid().ns();
        let mut at = self.parent();
        while let Some(ancestor) = at {
            if !Arc::ptr_eq(ancestor.pid().ns(), ns) {
                break;
            }
            if ancestor.is_subreaper() && ancestor.live_threads() > 0 {
                return Some(ancestor);
            }
            at = ancestor.parent();
        }
        ns.init().filter(|init| !Arc::ptr_eq(init, self) && init.live_threads() > 0)
    }

    /// Tells the parent that the process has ended. True if nobody will wait for it.
    fn tell_end(&self, status: WaitStatus) -> bool {
        let Some(parent) = self.parent() else { return true };
        let exit_signal = self.exit_signal();
        let rules = parent.signals.child_rules();
        let reaps_itself = exit_signal == Some(Signal::SIGCHLD) && (rules.ignored || rules.no_wait);
        let silent = exit_signal == Some(Signal::SIGCHLD) && rules.ignored;
        if let Some(signal) = exit_signal.filter(|_| !silent) {
            parent.send_signal(self.end_info(&parent, status, signal));
        }
        parent.child_queue.notify(abi::poll::POLLIN);
        reaps_itself
    }

    /// The very end: its numbers become free. Under `Tree`.
    pub(super) fn release(self: &Arc<Self>, _: &TreeGuard<'_>) {
        let (parent, process_group) = {
            let mut links = self.links.lock();
            let Life::Zombie(status) = links.life else { return };
            links.life = Life::Released(status);
            self.pid().set_exit_status(status);
            (links.parent.upgrade(), links.process_group.take())
        };
        if let Some(parent) = parent {
            parent.links.lock().children.retain(|child| !Arc::ptr_eq(child, self));
        }
        if let Some(process_group) = process_group {
            process_group.leave(self);
        }
        let (leader, list) = {
            let mut threads = self.threads.lock();
            (threads.leader.take(), std::mem::take(&mut threads.list))
        };
        if let Some(leader) = &leader {
            leader.forget_tracer();
        }
        self.pid().set_task(None);
        self.pid().set_group(None);
        self.pid().exit_queue.notify(abi::poll::POLLIN | abi::poll::POLLHUP);
        drop((leader, list));
    }
}

/// Whether `parent`, the parent of a member, keeps a process group from being orphaned: it is in another of the same session.
fn connects(parent: &ThreadGroup, process_group: &Arc<ProcessGroup>) -> bool {
    parent.process_group().is_some_and(|other| {
        !Arc::ptr_eq(&other, process_group) && Arc::ptr_eq(other.session(), process_group.session())
    })
}

/// Sends SIGHUP and SIGCONT to a process group that has become orphaned and has stopped members (setpgid(2)).
fn signal_if_orphaned(process_group: &Arc<ProcessGroup>) {
    let stopped = process_group.members().iter().any(|member| member.signals.is_stopped());
    if stopped && process_group.is_orphaned() {
        process_group.send_signal(SigInfo::kernel(Signal::SIGHUP));
        process_group.send_signal(SigInfo::kernel(Signal::SIGCONT));
    }
}

/// The init of a pid namespace ends: everything in it is killed, and it waits until all is gone.
fn end_namespace(init: &Arc<ThreadGroup>, current: &mut CurrentTask) {
    let ns: &Arc<PidNamespace> = init.pid().ns();
    ns.set_dying();
    let task = Arc::clone(&current.task);
    let wake = Arc::clone(&task) as Arc<dyn sync::Wake>;
    let id = ns.emptied().register(!0, wake);
    let child_id = init.child_queue.register(!0, task.clone());
    loop {
        task.parker().reset();
        for group in ns.groups() {
            if !Arc::ptr_eq(&group, init) && !group.is_dead() {
                group.send_signal(SigInfo::kernel(Signal::SIGKILL));
            }
        }
        let left = {
            let tree = task.kernel().tree.lock();
            for child in init.children() {
                if child.is_dead() {
                    child.release(&tree);
                }
            }
            ns.groups().into_iter().filter(|g| !Arc::ptr_eq(g, init)).count()
        };
        if left == 0 {
            break;
        }
        task.set_activity(Activity::Killable);
        task.parker().park(None);
    }
    ns.emptied().unregister(id);
    init.child_queue.unregister(child_id);
}
