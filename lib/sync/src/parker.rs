//! Puts one thread to sleep until somebody wakes it.

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

    /// Wakes the thread, or makes its next `park` return at once.
    pub fn wake(&self) {
        if !self.woken.swap(true, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Parker;
    use std::time::Instant;

    #[test]
    fn wake_before_park_is_not_lost() {
        let parker = Parker::new();
        parker.reset();
        parker.wake();
        assert!(parker.park(None));
    }

    #[test]
    fn a_passed_deadline_returns_unwoken() {
        let parker = Parker::new();
        parker.reset();
        assert!(!parker.park(Some(Instant::now())));
    }
}
