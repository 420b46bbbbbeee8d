//! What tasks have used: CPU time, faults, context switches (getrusage(2), times(2), CPU-time clocks).

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

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
}

impl TaskClocks {
    pub(super) fn new(user: CpuMeter) -> Self {
        Self { user, kernel_thread: AtomicI32::new(0), kernel_base: AtomicU64::new(0) }
    }

    /// The calling thread begins to run the task.
    pub(super) fn start(&self) {
        self.kernel_base.store(nanos(Clock::THREAD_CPU.elapsed()), Ordering::Relaxed);
        self.kernel_thread.store(host::clock::thread_id(), Ordering::Release);
    }

    /// The calling thread runs it no more.
    pub(super) fn stop(&self) {
        let used = nanos(self.sys());
        self.kernel_thread.store(0, Ordering::Release);
        self.kernel_base.store(used, Ordering::Release);
    }

    /// CPU time of its kernel thread.
    pub(super) fn sys(&self) -> Duration {
        let base = Duration::from_nanos(self.kernel_base.load(Ordering::Acquire));
        match self.kernel_thread.load(Ordering::Acquire) {
            0 => base,
            tid => Clock::of_thread(tid).elapsed().saturating_sub(base),
        }
    }
}

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
