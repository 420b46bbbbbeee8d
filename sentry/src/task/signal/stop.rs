//! Job control: how a thread group stops and goes on, and what its parent hears of it.
//!
//! A thread that takes a stop signal starts a group stop: every thread is asked ([`Attention::STOP`]) and joins when it
//! comes to look; the last one makes the stop complete. SIGCONT undoes all of it at the moment it is sent, whatever becomes
//! of the signal itself.

use std::sync::Arc;

use abi::signal::Signal;

use super::group::State;
use super::{Attention, GroupSignals, TaskSignals};
use crate::task::group::JobReport;

/// Where a thread group is between running and stopped.
#[derive(Debug, Default)]
pub(super) struct Stop {
    /// The signal that stops it, from the start of the stop on.
    signal: Option<Signal>,
    /// How many threads have not joined yet.
    missing: usize,
    /// All have joined.
    complete: bool,
    /// What the parent has not been told yet; a thread of the group does it.
    untold: Option<JobReport>,
    /// Counts what makes a stop signal void that was taken before: SIGCONT and death.
    undone: u64,
}

impl Stop {
    /// The process dies: there is no stop any more.
    pub(super) fn cancel(&mut self) {
        *self = Self { undone: self.undone + 1, ..Self::default() };
    }

    /// See [`Stop::undone`].
    pub(super) fn undone(&self) -> u64 {
        self.undone
    }
}

impl State {
    /// Starts a group stop, unless it was made void since `undone` was read.
    pub(super) fn start_stop(&mut self, signal: Signal, undone: u64) -> bool {
        if self.is_dying() || self.stop.undone != undone {
            return false;
        }
        if !self.stop.complete {
            self.stop.signal = Some(signal);
        }
        self.stop.missing = 0;
        for member in &self.members {
            if !member.is_exiting() && !member.is_stopped() && !member.attention().killed() {
                self.stop.missing += 1;
                member.attention().raise(Attention::STOP);
            }
        }
        true
    }

    /// The calling thread joins a stop it was asked to. The last one gets the notice for the parent.
    fn join_stop(&mut self, me: &TaskSignals) -> Option<JobReport> {
        me.set_stopped(true);
        self.leave_stop(me)
    }

    /// The stop need not wait for this thread any more.
    pub(super) fn leave_stop(&mut self, me: &TaskSignals) -> Option<JobReport> {
        if !me.attention().take(Attention::STOP) {
            return None;
        }
        self.stop.missing = self.stop.missing.saturating_sub(1);
        if self.stop.missing > 0 || self.stop.complete {
            return None;
        }
        self.stop.complete = true;
        let notice = JobReport::Stopped(self.stop.signal.unwrap_or(Signal::SIGSTOP));
        Some(notice)
    }

    /// SIGCONT was sent: threads go on, and one of them tells the parent.
    /// Returns whether there was a stop to end.
    pub(super) fn go_on(&mut self) -> bool {
        self.stop.undone += 1;
        let stopped = self.stop.signal.take();
        if let Some(signal) = stopped {
            self.stop.untold = Some(if self.stop.complete { JobReport::Continued } else { JobReport::Stopped(signal) });
        }
        self.stop.missing = 0;
        self.stop.complete = false;
        for member in &self.members {
            member.attention().clear(Attention::STOP);
            member.set_stopped(false);
            if stopped.is_some() {
                // Who continues a job goes on itself, and hears of the job later, as where each has a CPU.
                member.attention().parker().wake_elsewhere();
            }
            if member.is_seized() {
                member.attention().raise(Attention::TRAP);
            }
            if self.stop.untold.is_some() {
                member.attention().raise(Attention::WORK | Attention::SIGNAL);
            }
        }
        stopped.is_some()
    }
}

/// What became of a thread that was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// It was not asked.
    No,
    /// It sleeps now; the notice, if any, is for the parent.
    Stopped(Option<JobReport>),
}

impl GroupSignals {
    /// The calling thread joins the group stop if it was asked to.
    pub(super) fn join_stop(&self, me: &TaskSignals) -> Joined {
        if !me.attention().has(Attention::STOP) {
            return Joined::No;
        }
        let mut state = self.peek();
        if !me.attention().has(Attention::STOP) {
            return Joined::No;
        }
        Joined::Stopped(state.join_stop(me))
    }

