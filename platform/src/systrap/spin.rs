//! When the sentry's thread looks for direct calls.
//!
//! Looking takes a CPU of its own. It pays while application code makes one call after another through gates, and nothing
//! else that concerns us, on another CPU that would be idle otherwise. So it begins after a number of calls in a row, which
//! grows when it was not worth it; ends after a short time without a call or when something else comes; and pauses for ever
//! longer when we find that others want the CPUs, and it was not worth it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use host::sched;

/// How many calls in a row it takes at first, and at most.
const FEW: u32 = 24;
const MANY: u32 = 512;
/// How many calls make a site hot.
const HOT: u32 = 32;
/// How much time may have passed for each that was served, if it was worth it: two CPUs do nothing else meanwhile, and one is
/// busy for so much longer otherwise.
const EACH: Duration = Duration::from_micros(5);
/// What it costs to begin and to end.
const ONCE: Duration = Duration::from_micros(40);
/// After how many it can be told on the way.
const SOME: u32 = 64;
/// How often one of several may try in vain.
const FAILURES: u32 = 16;
/// How many it has to serve between two that come the ordinary way.
const BETWEEN: u32 = 4;
/// How long to look for the first call, which may take waking a CPU up, and for each further one.
const FIRST: Duration = Duration::from_micros(200);
const NEXT: Duration = Duration::from_micros(25);
/// Between two looks this much time passes only if somebody else ran on our CPU.
const AWAY: Duration = Duration::from_micros(20);
/// The same where others take turns with us.
const AWAY_IN_TURN: Duration = Duration::from_micros(200);
/// How long not to look then.
const PAUSE: Duration = Duration::from_millis(10);
const LONG_PAUSE: Duration = Duration::from_millis(320);
/// How often to ask the host whether something else has come.
const ASK: Duration = Duration::from_micros(1);

/// How soon to do all this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Eagerness {
    /// How many calls make a site hot.
    pub(super) hot: u32,
    few: u32,
    many: u32,
}

impl Eagerness {
    /// When it is likely to pay.
    pub(super) const REASONABLE: Self = Self { hot: HOT, few: FEW, many: MANY };
    /// At once and always, so that short tests come by here.
    pub(super) const TEST: Self = Self { hot: 1, few: 1, many: 1 };
}

/// What one thread has learnt.
#[derive(Debug)]
pub(super) struct Spin {
    eagerness: Eagerness,
    active: bool,
    in_a_row: u32,
    need: u32,
    served: u32,
    /// How many had been served when one came the ordinary way.
    passed: u32,
    began: Option<Instant>,
    turns: Turns,
    /// How often in a row it was not worth it.
    failures: u32,
    pause: Duration,
    paused_until: Option<Instant>,
}

/// What is known of others that its task takes turns with.
#[derive(Debug, Default)]
struct Turns {
    /// Whether it did lately, and did since we look.
    any: Cell<bool>,
    again: Cell<bool>,
    /// It has just begun to: what was learnt before counts no more.
    fresh: Cell<bool>,
    since: Cell<Option<Instant>>,
    /// How much time it gave to them.
    given: Cell<Duration>,
}

/// One look after another for the next call.
#[derive(Debug)]
pub(super) struct Look {
    limit: Duration,
    began: Instant,
    last: Instant,
    asked: Instant,
}

/// What to do after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Look,
    /// Ask the host whether there is something else, and look again if not.
    Ask,
    Stop,
}

impl Spin {
    pub(super) fn new(eagerness: Eagerness) -> Self {
        Self {
            eagerness,
            active: false,
            in_a_row: 0,
            need: eagerness.few,
            served: 0,
            passed: 0,
            began: None,
            turns: Turns::default(),
            failures: 0,
            pause: PAUSE,
            paused_until: None,
        }
    }

    /// Whether we look.
    pub(super) fn is_active(&self) -> bool {
        self.active
    }

    /// Something came that could have come through memory, but by a notification.
    pub(super) fn missed(&mut self) {
        self.in_a_row = self.in_a_row.saturating_add(1);
    }

    /// Something else came.
    pub(super) fn interfered(&mut self) {
        self.in_a_row = 0;
    }

