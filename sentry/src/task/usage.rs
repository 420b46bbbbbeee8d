//! What tasks have used: CPU time, faults, context switches (getrusage(2), times(2), CPU-time clocks).

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use host::clock::Clock;
use platform::CpuMeter;
use sync::Mutex;

use crate::lock_order::Leaf;

/// CPU time, in the application and in the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// Running application code.
    pub user: Duration,
    /// Running system calls.
    pub sys: Duration,
}

impl CpuTime {
    /// Both together.
    #[must_use]
    pub fn total(self) -> Duration {
        self.user + self.sys
    }
}

impl std::ops::Add for CpuTime {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { user: self.user + other.user, sys: self.sys + other.sys }
    }
}

/// What was used, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time.
    pub cpu: CpuTime,
    /// Page faults that the kernel resolved without I/O.
    pub minor_faults: u64,
    /// Page faults that needed I/O.
    pub major_faults: u64,
    /// Waits.
    pub voluntary_switches: u64,
    /// Largest resident set, in bytes.
    pub max_rss: u64,
}

impl Usage {
    /// Adds what a thread or child used; the largest resident set counts, not the sum.
    pub fn add(&mut self, other: &Self) {
        self.cpu = self.cpu + other.cpu;
        self.minor_faults += other.minor_faults;
        self.major_faults += other.major_faults;
        self.voluntary_switches += other.voluntary_switches;
        self.max_rss = self.max_rss.max(other.max_rss);
    }
}

/// Counters of one thread, written by it alone. CPU time comes from the clocks of the host threads that run it.
#[derive(Debug, Default)]
pub struct TaskUsage {
    minor_faults: AtomicU64,
    voluntary_switches: AtomicU64,
}

impl TaskUsage {
    /// A fault was resolved.
    pub fn count_fault(&self) {
        bump(&self.minor_faults);
    }

    /// The thread went to sleep.
    pub fn count_switch(&self) {
        bump(&self.voluntary_switches);
    }

    pub(super) fn sum(&self, cpu: CpuTime, max_rss: u64) -> Usage {
        Usage {
            cpu,
            minor_faults: self.minor_faults.load(Ordering::Relaxed),
            major_faults: 0,
            voluntary_switches: self.voluntary_switches.load(Ordering::Relaxed),
            max_rss,
        }
    }
}

/// The clocks of the host threads that run a task.
#[derive(Debug)]
pub(super) struct TaskClocks {
    /// Of its application code.
    pub(super) user: CpuMeter,
    /// The host's number of its kernel thread; 0 before it starts and after it ended.
    kernel_thread: AtomicI32,
    /// What that thread had used before the task ran on it, in nanoseconds; after its end, what the task used of it.
    kernel_base: AtomicU64,
    /// Ticks of the time stamp counter that the thread spent on system calls and faults, awake.
    call_ticks: AtomicU64,
    /// The counter when the thread last came out of application code or of sleep; 0 while it is in either.
    since: AtomicU64,
    /// CPU time of the kernel thread that went into running application code, as far as anybody asked, in nanoseconds.
    hand_over: AtomicU64,
}

impl TaskClocks {
    pub(super) fn new(user: CpuMeter) -> Self {
        Self {
            user,
            kernel_thread: AtomicI32::new(0),
            kernel_base: AtomicU64::new(0),
            call_ticks: AtomicU64::new(0),
            since: AtomicU64::new(0),
            hand_over: AtomicU64::new(0),
        }
    }

    /// The calling thread begins to run the task.
    pub(super) fn start(&self) {
        self.kernel_base.store(nanos(Clock::THREAD_CPU.elapsed()), Ordering::Relaxed);
        self.kernel_thread.store(host::clock::thread_id(), Ordering::Release);
        LazyLock::force(&ORIGIN);
        self.resume();
    }

    /// The thread begins to work on a system call or fault.
    pub(super) fn resume(&self) {
        self.since.store(host::tsc::now(), Ordering::Relaxed);
    }

    /// The thread runs application code, or sleeps.
    pub(super) fn pause(&self) {
        let since = self.since.load(Ordering::Relaxed);
        self.since.store(0, Ordering::Relaxed);
        let ticks = self.call_ticks.load(Ordering::Relaxed) + host::tsc::now().saturating_sub(since);
        self.call_ticks.store(ticks, Ordering::Relaxed);
    }

    /// The calling thread runs it no more.
    pub(super) fn stop(&self) {
        let used = nanos(self.kernel());
        self.kernel_thread.store(0, Ordering::Release);
        self.kernel_base.store(used, Ordering::Release);
    }

    /// What the task has used. The platform's share of running application code (switching to it and back) counts as the
    /// application's: what its kernel thread uses beyond the time it spends on calls.
    pub(super) fn read(&self) -> CpuTime {
        let kernel = self.kernel();
        let beyond = nanos(kernel.saturating_sub(self.on_calls()));
        // Time that another thread took from us counts as spent on a call; what was counted once stays counted.
        let hand_over = Duration::from_nanos(self.hand_over.fetch_max(beyond, Ordering::Relaxed).max(beyond));
        CpuTime { user: self.user.read() + hand_over, sys: kernel.saturating_sub(hand_over) }
    }

    /// Time spent on system calls and faults, awake.
    fn on_calls(&self) -> Duration {
        let now = host::tsc::now();
        let current = match self.since.load(Ordering::Relaxed) {
            0 => 0,
            since => now.saturating_sub(since),
        };
        let ticks = u128::from(self.call_ticks.load(Ordering::Relaxed) + current);
        let (tsc, instant) = *ORIGIN;
        let rate = (instant.elapsed().as_nanos(), u128::from(now.saturating_sub(tsc).max(1)));
        Duration::from_nanos(u64::try_from(ticks * rate.0 / rate.1).unwrap_or(u64::MAX))
    }

    /// CPU time of its kernel thread.
    fn kernel(&self) -> Duration {
        let base = Duration::from_nanos(self.kernel_base.load(Ordering::Acquire));
        match self.kernel_thread.load(Ordering::Acquire) {
            0 => base,
            tid => Clock::of_thread(tid).elapsed().saturating_sub(base),
        }
    }
}

/// Counter and clock at one moment long enough ago to know the counter's rate.
static ORIGIN: LazyLock<(u64, Instant)> = LazyLock::new(|| (host::tsc::now(), Instant::now()));

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A counter with one writer needs no read-modify-write.
fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// What a process keeps of threads and children that are gone.
#[derive(Debug, Default)]
pub struct GroupUsage {
    /// Threads that ended.
    pub(super) dead_threads: Mutex<Usage, Leaf>,
    /// Children that were waited for, and theirs.
    pub(super) children: Mutex<Usage, Leaf>,
}
