//! The clocks of the sandbox: which there are, what they say, and when they will say something.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use abi::time::{
    CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC_RAW,
    CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME, CLOCK_REALTIME_ALARM, CLOCK_REALTIME_COARSE, CLOCK_TAI,
    CLOCK_THREAD_CPUTIME_ID, CPUCLOCK_PROF, CPUCLOCK_VIRT, Timespec,
};
use host::clock::Clock as HostClock;

use super::TimerQueue;
use crate::task::usage::CpuTime;
use crate::task::{CurrentTask, Task, ThreadGroup};

/// The clocks of the sandbox and its timer thread.
#[derive(Debug)]
pub struct Clocks {
    /// One moment on both: CLOCK_MONOTONIC in nanoseconds, and as an [`Instant`].
    origin: (i64, Instant),
    timers: TimerQueue,
}

/// A clock that a program named.
#[derive(Clone, Debug)]
pub enum Clock {
    /// A clock of the host.
    Host {
        /// Which.
        clock: HostClock,
        /// What is special about it.
        kind: HostKind,
        /// What the reader's time namespace adds to it, in nanoseconds.
        offset: i64,
    },
    /// CPU time of a process.
    Process(Weak<ThreadGroup>, CpuKind),
    /// CPU time of a thread.
    Thread(Weak<Task>, CpuKind),
}

/// What a clock of the host can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKind {
    /// Reading, sleeping, timers.
    Plain,
    /// The same, and to wake the machine (CAP_WAKE_ALARM).
    Alarm,
    /// Reading only.
    ReadOnly,
    /// Reading only, and said to be coarse. It is not, so that it agrees with the vDSO, which reads the one clock it has.
    Coarse,
}

/// Which CPU time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuKind {
    /// That in the application only (ITIMER_VIRTUAL).
    User,
    /// All of it.
    All,
}

impl CpuKind {
    fn of(self, time: CpuTime) -> i64 {
        let time = match self {
            Self::User => time.user,
            Self::All => time.total(),
        };
        i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
    }
}

/// A tick of 250 Hz.
const COARSE_TICK: i64 = 4_000_000;
/// A CPU-time clock is looked at no more often than this while a timer waits on it.
const CPU_LOOK_MIN: Duration = Duration::from_millis(1);
/// And no less often than this, so that a process that gets more threads is not late by much.
const CPU_LOOK_MAX: Duration = Duration::from_millis(500);

impl Clocks {
    /// The clocks; the timer thread starts when it is first needed.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let monotonic = HostClock::MONOTONIC.now().unwrap_or(0);
        // Read second, so that a deadline made from it is never early.
        Arc::new(Self { origin: (monotonic, Instant::now()), timers: TimerQueue::new() })
    }

    /// CLOCK_REALTIME.
    #[must_use]
    pub fn realtime(&self) -> Timespec {
        Timespec::from_nanos(HostClock::REALTIME.now().unwrap_or(0))
    }

    /// CLOCK_MONOTONIC in nanoseconds.
    #[must_use]
    pub fn monotonic(&self) -> i64 {
        HostClock::MONOTONIC.now().unwrap_or(0)
    }

    /// CLOCK_BOOTTIME in nanoseconds.
    #[must_use]
    pub fn boottime(&self) -> i64 {
        HostClock::BOOTTIME.now().unwrap_or(0)
    }

    /// When CLOCK_MONOTONIC reaches `ns`; `None`: never within reach.
    #[must_use]
    pub fn at_monotonic(&self, ns: i64) -> Option<Instant> {
        let (origin, instant) = self.origin;
        match ns.checked_sub(origin) {
            Some(after) if after >= 0 => instant.checked_add(Duration::from_nanos(after.unsigned_abs())),
            _ => Some(instant),
        }
    }

    /// When CLOCK_REALTIME reaches `ns`, if nobody sets it.
    #[must_use]
    pub fn at_realtime(&self, ns: i64) -> Option<Instant> {
        self.after(HostClock::REALTIME, ns)
    }

    /// The timer thread's queue.
    #[must_use]
    pub fn timers(&self) -> &TimerQueue {
        &self.timers
    }

    fn after(&self, clock: HostClock, ns: i64) -> Option<Instant> {
        if clock == HostClock::MONOTONIC {
            return self.at_monotonic(ns);
        }
        let left = ns.saturating_sub(clock.now().unwrap_or(0)).max(0);
        Instant::now().checked_add(Duration::from_nanos(left.unsigned_abs()))
    }
}

impl Clock {
    /// CLOCK_MONOTONIC.
    pub const MONOTONIC: Self = Self::Host { clock: HostClock::MONOTONIC, kind: HostKind::Plain, offset: 0 };
    /// CLOCK_REALTIME.
    pub const REALTIME: Self = Self::Host { clock: HostClock::REALTIME, kind: HostKind::Plain, offset: 0 };

    /// CLOCK_MONOTONIC as the task's time namespace has it.
    #[must_use]
    pub fn monotonic_of(task: &CurrentTask) -> Self {
        let offset = task.namespaces().time.offsets().monotonic;
        Self::Host { clock: HostClock::MONOTONIC, kind: HostKind::Plain, offset }
    }

