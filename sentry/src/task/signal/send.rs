//! Sending: what a signal does the moment it is sent, whether it is queued, and which thread is to take it.

use std::sync::Arc;

use abi::Errno;
use abi::siginfo::{SI_TIMER, SI_USER, SigInfo};
use abi::signal::{DefaultAction, SigSet, Signal};
use abi::wait::WaitStatus;

use super::group::State;
use super::{Attention, Charge, GroupSignals, Pending, SignalCounts, TaskSignals, TimerSignal, action};
use crate::error::{Result, err};

/// Who pays for a queued signal, and whether it reaches a protected process.
#[derive(Clone, Debug)]
pub struct Account {
    /// `None`: not charged (the kernel's own signals, which are bounded otherwise).
    pub charge_to: Option<(Arc<SignalCounts>, u32, u64)>,
    /// The kernel sends it, or a process of an ancestor pid namespace: SIGKILL and SIGSTOP reach even an init.
    pub from_outside: bool,
}

impl Account {
    /// The kernel itself.
    #[must_use]
    pub const fn kernel() -> Self {
        Self { charge_to: None, from_outside: true }
    }

    /// A charge for one signal; `always`: whatever the limit.
    fn charge(&self, always: bool) -> Result<Option<Charge>> {
        match &self.charge_to {
            None => Ok(None),
            Some((counts, uid, limit)) => {
                let limit = if always { u64::MAX } else { *limit };
                counts.charge(*uid, limit).map(Some).ok_or_else(|| Errno::EAGAIN.into())
            }
        }
    }
}

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is pending, or has had its effect.
    Done,
    /// It was there already and is not queued twice.
    Merged,
    /// The process ignores it.
    Ignored,
}

/// A signal that was sent, and whether it ended a group stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Effect {
    pub(super) sent: Sent,
    pub(super) resumed: bool,
}

impl GroupSignals {
    /// Sends a signal to `thread`, or to the process; `timer` hears when it is taken. EAGAIN if it is a real-time signal
    /// that sigqueue(3) sent and the queue is full. An `info` without a valid number is a mistake of the caller: EINVAL.
    pub(super) fn send(
        &self,
        thread: Option<&Arc<TaskSignals>>,
        info: SigInfo,
        account: &Account,
        timer: Option<Arc<dyn TimerSignal>>,
    ) -> Result<Effect> {
        let signal = Signal::new(info.si_signo)?;
        self.with_state(|state| {
            if state.is_dying() {
                return Ok(Effect { sent: Sent::Ignored, resumed: false });
            }
            let resumed = state.annul(signal);
            let effect = |sent| Effect { sent, resumed };
            if state.is_ignored(signal, thread, account.from_outside) {
                return Ok(effect(Sent::Ignored));
            }
            let queued = match thread {
                Some(thread) => thread.with_pending(|pending| enqueue(pending, signal, info, account, timer)),
                None => enqueue(&mut state.pending, signal, info, account, timer),
            }?;
            if !queued {
                return Ok(effect(Sent::Merged));
            }
            // The set must be seen before a thread is chosen by its mask.
            self.publish(state);
            state.notify(signal, thread);
            Ok(effect(Sent::Done))
        })
    }
}

impl State {
    /// Stop signals and SIGCONT annul each other, whatever becomes of the signal itself. Returns whether a stop ended.
    fn annul(&mut self, signal: Signal) -> bool {
        if SigSet::STOP.contains(signal) {
            self.discard(Signal::SIGCONT.bit());
        } else if signal == Signal::SIGCONT {
            self.discard(SigSet::STOP);
            return self.go_on();
        }
        false
    }

    fn is_ignored(&self, signal: Signal, thread: Option<&Arc<TaskSignals>>, from_outside: bool) -> bool {
        // A blocked signal stays: by the time it is unblocked there may be a handler.
        // And a tracer sees them all.
        let seen = |t: &Arc<TaskSignals>| t.holds_back(signal) || t.is_traced() && signal != Signal::SIGKILL;
        if thread.or_else(|| self.members.first()).is_some_and(seen) {
            return false;
        }
        let action = self.actions.get(signal);
        let forced = from_outside && SigSet::UNBLOCKABLE.contains(signal);
        if self.protected && action.handler == abi::signal::SIG_DFL && !forced {
            return true;
        }
        action::ignores(&action, signal)
    }

