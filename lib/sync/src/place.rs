//! Where a thread wakes up: on the CPU of whoever wakes it, if the two take turns.
//!
//! The kernel likes to wake a thread on an idle CPU. Waking that CPU up takes many times as long as a short turn of a thread
//! that answers and sleeps again. So where a thread has slept soon after it woke others several times on end, and the one it
//! wakes was up for a short time only, that one is bound to the waker's CPU. It is let go when it stays up for longer, or when
//! somebody else wakes it.
//!
//! Neighbour: [`crate::parker`]. There are no locks.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use host::sched::{self, CpuMask};

/// What counts as a short turn: about what it takes to wake a CPU up.
const SHORT: Duration = Duration::from_micros(50);
/// How often a thread must have slept soon after it woke others.
const HABIT: u8 = 4;
/// How many times a bound thread may go on before it is let go.
const STEPS: u32 = 8;

/// A thread that sleeps now and then.
#[derive(Debug)]
pub(crate) struct Sleeper {
    thread: Thread,
    tid: i32,
    /// The CPU that it is bound to, plus one; 0 if to none.
    bound: AtomicU32,
    /// Whether its last turn was short.
    brief: AtomicBool,
    /// How many times it went on in this turn, while bound.
    steps: AtomicU32,
}

/// What the calling thread did in this turn and the ones before.
struct Turns {
    began: Cell<Option<Instant>>,
    woke: Cell<Option<Instant>>,
    /// How often on end it slept soon after it woke others.
    streak: Cell<u8>,
}

thread_local! {
    static TURNS: Turns =
        const { Turns { began: Cell::new(None), woke: Cell::new(None), streak: Cell::new(0) } };
}

/// The calling thread's turn begins.
pub(crate) fn woken_up() {
    TURNS.with(|turns| turns.began.set(Some(Instant::now())));
}

impl Sleeper {
    /// The calling thread.
    pub(crate) fn here() -> Self {
        Self {
            thread: std::thread::current(),
            tid: sched::current_thread(),
            bound: AtomicU32::new(0),
            brief: AtomicBool::new(false),
            steps: AtomicU32::new(0),
        }
    }

    /// Its turn ends. Called by the thread itself.
    pub(crate) fn lies_down(&self, now: Instant) {
        let soon = |since: Instant| now.saturating_duration_since(since) < SHORT;
        TURNS.with(|turns| {
            if let Some(woke) = turns.woke.take() {
                turns.streak.set(if soon(woke) { turns.streak.get().saturating_add(1) } else { 0 });
            }
            self.brief.store(turns.began.take().is_some_and(soon), Ordering::Relaxed);
        });
        self.steps.store(0, Ordering::Relaxed);
    }

    /// It makes a step without having slept. Called by the thread itself.
    pub(crate) fn goes_on(&self) {
        if self.bound.load(Ordering::Relaxed) == 0 {
            return;
        }
        let steps = self.steps.load(Ordering::Relaxed) + 1;
        self.steps.store(steps, Ordering::Relaxed);
        if steps > STEPS {
            self.bind(0);
        }
    }

    pub(crate) fn wake(&self) {
        let together = TURNS.with(|turns| {
            if turns.woke.get().is_none() {
                turns.woke.set(Some(Instant::now()));
            }
            turns.streak.get() >= HABIT
        });
        let cpu = if together && self.brief.load(Ordering::Relaxed) { sched::current_cpu() + 1 } else { 0 };
        self.bind(cpu);
        self.thread.unpark();
    }

    fn bind(&self, cpu: u32) {
        if self.bound.load(Ordering::Relaxed) == cpu {
            return;
        }
        let Some(all) = sched::all_cpus() else { return };
        let mask = if cpu == 0 { all } else { CpuMask::one(cpu - 1) };
        if mask.within(&all) && mask.apply(self.tid).is_ok() {
            self.bound.store(cpu, Ordering::Relaxed);
        }
    }
}
