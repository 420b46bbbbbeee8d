//! What the host's cgroups say that a container uses: its sandbox and gofer together.

use std::fs;
use std::path::{Path, PathBuf};

/// What could be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// CPU time in nanoseconds.
    pub(crate) cpu: Option<u64>,
    /// Of it outside the host's kernel.
    pub(crate) cpu_user: Option<u64>,
    /// Of it in the host's kernel.
    pub(crate) cpu_system: Option<u64>,
    /// Periods in which CPU time was limited.
    pub(crate) periods: u64,
    /// Of them used up.
    pub(crate) throttled: u64,
    /// Nanoseconds spent waiting for the next.
    pub(crate) throttled_time: u64,
    /// Memory in bytes.
    pub(crate) memory: Option<u64>,
    /// The most it was.
    pub(crate) memory_peak: Option<u64>,
    /// Swap in bytes.
    pub(crate) swap: u64,
    /// The page cache.
    pub(crate) cache: u64,
    /// The part of the page cache that is not in use.
    pub(crate) inactive_file: u64,
}

/// USER_HZ: what v1 counts CPU time in.
const TICK: u64 = 10_000_000;
const MICROSECOND: u64 = 1000;

/// Reads what the cgroups of a container say; what is not there is left out.
pub(crate) fn read(directories: &[PathBuf]) -> Usage {
    let mut usage = Usage::default();
    for directory in directories {
        // Version 1, whichever controllers this hierarchy has.
        set(&mut usage.cpu, number(directory, "cpuacct.usage"));
        set(&mut usage.cpu_user, field(directory, "cpuacct.stat", "user").map(|ticks| ticks.saturating_mul(TICK)));
        set(&mut usage.cpu_system, field(directory, "cpuacct.stat", "system").map(|ticks| ticks.saturating_mul(TICK)));
        set(&mut usage.memory, number(directory, "memory.usage_in_bytes"));
        set(&mut usage.memory_peak, number(directory, "memory.max_usage_in_bytes"));
        usage.cache = field(directory, "memory.stat", "total_cache").unwrap_or(usage.cache);
        usage.inactive_file = field(directory, "memory.stat", "total_inactive_file").unwrap_or(usage.inactive_file);
        usage.throttled_time = field(directory, "cpu.stat", "throttled_time").unwrap_or(usage.throttled_time);
        // Both.
        usage.periods = field(directory, "cpu.stat", "nr_periods").unwrap_or(usage.periods);
        usage.throttled = field(directory, "cpu.stat", "nr_throttled").unwrap_or(usage.throttled);
        // Version 2.
        let microseconds = |name| field(directory, "cpu.stat", name).map(|n| n.saturating_mul(MICROSECOND));
        set(&mut usage.cpu, microseconds("usage_usec"));
        set(&mut usage.cpu_user, microseconds("user_usec"));
        set(&mut usage.cpu_system, microseconds("system_usec"));
        usage.throttled_time = microseconds("throttled_usec").unwrap_or(usage.throttled_time);
        set(&mut usage.memory, number(directory, "memory.current"));
        set(&mut usage.memory_peak, number(directory, "memory.peak"));
        usage.swap = number(directory, "memory.swap.current").unwrap_or(usage.swap);
        usage.cache = field(directory, "memory.stat", "file").unwrap_or(usage.cache);
        usage.inactive_file = field(directory, "memory.stat", "inactive_file").unwrap_or(usage.inactive_file);
    }
    usage
}

fn set(place: &mut Option<u64>, value: Option<u64>) {
    if value.is_some() {
        *place = value;
    }
}

fn number(directory: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(directory.join(file)).ok()?.trim().parse().ok()
}

fn field(directory: &Path, file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(directory.join(file)).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_two_is_understood() {
        let directory = std::env::temp_dir().join(format!("runsc-rs-usage-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("cpu.stat"), "usage_usec 7\nuser_usec 4\nsystem_usec 3\nnr_periods 2\n").unwrap();
        fs::write(directory.join("memory.current"), "4096\n").unwrap();
        let usage = read(std::slice::from_ref(&directory));
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!((usage.cpu, usage.cpu_user, usage.cpu_system), (Some(7000), Some(4000), Some(3000)));
        assert_eq!((usage.memory, usage.periods, usage.memory_peak), (Some(4096), 2, None));
    }
}