    /// Finds a thread to take the signal and gets its attention; a signal that will end the process ends it now.
    fn notify(&mut self, signal: Signal, thread: Option<&Arc<TaskSignals>>) {
        let chosen = match thread {
            // If it is blocked there, or the thread is busy with another, it will be found later.
            Some(thread) => thread.wants(signal).then(|| Arc::clone(thread)),
            None => self.choose(signal),
        };
        let Some(chosen) = chosen else { return };
        // A core dump shows the thread that took the signal, so those are left to it.
        let ends = action::is_fatal(&self.actions.get(signal), signal)
            && signal.default_action() == DefaultAction::Terminate
            && !chosen.real_blocked().contains(signal)
            && (signal == Signal::SIGKILL || !chosen.is_traced());
        if ends {
            self.begin_exit(None, WaitStatus::signaled(signal, false));
        } else {
            chosen.attention().raise(Attention::SIGNAL);
        }
    }

    /// A thread that would take a signal for the process now: the oldest if it can, else they take turns.
    fn choose(&mut self, signal: Signal) -> Option<Arc<TaskSignals>> {
        let (count, start) = (self.members.len(), self.turn);
        let at = std::iter::once(0)
            .chain((0..count).map(|i| (start + i) % count))
            .find(|at| self.members.get(*at).is_some_and(|m| m.wants(signal)))?;
        if at != 0 {
            self.turn = at;
        }
        self.members.get(at).cloned()
    }
}

