//! Sending on behalf of the kernel: to processes, threads and process groups; what a parent hears of job control.

use std::sync::Arc;

use abi::poll::POLLIN;
use abi::resource::Resource;
use abi::siginfo::{CLD_CONTINUED, CLD_STOPPED, SigInfo};
use abi::signal::Signal;
use abi::time::USER_HZ;

use super::send::Effect;
use super::{Account, Sent, TaskSignals, TimerSignal};
use crate::error::Result;
use crate::task::group::JobReport;
use crate::task::session::ProcessGroup;
use crate::task::{Task, ThreadGroup};

impl ThreadGroup {
    /// Sends a signal to the process in the kernel's name.
    pub fn send_signal(&self, info: SigInfo) -> Sent {
        self.post(None, info, &Account::kernel(), None).unwrap_or(Sent::Ignored)
    }

    /// Sends a signal to the process, or to one thread of it. `timer` hears when it is taken. EAGAIN: the queue is full.
    pub fn post(
        &self,
        thread: Option<&Arc<TaskSignals>>,
        info: SigInfo,
        account: &Account,
        timer: Option<Arc<dyn TimerSignal>>,
    ) -> Result<Sent> {
        let Effect { sent, resumed } = self.signals.send(thread, info, account, timer)?;
        if sent == Sent::Done
            && let Some(signal) = info.signal()
        {
            self.signals.tell_listeners(signal);
        }
        if resumed {
            self.links.lock().job_report = Some(JobReport::Continued);
        }
        Ok(sent)
    }

    /// The account of signals for this process that applications send or cause. Only real-time signals are charged: of the
    /// others there can be one at a time.
    #[must_use]
    pub fn account(&self, signal: Signal, from_outside: bool) -> Account {
        let charge_to = (signal.is_realtime()).then(|| {
            let uid = self.leader().map_or(0, |leader| leader.creds().uid);
            let counts = Arc::clone(&self.kernel().signal_counts);
            (counts, uid, self.limits().soft(Resource::RLIMIT_SIGPENDING))
        });
        Account { charge_to, from_outside }
    }

    /// Tells the parent, by signal and for wait(2), that the process has stopped or goes on.
    pub(in crate::task) fn report_job(&self, report: JobReport) {
        let parent = {
            let mut links = self.links.lock();
            links.job_report = Some(report);
            links.parent.upgrade()
        };
        let Some(parent) = parent else { return };
        let rules = parent.signals.child_rules();
        if !rules.ignored && !rules.no_stop {
            let (code, status) = match report {
                JobReport::Stopped(signal) => (CLD_STOPPED, signal),
                JobReport::Continued => (CLD_CONTINUED, Signal::SIGCONT),
            };
            parent.send_signal(self.child_info(&parent, code, status.number()));
        }
        parent.child_queue.notify(POLLIN);
    }

    /// SIGCHLD about this process, as its parent sees it.
    #[must_use]
    pub fn child_info(&self, parent: &ThreadGroup, code: i32, status: i32) -> SigInfo {
        let uid = self.leader().map_or(0, |leader| leader.creds().uid);
        let shown = parent.leader().map_or(uid, |p| p.creds().user_ns.show_uid(uid));
        let cpu = self.cpu_time();
        let ticks = |time: std::time::Duration| {
            i64::try_from(time.as_nanos() * u128::from(USER_HZ) / 1_000_000_000).unwrap_or(i64::MAX)
        };
        SigInfo::child(code, self.tgid_in(parent.pid().ns()), shown, status, ticks(cpu.user), ticks(cpu.sys))
    }
}

impl Task {
    /// Sends a signal to this thread in the kernel's name.
    pub fn send_signal(&self, info: SigInfo) -> Sent {
        self.group().post(Some(&self.signals), info, &Account::kernel(), None).unwrap_or(Sent::Ignored)
    }
}

impl ProcessGroup {
    /// Sends a signal to every process of the group in the kernel's name (the terminal does).
    pub fn send_signal(&self, info: SigInfo) {
        for member in self.members() {
            member.send_signal(info);
        }
    }

    /// Whether nobody in the session could continue its jobs: no member has a parent in another process group of the same
    /// session (setpgid(2)).
    #[must_use]
    pub fn is_orphaned(&self) -> bool {
        !self.members().iter().filter(|m| !m.is_dead()).any(|member| {
            let Some(theirs) = member.parent().and_then(|p| p.process_group()) else { return false };
            !std::ptr::eq(Arc::as_ptr(&theirs), self) && Arc::ptr_eq(theirs.session(), self.session())
        })
    }
}
