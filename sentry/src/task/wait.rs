//! Waiting for children: what wait4(2) and waitid(2) have in common.

use std::sync::Arc;

use abi::Errno;
use abi::poll::POLLIN;
use abi::signal::Signal;
use abi::wait::{WaitOptions, WaitStatus};

use super::group::JobReport;
use super::pid::Pid;
use super::tree::TreeGuard;
use super::usage::Usage;
use super::{CurrentTask, Task, ThreadGroup};
use crate::error::{Result, err};

/// Which children.
#[derive(Clone, Debug)]
pub enum WaitFor {
    /// Any.
    Any,
    /// The one with this pid.
    Pid(Arc<Pid>),
    /// Those in the process group with this pid.
    ProcessGroup(Arc<Pid>),
}

/// A child that was found.
#[derive(Clone, Debug)]
pub struct Waited {
    /// Its number as the caller sees it.
    pub pid: i32,
    /// Its real user, a kernel id.
    pub uid: u32,
    /// What happened to it.
    pub status: WaitStatus,
    /// Whether it stopped or continued rather than ended.
    pub job: Option<JobReport>,
    /// Whether it is a tracee that stopped for its tracer, the caller.
    pub trapped: bool,
    /// What it and the children it waited for have used.
    pub usage: Usage,
}

impl CurrentTask {
    /// Waits until a child has changed its state as `options` say. `None` with WNOHANG if none has. ECHILD if there is no
    /// such child.
    pub fn wait_for_child(&self, which: &WaitFor, options: WaitOptions) -> Result<Option<Waited>> {
        let group = &self.task.group;
        let attempt = || match self.find_child(which, options)? {
            None if !options.contains(WaitOptions::WNOHANG) => err(Errno::EAGAIN),
            found => Ok(found),
        };
        self.wait_on(&group.child_queue, POLLIN, None, attempt)
    }

    fn find_child(&self, which: &WaitFor, options: WaitOptions) -> Result<Option<Waited>> {
        let tree = self.task.kernel.tree.lock();
        let mut any = false;
        for child in self.task.group.children() {
            if !self.may_wait(&child, which, options) {
                continue;
            }
            any = true;
            let tracer = child.leader().filter(|leader| leader.is_traced()).and_then(|leader| leader.tracer());
            if tracer.as_ref().is_some_and(|tracer| Arc::ptr_eq(tracer.group(), &self.task.group)) {
                // It is among the tracees too.
                continue;
            }
            if let Some(status) = child.wait_status() {
                // Another's tracee ends for its tracer first.
                if !options.contains(WaitOptions::WEXITED) || tracer.is_some() {
                    continue;
                }
                let waited = self.describe(&child, status, None);
                if !options.contains(WaitOptions::WNOWAIT) {
                    self.task.group.usage.children.lock().add(&waited.usage);
                    child.release(&tree);
                }
                return Ok(Some(waited));
            }
            if let Some(job) = take_job_report(&child, options) {
                return Ok(Some(self.describe(&child, job.wait_status(), Some(job))));
            }
        }
        let tracees = self.task.group.tracees.lock().clone();
        for tracee in tracees {
            if !self.may_attend(&tracee, which, options) {
                continue;
            }
            any = true;
            if let Some(waited) = self.attend(&tracee, options, &tree) {
                return Ok(Some(waited));
            }
        }
        if any { Ok(None) } else { err(Errno::ECHILD) }
    }

    /// Whether a wait is for this tracee; what it would send at its end does not matter.
    fn may_attend(&self, tracee: &Arc<Task>, which: &WaitFor, options: WaitOptions) -> bool {
        let chosen = match which {
            WaitFor::Any => true,
            WaitFor::Pid(pid) => Arc::ptr_eq(&tracee.pid(), pid),
            WaitFor::ProcessGroup(pid) => tracee.group().process_group().is_some_and(|pg| Arc::ptr_eq(pg.pid(), pid)),
        };
        chosen && (!options.contains(WaitOptions::__WNOTHREAD) || tracee.is_traced_by(&self.task))
    }

    /// What a tracee has to report.
    fn attend(&self, tracee: &Arc<Task>, options: WaitOptions, tree: &TreeGuard<'_>) -> Option<Waited> {
        let group = tracee.group();
        let peek = options.contains(WaitOptions::WNOWAIT);
        let own_child = group.parent().is_some_and(|parent| Arc::ptr_eq(&parent, &self.task.group));
        let whole = group.wait_status().filter(|_| tracee.is_leader());
        if let Some(status) = whole.or_else(|| tracee.ended_for_tracer()) {
            if !options.contains(WaitOptions::WEXITED) {
                return None;
            }
            let mut waited = self.describe(group, status, None);
            waited.pid = tracee.tid_in(self.task.pid_ns());
            if !peek && whole.is_none() {
                tracee.release_thread();
            } else if !peek {
                tracee.forget_tracer();
                if own_child {
                    self.task.group.usage.children.lock().add(&waited.usage);
                    group.release(tree);
                } else {
                    group.end_of_tracing(tree);
                }
            }
            return Some(waited);
        }
        if let Some(status) = tracee.take_stop(peek) {
            let mut waited = self.describe(group, status, None);
            waited.pid = tracee.tid_in(self.task.pid_ns());
            waited.trapped = true;
            return Some(waited);
        }
        let continued = options & (WaitOptions::WCONTINUED | WaitOptions::WNOWAIT);
        let job = take_job_report(group, continued).filter(|_| own_child && tracee.is_leader())?;
        Some(self.describe(group, job.wait_status(), Some(job)))
    }

    fn may_wait(&self, child: &ThreadGroup, which: &WaitFor, options: WaitOptions) -> bool {
        let links = child.links.lock();
        let chosen = match which {
            WaitFor::Any => true,
            WaitFor::Pid(pid) => Arc::ptr_eq(child.pid(), pid),
            WaitFor::ProcessGroup(pid) => links.process_group.as_ref().is_some_and(|pg| Arc::ptr_eq(pg.pid(), pid)),
        };
        let is_clone = links.exit_signal != Some(Signal::SIGCHLD);
        let kind = options.contains(WaitOptions::__WALL) || is_clone == options.contains(WaitOptions::__WCLONE);
        let ours = !options.contains(WaitOptions::__WNOTHREAD)
            || std::ptr::eq(links.parent_task.as_ptr(), Arc::as_ptr(&self.task));
        chosen && kind && ours
    }

    fn describe(&self, child: &ThreadGroup, status: WaitStatus, job: Option<JobReport>) -> Waited {
        let mut usage = child.used();
        usage.add(&child.children_used());
        Waited {
            pid: child.tgid_in(self.task.pid_ns()),
            uid: child.leader().map_or(0, |leader| leader.creds().uid),
            status,
            job,
            trapped: false,
            usage,
        }
    }
}

/// The stop or continuation of a child that `options` ask for and nobody was told yet.
fn take_job_report(child: &ThreadGroup, options: WaitOptions) -> Option<JobReport> {
    let wanted = |report: &JobReport| match report {
        JobReport::Stopped(_) => options.contains(WaitOptions::WSTOPPED),
        JobReport::Continued => options.contains(WaitOptions::WCONTINUED),
    };
    let mut links = child.links.lock();
    let report = links.job_report.filter(wanted)?;
    if !options.contains(WaitOptions::WNOWAIT) {
        links.job_report = None;
    }
    Some(report)
}