fn enqueue(
    pending: &mut Pending,
    signal: Signal,
    info: SigInfo,
    account: &Account,
    timer: Option<Arc<dyn TimerSignal>>,
) -> Result<bool> {
    // The signal of a POSIX timer has its own place; its overrun count does what merging does for others.
    if pending.merges(signal) && !(timer.is_some() && info.si_code == SI_TIMER) {
        return Ok(false);
    }
    if signal == Signal::SIGKILL {
        pending.mark(signal);
        return Ok(true);
    }
    // A standard signal that is not sigqueue's is never refused.
    let always = !signal.is_realtime() && info.si_code >= SI_USER;
    match account.charge(always) {
        Ok(charge) => pending.push(signal, info, timer, charge),
        Err(_) if signal.is_realtime() && info.si_code != SI_USER => return err(Errno::EAGAIN),
        Err(_) => pending.mark(signal),
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use abi::signal::{SIG_IGN, SigAction};

    use super::super::SigHand;
    use super::*;

    fn group(masks: &[SigSet]) -> (GroupSignals, Vec<Arc<TaskSignals>>) {
        let group = GroupSignals::new(SigHand::new(), false);
        let members: Vec<_> = masks.iter().map(|m| TaskSignals::new(*m)).collect();
        for member in &members {
            assert!(group.attach(member, None));
        }
        (group, members)
    }

    fn catch(group: &GroupSignals, signal: Signal) {
        group.set_action(signal, Some(SigAction { handler: 0x1000, ..SigAction::default() }));
    }

    fn send(group: &GroupSignals, signal: Signal) -> Sent {
        group.send(None, SigInfo::kernel(signal), &Account::kernel(), None).expect("it is sent").sent
    }

    #[test]
    fn a_thread_that_does_not_block_it_is_chosen_and_later_ones_take_over() {
        let usr1 = Signal::SIGUSR1;
        let (group, members) = group(&[usr1.bit(), SigSet::EMPTY, SigSet::EMPTY]);
        catch(&group, usr1);
        assert_eq!(send(&group, usr1), Sent::Done);
        let alert: Vec<_> = members.iter().map(|m| m.attention().interrupted()).collect();
        assert_eq!(alert, [false, true, false]);
        assert_eq!(send(&group, usr1), Sent::Merged);
        // The chosen one blocks it before it comes to take it.
        group.set_blocked(&members[1], usr1.bit());
        assert!(!members[1].attention().interrupted() && members[2].attention().interrupted());
        assert_eq!(group.dequeue(&members[1], members[1].blocked()), None);
        assert_eq!(group.dequeue(&members[2], SigSet::EMPTY).map(|d| d.signal), Some(usr1));
        assert!(!members[2].attention().interrupted());
    }

    #[test]
    fn a_blocked_signal_is_kept_even_if_it_is_ignored_by_default() {
        let (group, members) = group(&[Signal::SIGCHLD.bit()]);
        assert_eq!(send(&group, Signal::SIGURG), Sent::Ignored);
        assert_eq!(send(&group, Signal::SIGCHLD), Sent::Done);
        assert!(!members[0].attention().interrupted());
        group.set_blocked(&members[0], SigSet::EMPTY);
        assert!(members[0].attention().interrupted());
        group.set_action(Signal::SIGCHLD, Some(SigAction { handler: SIG_IGN, ..SigAction::default() }));
        assert_eq!(group.pending_set(), SigSet::EMPTY);
    }

    #[test]
    fn a_fatal_signal_kills_all_threads_at_once_with_its_status() {
        let (group, members) = group(&[SigSet::EMPTY, SigSet::FULL]);
        assert_eq!(send(&group, Signal::SIGTERM), Sent::Done);
        assert!(members.iter().all(|m| m.attention().killed()));
        assert_eq!(group.exit_status(), Some(WaitStatus::signaled(Signal::SIGTERM, false)));
        assert_eq!(group.begin_exit(None, WaitStatus::exited(3)), WaitStatus::signaled(Signal::SIGTERM, false));
        assert_eq!(send(&group, Signal::SIGUSR1), Sent::Ignored);
    }

    #[test]
    fn an_init_ignores_what_it_does_not_catch_unless_forced_from_outside() {
        let group = GroupSignals::new(SigHand::new(), true);
        let init = TaskSignals::new(SigSet::EMPTY);
        assert!(group.attach(&init, None));
        let inside = Account { charge_to: None, from_outside: false };
        let kill = SigInfo::user(Signal::SIGKILL, SI_USER, 5, 0);
        assert_eq!(group.send(None, kill, &inside, None).ok().map(|e| e.sent), Some(Sent::Ignored));
        assert_eq!(send(&group, Signal::SIGTERM), Sent::Ignored);
        catch(&group, Signal::SIGTERM);
        assert_eq!(send(&group, Signal::SIGTERM), Sent::Done);
        assert_eq!(send(&group, Signal::SIGKILL), Sent::Done);
        assert!(init.attention().killed());
    }

    #[test]
    fn a_full_queue_refuses_sigqueue_and_only_that() {
        let (group, members) = group(&[SigSet::FULL]);
        let counts = Arc::new(SignalCounts::default());
        let account = Account { charge_to: Some((counts, 0, 2)), from_outside: false };
        let rt = Signal::new(40).expect("a real-time signal");
        let queued = SigInfo::queued(rt, abi::siginfo::SI_QUEUE, 1, 0, 0);
        assert!(group.send(None, queued, &account, None).is_ok());
        assert!(group.send(Some(&members[0]), queued, &account, None).is_ok());
        assert!(group.send(None, queued, &account, None).is_err_and(|e| e.is(Errno::EAGAIN)));
        let user = SigInfo::user(Signal::SIGUSR1, SI_USER, 1, 0);
        assert_eq!(group.send(None, user, &account, None).ok().map(|e| e.sent), Some(Sent::Done));
        // The thread's own signals come first.
        assert_eq!(group.dequeue(&members[0], SigSet::EMPTY).map(|d| d.info), Some(queued));
        assert_eq!(group.dequeue(&members[0], SigSet::EMPTY).map(|d| d.info), Some(user));
    }

    #[test]
    fn stop_signals_and_sigcont_annul_each_other() {
        let (group, _members) = group(&[SigSet::FULL]);
        send(&group, Signal::SIGTSTP);
        send(&group, Signal::SIGCONT);
        assert_eq!(group.pending_set(), Signal::SIGCONT.bit());
        send(&group, Signal::SIGTTIN);
        assert_eq!(group.pending_set(), Signal::SIGTTIN.bit());
    }
}
