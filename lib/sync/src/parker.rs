//! Puts one thread to sleep until somebody wakes it.
//!
//! Who wakes a thread often holds locks that this one takes first thing. So a thread can hold back its wake-ups for the
//! short time until it has let go of them.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::Instant;

/// One per task thread. A wake-up that comes before [`Parker::park`] is not lost.
#[derive(Debug, Default)]
pub struct Parker {
    woken: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Parker {
    /// A parker that no thread has slept on yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { woken: AtomicBool::new(false), thread: OnceLock::new() }
    }

    /// Forgets earlier wake-ups. Called before a condition is tested, so that a wake-up after the test is seen.
    pub fn reset(&self) {
        let _ = self.thread.get_or_init(std::thread::current);
        self.woken.store(false, Ordering::SeqCst);
    }

    /// Sleeps until [`Self::wake`] was called since [`Self::reset`], or `deadline`. Returns whether it was woken. Only the
    /// thread that called `reset` first may call it.
    pub fn park(&self, deadline: Option<Instant>) -> bool {
        let _ = self.thread.get_or_init(std::thread::current);
        HELD.with(Held::let_go);
        loop {
            if self.woken.swap(false, Ordering::SeqCst) {
                return true;
            }
            match deadline {
                None => std::thread::park(),
                Some(at) => match at.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => std::thread::park_timeout(left),
                    _ => return self.woken.swap(false, Ordering::SeqCst),
                },
            }
        }
    }

    /// Wakes the thread, or makes its next `park` return at once. See [`hold_wakes`].
    pub fn wake(&self) {
        if !self.woken.swap(true, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            HELD.with(|held| held.wake(thread));
        }
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
    thread: Cell<Option<Thread>>,
}

thread_local! {
    static HELD: Held = const { Held { holds: Cell::new(false), thread: Cell::new(None) } };
}

impl Held {
    fn wake(&self, thread: &Thread) {
        if !self.holds.get() {
            thread.unpark();
        } else if let Some(earlier) = self.thread.replace(Some(thread.clone())) {
            earlier.unpark();
        }
    }

    fn let_go(&self) {
        if let Some(thread) = self.thread.take() {
            thread.unpark();
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
