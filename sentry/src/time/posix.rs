//! POSIX timers: timer_create(2) and what follows.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Weak};

use abi::siginfo::SigInfo;
use abi::signal::Signal;

use super::{Clock, Clocks, Expired, Setting, Timer};
use crate::task::signal::{Account, Charge, Sent, TimerSignal};
use crate::task::{Task, ThreadGroup};

/// Whom a timer tells.
#[derive(Clone, Debug)]
pub enum Notify {
    /// SIGEV_NONE.
    Nobody,
    /// SIGEV_SIGNAL, SIGEV_THREAD: the process.
    Process {
        /// The signal.
        signal: Signal,
        /// `si_value`.
        value: u64,
    },
    /// SIGEV_THREAD_ID: one thread.
    Thread {
        /// The signal.
        signal: Signal,
        /// `si_value`.
        value: u64,
        /// The thread.
        task: Weak<Task>,
    },
}

/// A timer of a process.
#[derive(Debug)]
pub struct PosixTimer {
    me: Weak<Self>,
    id: i32,
    notify: Notify,
    group: Weak<ThreadGroup>,
    timer: Arc<Timer>,
    overrun: AtomicI32,
    /// Its signal has a place in the queue from the beginning.
    _charge: Option<Charge>,
}

impl PosixTimer {
    /// A timer that is off. `charge`: RLIMIT_SIGPENDING has been asked.
    #[must_use]
    pub fn new(
        id: i32,
        clocks: &Arc<Clocks>,
        clock: Clock,
        notify: Notify,
        group: &Arc<ThreadGroup>,
        charge: Option<Charge>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me: &Weak<Self>| {
            let sink: Weak<dyn Expired> = me.clone();
            Self {
                me: me.clone(),
                id,
                notify,
                group: Arc::downgrade(group),
                timer: Timer::new(clocks, clock, sink),
                overrun: AtomicI32::new(0),
                _charge: charge,
            }
        })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.timer.clock()
    }

    /// Whom it tells.
    #[must_use]
    pub fn notify(&self) -> &Notify {
        &self.notify
    }

    /// timer_settime(2); returns what was left and the interval. A signal of the old setting that nobody took goes.
    pub fn set(&self, setting: Setting) -> (i64, i64) {
        self.forget_signal();
        self.overrun.store(0, Ordering::Relaxed);
        self.timer.set(setting, matches!(self.notify, Notify::Nobody))
    }

    /// timer_gettime(2): what is left, and the interval.
    #[must_use]
    pub fn remaining(&self) -> (i64, i64) {
        self.timer.remaining()
    }

    /// timer_getoverrun(2).
    #[must_use]
    pub fn overrun(&self) -> i32 {
        self.overrun.load(Ordering::Relaxed)
    }

    /// timer_delete(2), the end of the process, execve(2).
    pub fn delete(&self) {
        self.timer.set(Setting::default(), true);
        self.forget_signal();
    }

    fn forget_signal(&self) {
        if let (Some(group), Some(me)) = (self.group.upgrade(), self.me.upgrade()) {
            let me: Arc<dyn TimerSignal> = me;
            group.signals.discard_timer(&me);
        }
    }

    fn send(&self) -> Option<Sent> {
        let group = self.group.upgrade()?;
        let me: Arc<dyn TimerSignal> = self.me.upgrade()?;
        let (signal, value, thread) = match &self.notify {
            Notify::Nobody => return None,
            Notify::Process { signal, value } => (*signal, *value, None),
            Notify::Thread { signal, value, task } => (*signal, *value, Some(task.upgrade()?)),
        };
        let account = Account { charge_to: None, from_outside: false };
        let info = SigInfo::timer(signal, self.id, 0, value);
        group.post(thread.as_ref().map(|t| &t.signals), info, &account, Some(me)).ok()
    }
}

impl Expired for PosixTimer {
    fn expired(&self) {
        if self.send() == Some(Sent::Ignored) {
            self.timer.skip();
        }
    }
}

impl TimerSignal for PosixTimer {
    fn taken(&self) -> i32 {
        let missed = self.timer.acknowledge().saturating_sub(1);
        let missed = i32::try_from(missed).unwrap_or(i32::MAX);
        self.overrun.store(missed, Ordering::Relaxed);
        missed
    }
}
