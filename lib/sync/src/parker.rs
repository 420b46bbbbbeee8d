//! Puts one thread to sleep until somebody wakes it.
//!
//! Who wakes a thread often holds locks that this one takes first thing. So a thread can hold back its wake-ups for the
//! short time until it has let go of them. And who wakes a thread often sleeps right after: [`crate::place`] sees to it that
//! such two share a CPU.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::place::{self, Patience, Sleeper};
use crate::trial;

/// One per task thread. A wake-up that comes before [`Parker::park`] is not lost.
#[derive(Debug, Default)]
pub struct Parker {
    woken: AtomicBool,
    sleeper: OnceLock<Arc<Sleeper>>,
}

impl Parker {
    /// A parker that no thread has slept on yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { woken: AtomicBool::new(false), sleeper: OnceLock::new() }
    }

    /// Forgets earlier wake-ups. Called before a condition is tested, so that a wake-up after the test is seen.
    pub fn reset(&self) {
        let _ = self.sleeper();
        self.woken.store(false, Ordering::SeqCst);
    }

    /// Sleeps until [`Self::wake`] was called since [`Self::reset`], or `deadline`. Returns whether it was woken. Only the
    /// thread that called `reset` first may call it.
    pub fn park(&self, deadline: Option<Instant>) -> bool {
        let sleeper = self.sleeper();
        HELD.with(Held::let_go);
        if self.woken.swap(false, Ordering::SeqCst) {
            return true;
        }
        let started = Instant::now();
        sleeper.lies_down(started);
        let woken = self.sleep(started, deadline);
        place::woken_up();
        sleeper.slept(started);
        woken
    }

    fn sleep(&self, mut now: Instant, deadline: Option<Instant>) -> bool {
        loop {
            match deadline {
                None => std::thread::park(),
                Some(at) => match at.checked_duration_since(now) {
                    Some(left) if !left.is_zero() => {
                        std::thread::park_timeout(left);
                        now = Instant::now();
                    }
                    _ => return self.woken.swap(false, Ordering::SeqCst),
                },
            }
            if self.woken.swap(false, Ordering::SeqCst) {
                return true;
            }
        }
    }

    /// Whether the last sleeps were short, and it is known by that to be one of those who take turns; and it pays to stay awake.
    pub fn takes_turns(&self) -> bool {
        self.sleeper.get().is_some_and(|sleeper| sleeper.takes_turns()) && trial::stays_awake(Instant::now())
    }

    /// The same as [`Self::park`] for one who takes turns with another on this CPU: stays awake for a while, but gives way to
    /// everybody else after each look. That saves the two of them falling asleep and waking up.
    pub fn park_awake(&self, deadline: Option<Instant>) -> bool {
        let sleeper = self.sleeper();
        HELD.with(Held::let_go);
        let started = Instant::now();
        sleeper.lies_down(started);
        let mut patience = Patience::new(started, deadline);
        let woken = loop {
            if self.woken.swap(false, Ordering::SeqCst) {
                break true;
            }
            if !patience.goes_on() {
                break self.sleep(Instant::now(), deadline);
            }
            std::thread::yield_now();
        };
        place::woken_up();
        sleeper.slept(started);
        woken
    }

    /// Wakes the thread, or makes its next `park` return at once. See [`hold_wakes`].
    pub fn wake(&self) {
        if !self.woken.swap(true, Ordering::SeqCst)
            && let Some(sleeper) = self.sleeper.get()
        {
            HELD.with(|held| held.wake(sleeper));
        }
    }

    /// The same, on another CPU than the caller's: for a thread that is to run beside its waker, not in its place.
    pub fn wake_elsewhere(&self) {
        if !self.woken.swap(true, Ordering::SeqCst)
            && let Some(sleeper) = self.sleeper.get()
        {
            sleeper.wake_elsewhere();
        }
    }

    /// The thread goes on without having slept since it last said so. See [`Sleeper::goes_on`].
    pub fn goes_on(&self) {
        trial::called();
        if let Some(sleeper) = self.sleeper.get() {
            sleeper.goes_on();
        }
    }

    fn sleeper(&self) -> &Arc<Sleeper> {
        self.sleeper.get_or_init(|| Arc::new(Sleeper::here()))
    }
}

/// What the calling thread wakes from now on wakes up at [`release_wakes`], or when the caller parks or wakes another. It
/// must not block otherwise meanwhile.
pub fn hold_wakes() {
    HELD.with(|held| held.holds.set(true));
}

/// Ends what [`hold_wakes`] began.
pub fn release_wakes() {
    HELD.with(|held| {
        held.holds.set(false);
        held.let_go();
    });
}

/// A wake-up that a thread holds back.
struct Held {
    holds: Cell<bool>,
    any: Cell<bool>,
    sleeper: RefCell<Option<Arc<Sleeper>>>,
}

thread_local! {
    static HELD: Held = const { Held { holds: Cell::new(false), any: Cell::new(false), sleeper: RefCell::new(None) } };
}

impl Held {
    fn wake(&self, sleeper: &Arc<Sleeper>) {
        if !self.holds.get() {
            sleeper.wake();
            return;
        }
        let earlier = self.sleeper.replace(Some(Arc::clone(sleeper)));
        self.any.set(true);
        if let Some(earlier) = earlier {
            earlier.wake();
        }
    }

    fn let_go(&self) {
        if self.any.replace(false)
            && let Some(sleeper) = self.sleeper.take()
        {
            sleeper.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Parker, hold_wakes, release_wakes};
    use std::sync::Arc;
    use std::time::Instant;

    #[test]
    fn wake_before_park_is_not_lost() {
        let parker = Parker::new();
        parker.reset();
        parker.wake();
        assert!(parker.park(None));
    }

    #[test]
    fn held_wakes_come_with_the_release_or_the_next_sleep() {
        let (ours, other) = (Arc::new(Parker::new()), Arc::new(Parker::new()));
        let echo = {
            let (ours, other) = (Arc::clone(&ours), Arc::clone(&other));
            std::thread::spawn(move || {
                for _ in 0..100 {
                    other.park(None);
                    ours.wake();
                }
            })
        };
        for turn in 0..100 {
            hold_wakes();
            other.wake();
            if turn % 2 == 0 {
                release_wakes();
            }
            assert!(ours.park(None));
            release_wakes();
        }
        assert!(echo.join().is_ok());
    }

    #[test]
    fn a_passed_deadline_returns_unwoken() {
        let parker = Parker::new();
        parker.reset();
        assert!(!parker.park(Some(Instant::now())));
    }
}
