//! Clocks of the host: wall time, time since boot, and the CPU time of a thread of ours or of a stub.

use std::time::Duration;

use abi::Errno;
use nix::time::ClockId;

/// A clock of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Clock(i32);

impl Clock {
    /// CLOCK_REALTIME.
    pub const REALTIME: Self = Self(libc::CLOCK_REALTIME);
    /// CLOCK_MONOTONIC; what [`std::time::Instant`] counts.
    pub const MONOTONIC: Self = Self(libc::CLOCK_MONOTONIC);
    /// CLOCK_MONOTONIC_RAW.
    pub const MONOTONIC_RAW: Self = Self(libc::CLOCK_MONOTONIC_RAW);
    /// CLOCK_BOOTTIME.
    pub const BOOTTIME: Self = Self(libc::CLOCK_BOOTTIME);
    /// CLOCK_TAI.
    pub const TAI: Self = Self(libc::CLOCK_TAI);
    /// CPU time of the calling thread.
    pub const THREAD_CPU: Self = Self(libc::CLOCK_THREAD_CPUTIME_ID);
    /// CPU time of this process.
    pub const PROCESS_CPU: Self = Self(libc::CLOCK_PROCESS_CPUTIME_ID);

    /// CPU time of one host thread.
    #[must_use]
    pub const fn of_thread(tid: i32) -> Self {
        Self(abi::time::cpu_clock(tid, true, abi::time::CPUCLOCK_SCHED))
    }

    /// CPU time of all threads of a host process.
    #[must_use]
    pub const fn of_process(pid: i32) -> Self {
        Self(abi::time::cpu_clock(pid, false, abi::time::CPUCLOCK_SCHED))
    }

    /// Nanoseconds since the clock's zero. Fails for a thread that is gone, and for a clock the host has not.
    pub fn now(self) -> Result<i64, Errno> {
        let time = ClockId::from_raw(self.0).now().map_err(errno)?;
        Ok(time.tv_sec().saturating_mul(abi::time::NSEC_PER_SEC).saturating_add(time.tv_nsec()))
    }

    /// The time as a duration; zero where [`Self::now`] fails.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Duration::from_nanos(self.now().ok().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0))
    }

    /// Nanoseconds between two values of the clock.
    pub fn resolution(self) -> Result<i64, Errno> {
        let time = ClockId::from_raw(self.0).res().map_err(errno)?;
        Ok(time.tv_sec().saturating_mul(abi::time::NSEC_PER_SEC).saturating_add(time.tv_nsec()))
    }
}

/// The host's number of the calling thread.
#[must_use]
pub fn thread_id() -> i32 {
    nix::unistd::gettid().as_raw()
}

/// The host CPU that the calling thread runs on.
#[must_use]
pub fn current_cpu() -> u32 {
    nix::sched::sched_getcpu().ok().and_then(|cpu| u32::try_from(cpu).ok()).unwrap_or(0)
}

fn errno(e: nix::errno::Errno) -> Errno {
    Errno::from_raw(e as i32)
}

#[cfg(test)]
mod tests {
    use super::{Clock, thread_id};

    #[test]
    fn clocks_advance_and_threads_have_their_own() {
        let before = Clock::MONOTONIC.now().expect("every host has it");
        assert!(Clock::MONOTONIC.now().expect("every host has it") >= before);
        let cpu = Clock::of_thread(thread_id());
        let used = cpu.now().expect("the thread runs");
        assert!(used <= Clock::THREAD_CPU.now().expect("the thread runs"));
        assert!(Clock::of_thread(0x0fff_ffff).now().is_err());
        assert!(Clock::REALTIME.resolution().expect("every host has it") >= 1);
    }
}
