//! Waiting for children: what wait4(2) and waitid(2) have in common.

use std::sync::Arc;

use abi::Errno;
use abi::poll::POLLIN;
use abi::signal::Signal;
use abi::wait::{WaitOptions, WaitStatus};

use super::group::JobReport;
use super::pid::Pid;
use super::usage::Usage;
use super::{CurrentTask, ThreadGroup};
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
            if let Some(status) = child.wait_status() {
                if !options.contains(WaitOptions::WEXITED) {
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
        if any { Ok(None) } else { err(Errno::ECHILD) }
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
