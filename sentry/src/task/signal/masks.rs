//! Masks for a while: sigsuspend(2), ppoll(2) and their kin, rt_sigtimedwait(2).

use std::time::Instant;

use abi::Errno;
use abi::signal::SigSet;

use super::Dequeued;
use crate::error::{Error, Restart, Result};
use crate::task::CurrentTask;

impl CurrentTask {
    /// Replaces the signal mask; returns the old one.
    pub fn set_blocked(&self, mask: SigSet) -> SigSet {
        self.group().signals.set_blocked(&self.signals, mask)
    }

    /// Replaces the mask for the rest of the current call; a handler that interrupts it still runs with this mask in force,
    /// and the old one comes back after it. Once in a call.
    pub fn set_mask_for_call(&mut self, mask: SigSet) {
        let old = self.set_blocked(mask);
        self.own_signals.saved_mask.get_or_insert(old);
    }

    /// The old mask comes back now, and not after a handler: for a call that succeeded or timed out although it replaced the
    /// mask. Not to be used if the call was interrupted.
    pub fn restore_mask(&mut self) {
        if let Some(mask) = self.own_signals.saved_mask.take() {
            self.set_blocked(mask);
        }
    }

    /// Sleeps until a signal comes: pause(2), sigsuspend(2). Never succeeds.
    pub fn pause(&self) -> Error {
        loop {
            self.parker().reset();
            if self.park(None).is_err() {
                return Restart::NoHand.into();
            }
        }
    }

    /// Takes a pending signal of the set without running its handler (rt_sigtimedwait(2), signalfd(2)).
    #[must_use]
    pub fn take_signal(&self, wanted: SigSet) -> Option<Dequeued> {
        self.group().signals.dequeue(&self.signals, wanted.blockable().complement())
    }

    /// Waits for a signal of the set, which as a rule is blocked. EAGAIN after the deadline, EINTR if another signal came.
    pub fn wait_for_signal(&self, wanted: SigSet, deadline: Option<Instant>) -> Result<Dequeued> {
        let wanted = wanted.blockable();
        if let Some(taken) = self.take_signal(wanted) {
            return Ok(taken);
        }
        if deadline.is_some_and(|d| d <= Instant::now()) {
            return Err(Errno::EAGAIN.into());
        }
        let old = self.signals.open_for(wanted);
        self.group().signals.recalculate(&self.signals);
        let slept = loop {
            self.parker().reset();
            // Any other wake-up is not meant for this.
            if let Err(e) = self.park(deadline) {
                break e;
            }
        };
        let taken = self.take_signal(wanted);
        self.set_blocked(old);
        self.signals.close_again();
        self.group().signals.recalculate(&self.signals);
        match taken {
            Some(taken) => Ok(taken),
            None if slept.is(Errno::ETIMEDOUT) => Err(Errno::EAGAIN.into()),
            None => Err(Errno::EINTR.into()),
        }
    }
}