    /// The clock of a number from the application; `None` if there is none (EINVAL), also when it names the CPU time of a
    /// task that does not exist.
    #[must_use]
    pub fn resolve(task: &CurrentTask, id: i32) -> Option<Self> {
        let host = |clock, kind| Some(Self::Host { clock, kind, offset: 0 });
        let moved = |clock: HostClock, kind| {
            let offsets = task.namespaces().time.offsets();
            let offset = if clock == HostClock::BOOTTIME { offsets.boottime } else { offsets.monotonic };
            Some(Self::Host { clock, kind, offset })
        };
        match id {
            CLOCK_REALTIME => host(HostClock::REALTIME, HostKind::Plain),
            CLOCK_MONOTONIC => moved(HostClock::MONOTONIC, HostKind::Plain),
            CLOCK_BOOTTIME => moved(HostClock::BOOTTIME, HostKind::Plain),
            CLOCK_TAI => host(HostClock::TAI, HostKind::Plain),
            CLOCK_REALTIME_ALARM => host(HostClock::REALTIME, HostKind::Alarm),
            CLOCK_BOOTTIME_ALARM => moved(HostClock::BOOTTIME, HostKind::Alarm),
            CLOCK_MONOTONIC_RAW => moved(HostClock::MONOTONIC_RAW, HostKind::ReadOnly),
            CLOCK_REALTIME_COARSE => host(HostClock::REALTIME, HostKind::Coarse),
            CLOCK_MONOTONIC_COARSE => moved(HostClock::MONOTONIC, HostKind::Coarse),
            CLOCK_PROCESS_CPUTIME_ID => Some(Self::Process(Arc::downgrade(task.group()), CpuKind::All)),
            CLOCK_THREAD_CPUTIME_ID => Some(Self::Thread(Arc::downgrade(task), CpuKind::All)),
            _ => Self::resolve_cpu(task, id),
        }
    }

    /// A clock id made from a pid or tid (clock_getcpuclockid(3)).
    fn resolve_cpu(task: &CurrentTask, id: i32) -> Option<Self> {
        let (number, per_thread, which) = abi::time::cpu_clock_parts(id)?;
        let kind = match which {
            CPUCLOCK_VIRT => CpuKind::User,
            CPUCLOCK_PROF => CpuKind::All,
            _ => CpuKind::All,
        };
        let ns = task.pid_ns();
        if per_thread {
            let target = if number == 0 { Arc::clone(task) } else { ns.task(number)? };
            // Other processes' threads are none of one's business.
            Arc::ptr_eq(target.group(), task.group()).then(|| Self::Thread(Arc::downgrade(&target), kind))
        } else {
            let target = if number == 0 { Arc::clone(task.group()) } else { ns.group(number)? };
            Some(Self::Process(Arc::downgrade(&target), kind))
        }
    }

    /// Whether timers and sleeps can use it.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        !matches!(self, Self::Host { kind: HostKind::ReadOnly | HostKind::Coarse, .. })
    }

    /// Whether it is one of the ALARM clocks.
    #[must_use]
    pub fn is_alarm(&self) -> bool {
        matches!(self, Self::Host { kind: HostKind::Alarm, .. })
    }

    /// Whether it counts CPU time.
    #[must_use]
    pub fn is_cpu(&self) -> bool {
        !matches!(self, Self::Host { .. })
    }

    /// Nanoseconds since its zero; `None` if what it counts is gone.
    #[must_use]
    pub fn now(&self) -> Option<i64> {
        match self {
            Self::Host { clock, offset, .. } => Some(clock.now().ok()?.saturating_add(*offset)),
            Self::Process(group, kind) => Some(kind.of(group.upgrade()?.cpu_time())),
            Self::Thread(task, kind) => Some(kind.of(task.upgrade()?.cpu_time())),
        }
    }

    /// clock_getres(2), in nanoseconds.
    #[must_use]
    pub fn resolution(&self) -> i64 {
        match self {
            Self::Host { kind: HostKind::Coarse, .. } => COARSE_TICK,
            Self::Host { clock, .. } => clock.resolution().unwrap_or(1),
            Self::Process(..) | Self::Thread(..) => 1,
        }
    }

    /// How fast it may run: a CPU-time clock as fast as its threads on all CPUs. Takes locks of tasks.
    #[must_use]
    pub fn pace(&self) -> u32 {
        let Self::Process(group, _) = self else { return 1 };
        let Some(group) = group.upgrade() else { return 1 };
        u32::try_from(group.live_threads().clamp(1, group.kernel().cpus)).unwrap_or(1)
    }

    /// When it should be looked at to see it pass `at`; it is `now` on it, and it runs at `pace`. For a CPU clock an estimate,
    /// early rather than late. `None`: never.
    #[must_use]
    pub fn when(&self, clocks: &Clocks, now: i64, at: i64, pace: u32) -> Option<Instant> {
        if let Self::Host { clock, offset, .. } = self {
            return clocks.after(*clock, at.saturating_sub(*offset));
        }
        let left = Duration::from_nanos(at.saturating_sub(now).max(0).unsigned_abs()) / pace.max(1);
        Instant::now().checked_add(left.clamp(CPU_LOOK_MIN, CPU_LOOK_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_never_early() {
        let clocks = Clocks::new();
        let target = clocks.monotonic() + 2_000_000;
        let deadline = clocks.at_monotonic(target).expect("within reach");
        while Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(clocks.monotonic() >= target);
        assert!(clocks.at_monotonic(i64::MIN).is_some_and(|at| at <= Instant::now()));
        assert!(clocks.at_realtime(0).is_some_and(|at| at <= Instant::now()));
    }
}
