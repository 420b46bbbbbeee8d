//! Whether staying awake while others have their turn pays, found out by trying.
//!
//! Two that only ever wait for each other gain by it. Two that could work at the same time lose: they come to share a CPU.
//! What tells is how much time passes for each call, so that is measured both ways, and each thread does what took less. Since
//! it takes two, all try the same at the same time: time is cut into slots, some of which are for trying.
//!
//! Neighbours: [`crate::parker`] asks, [`crate::place`]. There are no locks.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long everybody does the same.
const SLOT: Duration = Duration::from_millis(24);
/// How long it takes until it is what one does: that much of a slot tells nothing.
const SETTLING: Duration = Duration::from_millis(8);
/// Every how many slots each way is tried once.
const CYCLE: u64 = 32;
/// How many calls tell something.
const ENOUGH: u32 = 32;

thread_local! {
    static TRIAL: Trial = const { Trial::new() };
}

/// The calling thread has made a call.
#[inline]
pub(crate) fn called() {
    TRIAL.with(|trial| trial.calls.set(trial.calls.get().wrapping_add(1)));
}

/// Whether the calling thread is to stay awake.
pub(crate) fn stays_awake(now: Instant) -> bool {
    static START: OnceLock<Instant> = OnceLock::new();
    let since = now.saturating_duration_since(*START.get_or_init(Instant::now));
    TRIAL.with(|trial| trial.decide(since))
}

struct Trial {
    /// Since when the thread does what it does, and what that is; and whether it has settled.
    began: Cell<Duration>,
    awake: Cell<bool>,
    settled: Cell<bool>,
    /// Whether everybody does so.
    common: Cell<bool>,
    calls: Cell<u32>,
    /// Nanoseconds for each call, awake and asleep.
    costs: [Cell<Option<u64>>; 2],
}

impl Trial {
    const fn new() -> Self {
        Self {
            began: Cell::new(Duration::ZERO),
            awake: Cell::new(false),
            settled: Cell::new(false),
            common: Cell::new(false),
            calls: Cell::new(0),
            costs: [const { Cell::new(None) }; 2],
        }
    }

    /// What to do at this time.
    fn decide(&self, now: Duration) -> bool {
        let slot = |at: Duration| at.as_nanos() / SLOT.as_nanos();
        if slot(now) == slot(self.began.get()) && !self.began.get().is_zero() {
            if !self.settled.get() && now.saturating_sub(self.began.get()) >= SETTLING {
                self.settled.set(true);
                self.began.set(now);
                self.calls.set(0);
            }
            return self.awake.get();
        }
        self.learn(now);
        let number = slot(now) as u64;
        let (awake, common) = match (number % CYCLE, self.costs[0].get(), self.costs[1].get()) {
            (0, ..) => (true, true),
            (1, ..) => (false, true),
            (_, Some(awake), Some(asleep)) => (awake <= asleep, false),
            _ => (number.is_multiple_of(2), true),
        };
        self.awake.set(awake);
        self.common.set(common);
        self.settled.set(false);
        self.began.set(now.max(Duration::from_nanos(1)));
        self.calls.set(0);
        awake
    }

    /// What it took since the last decision. A slot in which little happened tells nothing, nor does one in which others did
    /// otherwise.
    fn learn(&self, now: Duration) {
        let (passed, calls) = (now.saturating_sub(self.began.get()), self.calls.get());
        if !self.settled.get() || !self.common.get() || calls < ENOUGH || passed > SLOT * 2 {
            return;
        }
        self.costs[usize::from(!self.awake.get())].set(Some(passed.as_nanos() as u64 / u64::from(calls)));
    }
}

#[cfg(test)]
mod tests {
    use super::{CYCLE, SLOT, Trial};
    use std::time::Duration;

    /// Makes calls for some slots, each of which takes so long awake and asleep; tells in how many slots it was awake.
    fn run(trial: &Trial, from: u64, slots: u64, awake: Duration, asleep: Duration) -> u64 {
        let mut count = 0;
        for slot in from..from + slots {
            let mut now = SLOT * slot as u32;
            let mode = trial.decide(now);
            count += u64::from(mode);
            while now < SLOT * (slot as u32 + 1) {
                trial.calls.set(trial.calls.get() + 1);
                assert_eq!(trial.decide(now), mode, "within a slot nothing changes");
                now += if mode { awake } else { asleep };
            }
        }
        count
    }

    #[test]
    fn each_does_what_takes_less_and_tries_the_other() {
        let (short, long) = (Duration::from_micros(10), Duration::from_micros(20));
        let trial = Trial::new();
        run(&trial, 1, 8, short, long);
        assert_eq!(run(&trial, 10, CYCLE, short, long), CYCLE - 1);
        // It changes its mind.
        run(&trial, 10 + CYCLE, CYCLE * 4, long, short);
        assert_eq!(run(&trial, 10 + CYCLE * 5, CYCLE, long, short), 1);
    }
}
