//! A timer: an [`Interval`] on a [`Clock`] that tells somebody.
//!
//! After an expiry it rests until it is acknowledged (the timerfd is read, the signal is taken): then it counts what it
//! missed and goes on. So a short interval costs nothing while nobody looks.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use abi::time::{Itimerspec, Timespec};
use sync::Mutex;

use super::queue::Key;
use super::{Alarm, Clock, Clocks, Interval};
use crate::lock_order;

/// Who hears of expiries.
pub trait Expired: Send + Sync {
    /// The timer has expired. Called without any lock, by the timer thread or by who set a timer to a time that had passed.
    fn expired(&self);
}

/// Something that expires.
pub struct Timer {
    me: Weak<Self>,
    clocks: Arc<Clocks>,
    clock: Clock,
    sink: Weak<dyn Expired>,
    core: Mutex<Core, lock_order::Timers>,
}

#[derive(Debug, Default)]
struct Core {
    interval: Interval,
    /// It has told its sink, and was not acknowledged since.
    told: bool,
    key: Option<Key>,
}

/// What to set a timer to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// Nanoseconds until (or, if `absolute`, on the clock at) the first expiry; zero switches it off.
    pub value: i64,
    /// Nanoseconds between later ones; zero for none.
    pub every: i64,
    /// TIMER_ABSTIME.
    pub absolute: bool,
}

impl Setting {
    /// From valid times ([`Timespec::validate`]); too long ones are held at the longest there is.
    #[must_use]
    pub fn from_spec(spec: &Itimerspec, absolute: bool) -> Self {
        Self { value: spec.it_value.to_nanos_saturating(), every: spec.it_interval.to_nanos_saturating(), absolute }
    }
}

/// The shortest time between two looks at a timer whose expiries nobody waits for.
const SHORTEST_REST: Duration = Duration::from_millis(1);

impl Timer {
    /// A timer that is off.
    #[must_use]
    pub fn new(clocks: &Arc<Clocks>, clock: Clock, sink: Weak<dyn Expired>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            clocks: Arc::clone(clocks),
            clock,
            sink,
            core: Mutex::new(Core::default()),
        })
    }

    /// The clock it runs on.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sets it; returns what was left of the old setting. With `silent` it never tells anybody (SIGEV_NONE).
    pub fn set(&self, setting: Setting, silent: bool) -> (i64, i64) {
        let now = self.clock.now().unwrap_or(0);
        let next = match setting {
            Setting { value: 0, .. } => None,
            Setting { value, absolute: true, .. } => Some(value),
            Setting { value, .. } => Some(now.saturating_add(value)),
        };
        let pace = self.clock.pace();
        let mut core = self.core.lock();
        let old = core.interval.remaining(now);
        core.interval = Interval::new(next, if next.is_some() { setting.every } else { 0 });
        core.told = false;
        if silent {
            self.unset(&mut core);
        } else {
            self.schedule(&mut core, now, pace, None);
        }
        old
    }

    /// How long until the next expiry, and the interval.
    #[must_use]
    pub fn remaining(&self) -> (i64, i64) {
        let now = self.clock.now().unwrap_or(0);
        self.core.lock().interval.remaining(now)
    }

    /// As [`Self::remaining`], as the application reads it.
    #[must_use]
    pub fn remaining_spec(&self) -> Itimerspec {
        spec(self.remaining())
    }

    /// How often it has expired since the last time it was asked; it goes on from there.
    pub fn acknowledge(&self) -> u64 {
        let Some(now) = self.clock.now() else { return 0 };
        let pace = self.clock.pace();
        let mut core = self.core.lock();
        let times = core.interval.advance(now);
        if times > 0 {
            core.told = false;
            self.schedule(&mut core, now, pace, None);
        }
        times
    }

    /// Whether it has expired and was not acknowledged.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.clock.now().is_some_and(|now| self.core.lock().interval.is_due(now))
    }

    /// The expiry was of no use to anybody (its signal is ignored): goes on, but not at any price.
    pub fn skip(&self) {
        let Some(now) = self.clock.now() else { return };
        let pace = self.clock.pace();
        let mut core = self.core.lock();
        if core.interval.advance(now) > 0 {
            core.told = false;
            self.schedule(&mut core, now, pace, Instant::now().checked_add(SHORTEST_REST));
        }
    }

    /// Puts the next expiry into the queue, not before `earliest`. It is `now` on the clock, which runs at `pace`.
    fn schedule(&self, core: &mut Core, now: i64, pace: u32, earliest: Option<Instant>) {
        self.unset(core);
        let Some(next) = core.interval.next() else { return };
        let Some(when) = self.clock.when(&self.clocks, now, next, pace) else { return };
        let when = earliest.map_or(when, |earliest| earliest.max(when));
        let me: Weak<dyn Alarm> = self.me.clone();
        core.key = Some(self.clocks.timers().set(when, me));
    }

    fn unset(&self, core: &mut Core) {
        if let Some(key) = core.key.take() {
            self.clocks.timers().cancel(key);
        }
    }
}

/// Remaining time and interval as a structure.
#[must_use]
pub fn spec((value, every): (i64, i64)) -> Itimerspec {
    Itimerspec { it_interval: Timespec::from_nanos(every), it_value: Timespec::from_nanos(value) }
}

impl Alarm for Timer {
    fn fire(&self) {
        let Some(now) = self.clock.now() else { return };
        let pace = self.clock.pace();
        {
            let mut core = self.core.lock();
            if core.told || core.interval.next().is_none() {
                return;
            }
            if !core.interval.is_due(now) {
                // Put off meanwhile, or the clock runs slower than was thought.
                self.schedule(&mut core, now, pace, None);
                return;
            }
            core.told = true;
            core.key = None;
        }
        if let Some(sink) = self.sink.upgrade() {
            sink.expired();
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(key) = self.core.get_mut().key.take() {
            self.clocks.timers().cancel(key);
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timer({:?})", self.core.lock().interval)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Sink(mpsc::Sender<()>);
    impl Expired for Sink {
        fn expired(&self) {
            let _ = self.0.send(());
        }
    }

    #[test]
    fn a_period_is_told_once_until_it_is_acknowledged() {
        let clocks = Clocks::new();
        let (tell, told) = mpsc::channel();
        let sink: Arc<dyn Expired> = Arc::new(Sink(tell));
        let timer = Timer::new(&clocks, Clock::MONOTONIC, Arc::downgrade(&sink));
        timer.set(Setting { value: 1, every: 1_000_000, absolute: false }, false);
        told.recv().expect("it expires");
        #[expect(clippy::disallowed_methods, reason = "periods pass that nobody is told of")]
        std::thread::sleep(Duration::from_millis(5));
        assert!(told.try_recv().is_err());
        assert!(timer.acknowledge() >= 5);
        told.recv().expect("it expires again");
        let (left, every) = timer.set(Setting::default(), false);
        assert!(left > 0 && every == 1_000_000);
        assert_eq!((timer.remaining(), timer.acknowledge()), ((0, 0), 0));
    }

    #[test]
    fn an_absolute_time_in_the_past_expires_at_once() {
        let clocks = Clocks::new();
        let (tell, told) = mpsc::channel();
        let sink: Arc<dyn Expired> = Arc::new(Sink(tell));
        let timer = Timer::new(&clocks, Clock::REALTIME, Arc::downgrade(&sink));
        timer.set(Setting { value: 1, every: 0, absolute: true }, false);
        told.recv().expect("it expires");
        assert_eq!((timer.acknowledge(), timer.acknowledge()), (1, 0));
    }
}