    /// Whether to begin now.
    pub(super) fn begins(&mut self) -> bool {
        if self.turns.fresh.take() {
            (self.need, self.failures, self.paused_until) = (self.eagerness.few, 0, None);
        }
        if self.in_a_row < self.need || sched::all_cpus().is_none() {
            return false;
        }
        if let Some(until) = self.paused_until {
            if Instant::now() < until {
                self.in_a_row = 0;
                return false;
            }
            self.paused_until = None;
        }
        self.active = true;
        self.turns.again.set(false);
        self.turns.given.set(Duration::ZERO);
        self.served = 0;
        self.passed = 0;
        self.began = Some(Instant::now());
        self.in_a_row = 0;
        true
    }

    pub(super) fn look(&self) -> Look {
        let now = Instant::now();
        Look { limit: if self.served == 0 { FIRST } else { NEXT }, began: now, last: now, asked: now }
    }

    /// There was no call.
    pub(super) fn after(&mut self, look: &mut Look) -> Next {
        let now = Instant::now();
        if now - look.last > if self.turns.any.get() { AWAY_IN_TURN } else { AWAY } {
            self.crowded();
            return Next::Stop;
        }
        look.last = now;
        if now - look.began > look.limit {
            if self.served == 0 {
                self.crowded();
            }
            return Next::Stop;
        }
        if self.served >= self.some() && !self.was_worth_it() {
            if !self.is_one_of_several() || self.failures > FAILURES {
                self.crowded();
            }
            return Next::Stop;
        }
        if now - look.asked > ASK {
            look.asked = now;
            return Next::Ask;
        }
        Next::Look
    }

    /// Its task waits for others, and gives them its CPU meanwhile; or has done so.
    pub(super) fn takes_turns(&self, begins: bool) {
        let turns = &self.turns;
        turns.fresh.set(!turns.any.replace(true) || turns.fresh.get());
        turns.again.set(true);
        if begins {
            turns.since.set(Some(Instant::now()));
        } else if let Some(since) = turns.since.take() {
            turns.given.set(turns.given.get() + since.elapsed());
        }
    }

    /// Whether there are such others.
    pub(super) fn is_one_of_several(&self) -> bool {
        self.turns.any.get()
    }

    /// Something came through memory.
    pub(super) fn served(&mut self) {
        self.served = self.served.saturating_add(1);
    }

    /// Something has come the ordinary way. Whether to go on looking once it is answered.
    pub(super) fn lets_pass(&mut self) -> bool {
        let often = self.served < std::mem::replace(&mut self.passed, self.served) + BETWEEN;
        self.eagerness == Eagerness::TEST || !often
    }

    fn was_worth_it(&self) -> bool {
        self.began.is_some_and(|began| ONCE + began.elapsed() < self.turns.given.get() + EACH * self.served)
    }

    /// After how many it can be told on the way. It takes two to take turns: the other one has to begin meanwhile.
    fn some(&self) -> u32 {
        if self.is_one_of_several() { SOME.max(self.need) } else { SOME }
    }

    /// We do not look any more.
    pub(super) fn ended(&mut self) {
        self.active = false;
        self.in_a_row = 0;
        self.turns.any.set(self.turns.again.get());
        if !self.was_worth_it() {
            self.need = (self.need * 2).min(self.eagerness.many);
            self.failures = self.failures.saturating_add(1);
        } else {
            self.failures = 0;
            self.need = (self.need / 4).max(self.eagerness.few);
            self.pause = PAUSE;
        }
    }

    fn crowded(&mut self) {
        if self.was_worth_it() || self.eagerness == Eagerness::TEST {
            return;
        }
        self.paused_until = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LONG_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::{Eagerness, FEW, SOME, Spin};

    fn begins_after(spin: &mut Spin, calls: u32) -> bool {
        (0..calls).for_each(|_| spin.missed());
        spin.begins()
    }

    #[test]
    fn it_takes_calls_in_a_row_and_more_of_them_if_it_was_not_worth_it() {
        if host::sched::all_cpus().is_none() {
            return;
        }
        let mut spin = Spin::new(Eagerness::REASONABLE);
        assert!(!begins_after(&mut spin, FEW - 1));
        spin.interfered();
        assert!(!begins_after(&mut spin, FEW - 1));
        assert!(begins_after(&mut spin, 1));
        spin.ended();
        assert!(!begins_after(&mut spin, FEW));
        assert!(begins_after(&mut spin, FEW));
        (0..SOME).for_each(|_| spin.served());
        spin.ended();
        assert!(begins_after(&mut spin, FEW));
    }
}
