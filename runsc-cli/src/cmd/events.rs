//! `events`: what a container uses, once or again and again, and when it runs out of memory. A line of JSON each, as runc's.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use control::{ContainerStats, Status};
use serde_json::{Value, json};

use crate::cgroup;
use crate::cli::Global;
use crate::sandbox::control::Control;
use crate::state::Root;
use crate::state::record::Record;

/// Whose events.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// How long between two looks: 5s, 500ms, 1m
    #[arg(long, default_value = "5s", value_name = "DURATION")]
    interval: String,
    /// Print what it uses now, and nothing more
    #[arg(long)]
    stats: bool,
    /// Its name
    #[arg(value_name = "CONTAINER-ID")]
    id: String,
}

pub(crate) fn main(global: &Global, args: &EventsArgs) -> Result<u8> {
    let interval = parse_duration(&args.interval)?;
    if interval.is_zero() {
        bail!("duration interval must be greater than 0");
    }
    let root = Root::new(global.root.as_deref())?;
    let record = root.read(&args.id)?;
    if record.status() == Status::Stopped {
        bail!("container with id {} is not running", args.id);
    }
    let control = Control::connect(&root, &record)?;
    let stats = control.stats(&args.id)?;
    print(&event("stats", &args.id, Some(describe(&record, &stats))))?;
    if args.stats {
        return Ok(0);
    }
    let mut seen = stats.oom_kills;
    let mut next = Instant::now() + interval;
    // A connection of its own, since nothing else is answered on it meanwhile.
    let watch = Control::connect(&root, &record)?;
    watch.watch_oom(&args.id, seen)?;
    loop {
        let left = next.saturating_duration_since(Instant::now());
        if left.is_zero() {
            next += interval;
            match control.stats(&args.id) {
                Ok(stats) => print(&event("stats", &args.id, Some(describe(&record, &stats))))?,
                Err(_) => return Ok(0),
            };
            continue;
        }
        match watch.told_oom(left)? {
            Some(stats) if stats.oom_kills > seen => {
                seen = stats.oom_kills;
                print(&event("oom", &args.id, None))?;
                watch.watch_oom(&args.id, seen)?;
            }
            Some(_) => return Ok(0),
            None => {}
        }
    }
}

fn print(event: &Value) -> Result<u8> {
    super::print(&format!("{event}\n"))
}

fn event(kind: &str, id: &str, data: Option<Value>) -> Value {
    let mut event = json!({ "type": kind, "id": id });
    if let (Some(data), Some(fields)) = (data, event.as_object_mut()) {
        fields.insert("data".into(), data);
    }
    event
}

/// The structure of runc's `events`. CPU time is the host's where the container has a cgroup: it counts our own work for it.
fn describe(record: &Record, stats: &ContainerStats) -> Value {
    let host = match record.pod {
        // The processes of its tasks are in the pod's cgroup.
        Some(_) => cgroup::usage::Usage::default(),
        None => cgroup::usage::read(&record.cgroups.directories),
    };
    let user = host.cpu_user.unwrap_or(stats.cpu_user);
    let kernel = host.cpu_system.unwrap_or(stats.cpu_system);
    let memory = host.memory.unwrap_or(stats.memory);
    let limit = stats.memory_limit.unwrap_or(u64::MAX);
    json!({
        "cpu": {
            "usage": { "total": host.cpu.unwrap_or(user + kernel), "kernel": kernel, "user": user },
            "throttling": { "periods": host.periods, "throttledPeriods": host.throttled, "throttledTime": host.throttled_time },
        },
        "cpuset": {},
        "memory": {
            "cache": host.cache,
            "usage": { "limit": limit, "usage": memory, "max": host.memory_peak.unwrap_or(memory), "failcnt": stats.oom_kills },
            "swap": { "limit": 0, "usage": host.swap, "failcnt": 0 },
            "raw": { "oom_kill": stats.oom_kills, "total_inactive_file": host.inactive_file },
        },
        "pids": { "current": stats.processes, "limit": stats.processes_limit.unwrap_or_default() },
        "blkio": {},
        "hugetlb": {},
        "intel_rdt": {},
        "network_interfaces": null,
    })
}

/// Go's durations, as far as they make sense here.
fn parse_duration(text: &str) -> Result<Duration> {
    let units: [(&str, f64); 5] = [("ms", 0.001), ("us", 0.000_001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let parsed = units.iter().find_map(|(unit, seconds)| {
        let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Duration::try_from_secs_f64(number * seconds).ok()
    });
    parsed.with_context(|| format!("invalid duration {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("5s").unwrap(), Duration::from_secs(5));
        assert_eq!(parse_duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(parse_duration("1.5m").unwrap(), Duration::from_secs(90));
        for text in ["", "5", "s", "-1s", "1e400s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
