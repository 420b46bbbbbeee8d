//! Interval timers of a process: setitimer(2), alarm(2).

use std::sync::{Arc, Weak};

use abi::siginfo::SigInfo;
use abi::signal::Signal;

use super::{Clock, Clocks, CpuKind, Expired, Setting, Timer};
use crate::task::ThreadGroup;
use crate::task::signal::{Account, Sent, TimerSignal};

/// One of the three timers.
#[derive(Debug)]
pub(super) struct Itimer {
    me: Weak<Self>,
    signal: Signal,
    group: Weak<ThreadGroup>,
    timer: Arc<Timer>,
}

impl Itimer {
    /// ITIMER_REAL, ITIMER_VIRTUAL or ITIMER_PROF by number, off.
    pub(super) fn new(which: usize, clocks: &Arc<Clocks>, group: &Arc<ThreadGroup>) -> Arc<Self> {
        let cpu = |kind| Clock::Process(Arc::downgrade(group), kind);
        let (signal, clock) = match which {
            0 => (Signal::SIGALRM, Clock::MONOTONIC),
            1 => (Signal::SIGVTALRM, cpu(CpuKind::User)),
            _ => (Signal::SIGPROF, cpu(CpuKind::All)),
        };
        Arc::new_cyclic(|me: &Weak<Self>| {
            let sink: Weak<dyn Expired> = me.clone();
            Self { me: me.clone(), signal, group: Arc::downgrade(group), timer: Timer::new(clocks, clock, sink) }
        })
    }

    /// Sets it; returns what was left and the interval.
    pub(super) fn set(&self, setting: Setting) -> (i64, i64) {
        self.timer.set(setting, false)
    }

    /// What is left, and the interval.
    pub(super) fn remaining(&self) -> (i64, i64) {
        self.timer.remaining()
    }
}

impl Expired for Itimer {
    fn expired(&self) {
        let (Some(group), Some(me)) = (self.group.upgrade(), self.me.upgrade()) else { return };
        let me: Arc<dyn TimerSignal> = me;
        let sent = group.post(None, SigInfo::kernel(self.signal), &Account::kernel(), Some(me));
        // Queued, the timer rests until the signal is taken.
        if !matches!(sent, Ok(Sent::Done)) {
            self.timer.skip();
        }
    }
}

impl TimerSignal for Itimer {
    fn taken(&self) -> i32 {
        self.timer.acknowledge();
        0
    }
}
