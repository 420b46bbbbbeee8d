//! Looks after stubs that do not answer the kick.
//!
//! An application can get at the signal mask of its stub's thread, and block the signal. That must not keep it alive: what
//! lets so much time pass while we wait for it is killed, with the address space that it is in. A watch thread looks once
//! a second while somebody was kicked, and sleeps otherwise.
//!
//! Locks: the list of pulses, under which nothing else is locked.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Once, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How often the watch looks.
const TICK: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 1000 });
/// How often a stub may be found not to have answered. A host that starves it for so long has other worries.
const PATIENCE: u32 = if cfg!(test) { 5 } else { 20 };
/// Ticks without a kick after which the watch sleeps.
const QUIET: u32 = 3;

/// Whom to kill.
pub(crate) trait Mortal: Debug + Send + Sync {
    /// Kills it, without waiting.
    fn doom(&self);
}

/// Whether a thread of a stub is to answer a kick, and how long it has not.
#[derive(Debug)]
pub(crate) struct Pulse {
    kicked: AtomicBool,
    awaited: AtomicBool,
    /// Looks since then that found us waiting.
    missed: AtomicU32,
    owner: Weak<dyn Mortal>,
}

impl Pulse {
    pub(crate) fn new(owner: Weak<dyn Mortal>) -> Arc<Self> {
        let pulse = Arc::new(Self {
            kicked: AtomicBool::new(false),
            awaited: AtomicBool::new(false),
            missed: AtomicU32::new(0),
            owner,
        });
        WATCH.add(&pulse);
        pulse
    }

    /// Somebody has kicked it.
    pub(crate) fn kicked(&self) {
        self.kicked.store(true, Ordering::Relaxed);
        WATCH.wake();
    }

    /// We are going to wait for it.
    pub(crate) fn wait(&self) {
        self.awaited.store(true, Ordering::Relaxed);
    }

    /// It has come.
    pub(crate) fn came(&self) {
        self.awaited.store(false, Ordering::Relaxed);
        if self.kicked.load(Ordering::Relaxed) {
            self.kicked.store(false, Ordering::Relaxed);
            self.missed.store(0, Ordering::Relaxed);
        }
    }

    /// Looks at it; returns whether there is anything to look at later.
    fn look(&self) -> bool {
        if !self.kicked.load(Ordering::Relaxed) || !self.awaited.load(Ordering::Relaxed) {
            return false;
        }
        if self.missed.fetch_add(1, Ordering::Relaxed) == PATIENCE
            && let Some(owner) = self.owner.upgrade()
        {
            tracing::warn!(?owner, "a stub does not let itself be interrupted, and is killed");
            owner.doom();
        }
        true
    }
}

static WATCH: LazyLock<Watch> = LazyLock::new(|| Watch {
    pulses: Mutex::default(),
    called: Condvar::new(),
    asleep: AtomicBool::new(false),
    started: Once::new(),
});

#[derive(Debug)]
struct Watch {
    pulses: Mutex<Vec<Weak<Pulse>>>,
    called: Condvar,
    asleep: AtomicBool,
    started: Once,
}

impl Watch {
    fn add(&'static self, pulse: &Arc<Pulse>) {
        let mut pulses = self.pulses.lock();
        if pulses.len() == pulses.capacity() {
            pulses.retain(|pulse| pulse.strong_count() > 0);
        }
        pulses.push(Arc::downgrade(pulse));
    }

    /// Makes sure that the watch looks.
    fn wake(&'static self) {
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::SeqCst) {
            drop(self.pulses.lock());
            self.called.notify_one();
        }
        self.started.call_once(|| {
            let thread = std::thread::Builder::new().name("watch".into()).stack_size(64 << 10);
            let _ = thread.spawn(|| self.run());
        });
    }

    fn run(&self) {
        host::sched::run_anywhere();
        let mut quiet = 0;
        let mut pulses = self.pulses.lock();
        loop {
            if quiet < QUIET {
                self.called.wait_for(&mut pulses, TICK);
            } else {
                self.asleep.store(true, Ordering::SeqCst);
                while self.asleep.load(Ordering::SeqCst) {
                    self.called.wait(&mut pulses);
                }
                quiet = 0;
                continue;
            }
            let mut any = false;
            pulses.retain(|pulse| {
                let pulse = pulse.upgrade();
                any |= pulse.as_ref().is_some_and(|pulse| pulse.look());
                pulse.is_some()
            });
            quiet = if any { 0 } else { quiet + 1 };
        }
    }
}
