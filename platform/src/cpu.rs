//! How much CPU time application code has used.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use host::clock::Clock;

/// Reads the CPU time that the application code of one context has used since the context was made, whichever stubs or
/// virtual CPUs ran it. Cheap to clone, readable from any thread, never going back.
#[derive(Clone, Default)]
pub struct CpuMeter(Option<Arc<dyn Fn() -> Duration + Send + Sync>>);

impl CpuMeter {
    /// A meter that asks `read`.
    #[must_use]
    pub fn new(read: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(read)))
    }

    /// The time so far; zero where the platform cannot tell.
    #[must_use]
    pub fn read(&self) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |read| read())
    }
}

impl Debug for CpuMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CpuMeter({:?})", self.read())
    }
}

/// Adds up the CPU time of the host threads that run one context, one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostThreads(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// The thread that runs it now; 0 for none.
    thread: AtomicI32,
    /// What that thread had used when it began, in nanoseconds.
    base: AtomicU64,
    /// What earlier threads used for it, in nanoseconds.
    past: AtomicU64,
}

impl HostThreads {
    /// A host thread runs the context from now on.
    pub(crate) fn enter(&self, thread: i32) {
        self.0.base.store(used_by(thread), Ordering::Relaxed);
        self.0.thread.store(thread, Ordering::Release);
    }

    /// It does so no more; to be said while the thread is still there.
    pub(crate) fn leave(&self) {
        let used = self.0.current();
        self.0.thread.store(0, Ordering::Release);
        self.0.past.fetch_add(used, Ordering::Release);
    }

    /// Reads the sum.
    pub(crate) fn meter(&self) -> CpuMeter {
        let counted = Arc::clone(&self.0);
        CpuMeter::new(move || {
            let past = counted.past.load(Ordering::Acquire);
            Duration::from_nanos(past.saturating_add(counted.current()))
        })
    }
}

impl Counted {
    fn current(&self) -> u64 {
        match self.thread.load(Ordering::Acquire) {
            0 => 0,
            thread => used_by(thread).saturating_sub(self.base.load(Ordering::Relaxed)),
        }
    }
}

/// CPU time of a host thread, in nanoseconds. The host tells a thread's time only inside its process; a stub is a process of
/// one thread, whose time it tells to everybody.
fn used_by(thread: i32) -> u64 {
    let time = Clock::of_thread(thread).now().or_else(|_| Clock::of_process(thread).now());
    time.ok().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_several_threads_adds_up() {
        let threads = HostThreads::default();
        let meter = threads.meter();
        assert_eq!(meter.read(), Duration::ZERO);
        threads.enter(host::clock::thread_id());
        let end = Clock::THREAD_CPU.elapsed() + Duration::from_millis(2);
        while Clock::THREAD_CPU.elapsed() < end {}
        assert!(meter.read() >= Duration::from_millis(2));
        threads.leave();
        let sum = meter.read();
        assert!(sum >= Duration::from_millis(2));
        threads.enter(host::clock::thread_id());
        assert!(meter.read() >= sum);
    }
}
