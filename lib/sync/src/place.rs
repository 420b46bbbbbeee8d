//! Where a thread wakes up: on the CPU of whoever wakes it, if the two take turns.
//!
//! The kernel likes to wake a thread on an idle CPU. Waking that CPU up takes many times as long as a short turn of a thread
//! that answers and sleeps again. So where a thread usually sleeps soon after it woke others, and the one it wakes is usually
//! up for a short time only, that one is bound to the waker's CPU. It is let go when it stays up for longer, or when
//! somebody else wakes it.
//!
//! Neighbour: [`crate::parker`]. There are no locks.

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use host::sched::{self, CpuMask};

/// What counts as a short turn: about what it takes to wake a CPU up.
const SHORT: Duration = Duration::from_micros(50);
/// How often, on balance, a thread must have slept soon after it woke others, or had a short turn; and how much of that is
/// remembered. Something else counts as much as several of those.
const HABIT: u8 = 4;
const MEMORY: u8 = 32;
const RELAPSE: u8 = 8;
/// How long a sleep may be that counts as somebody else's turn, and how long one stays awake in its place.
const NAP: Duration = Duration::from_micros(150);
const TURN: Duration = Duration::from_micros(100);
/// Who gives way for so long has given way to somebody who does not take turns.
const AWAY: Duration = Duration::from_micros(200);
/// How long not to stay awake then, at first and at most.
const PAUSE: Duration = Duration::from_millis(10);
const LONG_PAUSE: Duration = Duration::from_millis(640);
/// How many times a bound thread may go on before it is let go.
const STEPS: u32 = 8;

/// A thread that sleeps now and then.
#[derive(Debug)]
pub(crate) struct Sleeper {
    thread: Thread,
    tid: i32,
    /// The CPU that it is bound to, plus one; 0 if to none.
    bound: AtomicU32,
    /// How often its turns were short, on balance.
    brief: AtomicU8,
    /// How many times it went on in this turn, while bound.
    steps: AtomicU32,
    /// How often its sleeps were short, on balance.
    naps: AtomicU8,
}

/// How long a thread that gives way stays awake.
pub(crate) struct Patience {
    until: Instant,
    last: Instant,
}

/// What the calling thread did in this turn and the ones before.
struct Turns {
    began: Cell<Option<Instant>>,
    woke: Cell<Option<Instant>>,
    /// How often it slept soon after it woke others, on balance.
    soon: Cell<u8>,
    /// When it gave way to somebody who did not take turns, and for how long it sleeps properly then.
    crowded: Cell<Option<Instant>>,
    pause: Cell<Duration>,
}

thread_local! {
    static TURNS: Turns = const {
        Turns {
            began: Cell::new(None),
            woke: Cell::new(None),
            soon: Cell::new(0),
            crowded: Cell::new(None),
            pause: Cell::new(PAUSE),
        }
    };
}

fn learn(habit: u8, again: bool) -> u8 {
    match again {
        true => (habit + 1).min(MEMORY),
        false => habit.saturating_sub(RELAPSE),
    }
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
            brief: AtomicU8::new(0),
            steps: AtomicU32::new(0),
            naps: AtomicU8::new(0),
        }
    }

    /// Its turn ends. Called by the thread itself.
    pub(crate) fn lies_down(&self, now: Instant) {
        let soon = |since: Instant| now.saturating_duration_since(since) < SHORT;
        TURNS.with(|turns| {
            if let Some(woke) = turns.woke.take() {
                turns.soon.set(learn(turns.soon.get(), soon(woke)));
            }
            let brief = turns.began.take().is_some_and(soon);
            self.brief.store(learn(self.brief.load(Ordering::Relaxed), brief), Ordering::Relaxed);
        });
        self.steps.store(0, Ordering::Relaxed);
    }

    /// It has slept since then. Called by the thread itself.
    pub(crate) fn slept(&self, since: Instant) {
        let short = since.elapsed() < NAP;
        self.naps.store(learn(self.naps.load(Ordering::Relaxed), short), Ordering::Relaxed);
    }

    /// Whether its sleeps are short, and it has not given way to others in vain lately. Called by the thread itself.
    pub(crate) fn takes_turns(&self) -> bool {
        self.naps.load(Ordering::Relaxed) >= HABIT
            && TURNS.with(|turns| turns.crowded.get().is_none_or(|last| last.elapsed() > turns.pause.get()))
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
            turns.soon.get() >= HABIT
        });
        let cpu = if together && self.brief.load(Ordering::Relaxed) >= HABIT { sched::current_cpu() + 1 } else { 0 };
        self.bind(cpu);
        self.thread.unpark();
    }

    /// Wakes it where the calling thread is not, if there is such a CPU: the caller goes on meanwhile.
    pub(crate) fn wake_elsewhere(&self) {
        if let Some(all) = sched::all_cpus() {
            let others = all.without(sched::current_cpu());
            // Bound to more than one, which is no CPU's number: the next ordinary wake-up lets it go.
            if others.within(&all) && others.apply(self.tid).is_ok() {
                self.bound.store(u32::MAX, Ordering::Relaxed);
            }
        }
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

impl Patience {
    pub(crate) fn new(now: Instant, deadline: Option<Instant>) -> Self {
        Self { until: deadline.map_or(now + TURN, |deadline| deadline.min(now + TURN)), last: now }
    }

    /// Whether to give way once more.
    pub(crate) fn goes_on(&mut self) -> bool {
        let now = Instant::now();
        let away = now.saturating_duration_since(self.last) > AWAY;
        self.last = now;
        if away {
            TURNS.with(|turns| {
                let again = turns.crowded.replace(Some(now)).is_some_and(|last| now - last < LONG_PAUSE * 2);
                turns.pause.set(if again { (turns.pause.get() * 2).min(LONG_PAUSE) } else { PAUSE });
            });
        }
        !away && now < self.until
    }
}
