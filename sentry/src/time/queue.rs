//! The timer thread: one for the sandbox, started by the first timer, asleep until the next one is due.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use sync::{Mutex, Parker};

use crate::lock_order;

/// What happens when a time has come.
pub trait Alarm: Send + Sync {
    /// Called by the timer thread without any lock. It may be late, and it may be called although the alarm was just
    /// cancelled or put off: it looks for itself.
    fn fire(&self);
}

/// Names an alarm that is set: when, and which of those at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(Instant, u64);

/// All alarms that are set, in the order of their times.
pub struct TimerQueue {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State, lock_order::TimerQueue>,
    parker: Parker,
    ended: AtomicBool,
}

#[derive(Default)]
struct State {
    alarms: BTreeMap<Key, Weak<dyn Alarm>>,
    next_id: u64,
    started: bool,
}

impl TimerQueue {
    /// An empty queue without a thread.
    #[must_use]
    pub fn new() -> Self {
        let inner = Inner { state: Mutex::new(State::default()), parker: Parker::new(), ended: AtomicBool::new(false) };
        Self { inner: Arc::new(inner) }
    }

    /// Sets an alarm for `at`.
    pub fn set(&self, at: Instant, alarm: Weak<dyn Alarm>) -> Key {
        let mut state = self.inner.state.lock();
        let key = Key(at, state.next_id);
        state.next_id += 1;
        state.alarms.insert(key, alarm);
        let first = state.alarms.first_key_value().is_some_and(|(k, _)| *k == key);
        let start = !std::mem::replace(&mut state.started, true);
        drop(state);
        if start {
            self.start();
        } else if first {
            self.inner.parker.wake();
        }
        key
    }

    /// Takes an alarm back; it may be firing already.
    pub fn cancel(&self, key: Key) {
        self.inner.state.lock().alarms.remove(&key);
    }

    fn start(&self) {
        let inner = Arc::clone(&self.inner);
        let spawned =
            std::thread::Builder::new().name("timers".into()).stack_size(256 << 10).spawn(move || inner.run());
        if spawned.is_err() {
            // The next alarm tries again.
            self.inner.state.lock().started = false;
        }
    }
}

impl Inner {
    fn run(&self) {
        host::sched::run_anywhere();
        while !self.ended.load(Ordering::SeqCst) {
            self.parker.reset();
            let now = Instant::now();
            let (due, next) = self.take_due(now);
            let idle = due.is_empty();
            for alarm in due {
                if let Some(alarm) = alarm.upgrade() {
                    alarm.fire();
                }
            }
            if idle {
                self.parker.park(next);
            }
        }
    }

    /// What is due, and when something will be.
    fn take_due(&self, now: Instant) -> (Vec<Weak<dyn Alarm>>, Option<Instant>) {
        let mut state = self.state.lock();
        let later = state.alarms.split_off(&Key(now, u64::MAX));
        let due = std::mem::replace(&mut state.alarms, later);
        let next = state.alarms.first_key_value().map(|(key, _)| key.0);
        (due.into_values().collect(), next)
    }
}

impl Default for TimerQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TimerQueue {
    fn drop(&mut self) {
        self.inner.ended.store(true, Ordering::SeqCst);
        self.inner.parker.wake();
    }
}

impl fmt::Debug for TimerQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimerQueue({})", self.inner.state.lock().alarms.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    struct Tell(u32, mpsc::Sender<u32>);
    impl Alarm for Tell {
        fn fire(&self) {
            let _ = self.1.send(self.0);
        }
    }

    #[test]
    fn alarms_come_due_in_order_and_cancelled_ones_do_not() {
        let queue = TimerQueue::new();
        let (tell, told) = mpsc::channel();
        let alarms: Vec<Arc<dyn Alarm>> = (0..5).map(|n| Arc::new(Tell(n, tell.clone())) as _).collect();
        // So late that the queue's own thread leaves them to us.
        let later = Instant::now() + Duration::from_secs(3600);
        let set = |s, n: usize| queue.set(later + Duration::from_secs(s), Arc::downgrade(&alarms[n]));
        set(3, 0);
        let cancelled = set(2, 1);
        set(1, 2);
        set(0, 3);
        set(5, 4);
        queue.cancel(cancelled);
        let (due, next) = queue.inner.take_due(later + Duration::from_secs(4));
        due.iter().filter_map(Weak::upgrade).for_each(|alarm| alarm.fire());
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [3, 2, 0]);
        assert_eq!(next, Some(later + Duration::from_secs(5)));
    }

    #[test]
    fn a_dropped_alarm_is_silent() {
        let queue = TimerQueue::new();
        let (tell, told) = mpsc::channel();
        let gone: Arc<dyn Alarm> = Arc::new(Tell(1, tell.clone()));
        let here: Arc<dyn Alarm> = Arc::new(Tell(2, tell));
        let now = Instant::now();
        let weak = Arc::downgrade(&gone);
        drop(gone);
        queue.set(now, weak);
        queue.set(now, Arc::downgrade(&here));
        assert_eq!(told.recv(), Ok(2));
    }
}
