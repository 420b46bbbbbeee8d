//! What a process does with each signal: sigaction(2).

use std::sync::Arc;

use abi::signal::{DefaultAction, NSIG, SIG_DFL, SIG_IGN, SaFlags, SigAction, SigSet, Signal};
use sync::Mutex;

use crate::lock_order;

/// The actions, shared by tasks cloned with CLONE_SIGHAND.
#[derive(Debug)]
pub struct SigHand {
    actions: Mutex<[SigAction; NSIG as usize], lock_order::SigHand>,
}

impl Default for SigHand {
    fn default() -> Self {
        Self { actions: Mutex::new([SigAction::default(); NSIG as usize]) }
    }
}

impl SigHand {
    /// All signals at their default.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// A copy, for a clone(2) without CLONE_SIGHAND; with `clear` (CLONE_CLEAR_SIGHAND) handlers become SIG_DFL.
    #[must_use]
    pub fn duplicate(&self, clear: bool) -> Arc<Self> {
        let mut actions = *self.actions.lock();
        if clear {
            reset_handlers(&mut actions);
        }
        Arc::new(Self { actions: Mutex::new(actions) })
    }

    /// For execve(2): what was caught is at its default, what was ignored stays ignored.
    #[must_use]
    pub fn for_exec(&self) -> Arc<Self> {
        let mut actions = *self.actions.lock();
        reset_handlers(&mut actions);
        for action in &mut actions {
            *action = SigAction { handler: action.handler, ..SigAction::default() };
        }
        Arc::new(Self { actions: Mutex::new(actions) })
    }

    /// The action of a signal.
    #[must_use]
    pub fn get(&self, signal: Signal) -> SigAction {
        self.actions.lock()[signal.index()]
    }

    /// Replaces the action of a signal; returns the old one.
    pub fn set(&self, signal: Signal, action: SigAction) -> SigAction {
        std::mem::replace(&mut self.actions.lock()[signal.index()], action)
    }

    /// Takes the action to deliver a signal by; SA_RESETHAND takes effect.
    pub(super) fn take_for_delivery(&self, signal: Signal) -> SigAction {
        let mut actions = self.actions.lock();
        let action = &mut actions[signal.index()];
        let taken = *action;
        if action.flags.contains(SaFlags::SA_RESETHAND) && is_caught(&taken) {
            action.handler = SIG_DFL;
        }
        taken
    }

    /// Whether the signal is of no effect, its action being to ignore it.
    #[must_use]
    pub fn ignores(&self, signal: Signal) -> bool {
        let action = self.get(signal);
        ignores(&action, signal)
    }

    /// The signals that are ignored (SIG_IGN) and those that are caught, for /proc/PID/status.
    #[must_use]
    pub fn ignored_and_caught(&self) -> (SigSet, SigSet) {
        let actions = self.actions.lock();
        let mut sets = (SigSet::EMPTY, SigSet::EMPTY);
        for signal in SigSet::FULL.iter() {
            match actions[signal.index()].handler {
                SIG_IGN => sets.0.insert(signal),
                SIG_DFL => {}
                _ => sets.1.insert(signal),
            }
        }
        sets
    }
}

/// Whether a handler of the application runs.
#[must_use]
pub(super) fn is_caught(action: &SigAction) -> bool {
    action.handler != SIG_DFL && action.handler != SIG_IGN
}

/// Whether an action makes a signal be of no effect: SIG_IGN, or SIG_DFL where that is to ignore (SIGCONT too: what it does,
/// it does when it is sent).
#[must_use]
pub(super) fn ignores(action: &SigAction, signal: Signal) -> bool {
    action.handler == SIG_IGN
        || (action.handler == SIG_DFL
            && matches!(signal.default_action(), DefaultAction::Ignore | DefaultAction::Continue))
}

/// Whether an action makes a signal end the process.
#[must_use]
pub(super) fn is_fatal(action: &SigAction, signal: Signal) -> bool {
    action.handler == SIG_DFL && matches!(signal.default_action(), DefaultAction::Terminate | DefaultAction::Core)
}

fn reset_handlers(actions: &mut [SigAction]) {
    for action in actions.iter_mut().filter(|a| is_caught(a)) {
        action.handler = SIG_DFL;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caught() -> SigAction {
        SigAction { handler: 0x1000, flags: SaFlags::SA_RESTART, ..SigAction::default() }
    }

    #[test]
    fn exec_keeps_what_is_ignored_and_resets_what_is_caught() {
        let hand = SigHand::new();
        hand.set(Signal::SIGINT, caught());
        hand.set(Signal::SIGPIPE, SigAction { handler: SIG_IGN, ..SigAction::default() });
        let new = hand.for_exec();
        assert_eq!(new.get(Signal::SIGINT), SigAction::default());
        assert!(new.ignores(Signal::SIGPIPE));
        assert!(is_caught(&hand.get(Signal::SIGINT)));
    }

    #[test]
    fn reset_on_delivery_happens_once() {
        let hand = SigHand::new();
        hand.set(Signal::SIGUSR1, SigAction { flags: SaFlags::SA_RESETHAND, ..caught() });
        assert_eq!(hand.take_for_delivery(Signal::SIGUSR1).handler, 0x1000);
        assert_eq!(hand.take_for_delivery(Signal::SIGUSR1).handler, SIG_DFL);
    }

    #[test]
    fn defaults_ignore_or_kill_as_the_manual_says() {
        let hand = SigHand::new();
        assert!(hand.ignores(Signal::SIGCHLD) && hand.ignores(Signal::SIGCONT));
        assert!(!hand.ignores(Signal::SIGTERM) && !hand.ignores(Signal::SIGTSTP));
        assert!(is_fatal(&hand.get(Signal::SIGTERM), Signal::SIGTERM));
        assert!(!is_fatal(&hand.get(Signal::SIGTSTP), Signal::SIGTSTP));
    }
}