    /// The calling thread was killed in its sleep.
    pub(in crate::task) fn end_stop(&self, me: &TaskSignals) {
        let _state = self.peek();
        me.set_stopped(false);
    }

    /// The signal of the group stop that is on.
    pub(in crate::task) fn stop_signal(&self) -> Option<Signal> {
        self.peek().stop.signal
    }

    /// A thread is not traced any more: it sleeps like the others if the group is stopped.
    pub(in crate::task) fn join_again(&self, thread: &TaskSignals) {
        let mut state = self.peek();
        thread.attention().clear(Attention::TRAP);
        if state.stop.signal.is_none() || state.is_dying() || thread.is_exiting() {
            return;
        }
        if !thread.attention().has(Attention::STOP) {
            if !state.stop.complete {
                state.stop.missing += 1;
            }
            thread.attention().raise(Attention::STOP);
        }
    }

    /// What the parent has not been told yet.
    pub(super) fn take_untold(&self) -> Option<JobReport> {
        self.peek().stop.untold.take()
    }

    /// Whether all threads have stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.peek().stop.complete
    }

    /// Whether a stop was begun.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.peek().stop.signal.is_some()
    }

    /// The signal state of every thread.
    #[must_use]
    pub fn members(&self) -> Vec<Arc<TaskSignals>> {
        self.peek().members.clone()
    }
}

#[cfg(test)]
mod tests {
    use abi::siginfo::SigInfo;
    use abi::signal::SigSet;
    use abi::wait::WaitStatus;

    use super::*;
    use crate::task::signal::{Account, SigHand};

    fn group(threads: usize) -> (GroupSignals, Vec<Arc<TaskSignals>>) {
        let group = GroupSignals::new(SigHand::new(), false);
        let members: Vec<_> = (0..threads).map(|_| TaskSignals::new(SigSet::EMPTY)).collect();
        for member in &members {
            assert!(group.attach(member, None));
        }
        (group, members)
    }

    fn start(group: &GroupSignals) {
        group.with_state(|s| {
            let undone = s.stop.undone();
            assert!(s.start_stop(Signal::SIGTSTP, undone));
        });
    }

    #[test]
    fn the_last_thread_completes_the_stop() {
        let (group, members) = group(2);
        start(&group);
        assert_eq!(group.join_stop(&members[0]), Joined::Stopped(None));
        assert!(!group.is_stopped());
        assert_eq!(group.join_stop(&members[1]), Joined::Stopped(Some(JobReport::Stopped(Signal::SIGTSTP))));
        assert!(group.is_stopped());
    }

    #[test]
    fn an_exit_completes_a_stop_that_waited_for_it() {
        let (group, members) = group(2);
        start(&group);
        assert_eq!(group.join_stop(&members[0]), Joined::Stopped(None));
        assert_eq!(group.detach(&members[1]), Some(JobReport::Stopped(Signal::SIGTSTP)));
    }

    #[test]
    fn sigcont_undoes_a_stop_and_a_stop_signal_taken_before_it() {
        let (group, members) = group(1);
        let before = group.peek().stop.undone();
        start(&group);
        assert_eq!(group.join_stop(&members[0]), Joined::Stopped(Some(JobReport::Stopped(Signal::SIGTSTP))));
        let sent = group.send(None, SigInfo::kernel(Signal::SIGCONT), &Account::kernel(), None);
        assert!(sent.is_ok_and(|e| e.resumed));
        assert!(!members[0].is_stopped() && !group.is_stopped());
        assert_eq!(group.take_untold(), Some(JobReport::Continued));
        assert!(!group.with_state(|s| s.start_stop(Signal::SIGTSTP, before)));
    }

    #[test]
    fn death_ends_a_stop() {
        let (group, members) = group(2);
        start(&group);
        let _ = group.join_stop(&members[0]);
        group.send(None, SigInfo::kernel(Signal::SIGKILL), &Account::kernel(), None).expect("SIGKILL is sent");
        assert!(members.iter().all(|m| m.attention().killed()));
        assert_eq!(group.exit_status(), Some(WaitStatus::signaled(Signal::SIGKILL, false)));
    }
}
