//! `update`: other limits for a running container, in the host's cgroups and in its kernel.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use control::Status;
use control::spec::Limits;
use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value, json};

use crate::cli::Global;
use crate::sandbox::control::Control;
use crate::state::Root;

/// What to change.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// A JSON file with resources as in config.json, or - for standard input; other flags are ignored then
    #[arg(short, long, value_name = "FILE")]
    resources: Option<PathBuf>,
    /// Relative share of block I/O, 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<u16>,
    /// Microseconds of CPU time in a period
    #[arg(long, value_name = "US", allow_negative_numbers = true)]
    cpu_quota: Option<i64>,
    /// The period in microseconds
    #[arg(long, value_name = "US")]
    cpu_period: Option<u64>,
    /// Microseconds of CPU time that may be saved up
    #[arg(long, value_name = "US")]
    cpu_burst: Option<u64>,
    /// Relative share of CPU time
    #[arg(long, visible_alias = "cpu-shares", value_name = "SHARES")]
    cpu_share: Option<u64>,
    /// Microseconds of real-time CPU time in a period
    #[arg(long, value_name = "US", allow_negative_numbers = true)]
    cpu_rt_runtime: Option<i64>,
    /// That period in microseconds
    #[arg(long, value_name = "US")]
    cpu_rt_period: Option<u64>,
    /// SCHED_IDLE for all
    #[arg(long, value_name = "0|1")]
    cpu_idle: Option<i64>,
    /// CPUs to run on
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Most memory, in bytes or with k, m, g; -1 for any
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    memory: Option<String>,
    /// Memory it should keep under pressure
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    memory_reservation: Option<String>,
    /// Most memory and swap together
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    memory_swap: Option<String>,
    /// Most tasks; -1 for any number
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pids_limit: Option<i64>,
    /// Accepted and ignored: no such limit in kernels of today
    #[arg(long, hide = true)]
    kernel_memory: Option<String>,
    /// Accepted and ignored: no such limit in kernels of today
    #[arg(long, hide = true)]
    kernel_memory_tcp: Option<String>,
    /// Its name
    #[arg(value_name = "CONTAINER-ID")]
    id: String,
}

pub(crate) fn main(global: &Global, args: &UpdateArgs) -> Result<u8> {
    let root = Root::new(global.root.as_deref())?;
    let locked = root.lock(&args.id)?;
    let record = locked.read()?;
    if matches!(record.status(), Status::Stopped | Status::Creating) {
        bail!("cannot update a container that is {}", record.status().as_str());
    }
    let resources = match &args.resources {
        Some(path) => read(path)?,
        None => of_flags(args)?,
    };
    let limits = changed(&resources);
    // Less memory: the kernel makes room before the host would kill. More: the host first.
    let control = Control::connect(&root, &record)?;
    let current = control.stats(&args.id)?;
    let less = limits.memory.is_some_and(|new| current.memory_limit.is_none_or(|old| new < old));
    if less {
        control.update(&args.id, limits)?;
    }
    record.cgroups.update(&resources).context("cannot change the limits of the cgroup")?;
    if !less {
        control.update(&args.id, limits)?;
    }
    Ok(0)
}

fn read(path: &PathBuf) -> Result<LinuxResources> {
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin().take(1 << 20).read_to_string(&mut text).context("cannot read standard input")?;
    } else {
        text = std::fs::read_to_string(path).with_context(|| format!("open {}", path.display()))?;
    }
    serde_json::from_str(&text).context("invalid resources")
}

/// The resources that the flags spell.
fn of_flags(args: &UpdateArgs) -> Result<LinuxResources> {
    let section = |fields: Vec<(&str, Option<Value>)>| -> Option<Value> {
        let set: Map<_, _> = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        (!set.is_empty()).then_some(Value::Object(set))
    };
    let bytes = |text: &Option<String>| text.as_deref().map(parse_bytes).transpose().map(|n| n.map(|n| json!(n)));
    let memory = section(vec![
        ("limit", bytes(&args.memory)?),
        ("reservation", bytes(&args.memory_reservation)?),
        ("swap", bytes(&args.memory_swap)?),
    ]);
    let cpu = section(vec![
        ("shares", args.cpu_share.map(|v| json!(v))),
        ("quota", args.cpu_quota.map(|v| json!(v))),
        ("period", args.cpu_period.map(|v| json!(v))),
        ("burst", args.cpu_burst.map(|v| json!(v))),
        ("realtimeRuntime", args.cpu_rt_runtime.map(|v| json!(v))),
        ("realtimePeriod", args.cpu_rt_period.map(|v| json!(v))),
        ("idle", args.cpu_idle.map(|v| json!(v))),
        ("cpus", args.cpuset_cpus.as_ref().map(|v| json!(v))),
        ("mems", args.cpuset_mems.as_ref().map(|v| json!(v))),
    ]);
    let all = section(vec![
        ("memory", memory),
        ("cpu", cpu),
        ("pids", args.pids_limit.map(|limit| json!({ "limit": limit }))),
        ("blockIO", args.blkio_weight.map(|weight| json!({ "weight": weight }))),
    ]);
    serde_json::from_value(all.unwrap_or_else(|| json!({}))).context("invalid resources")
}

/// `64m`, `1g`, `-1`.
fn parse_bytes(text: &str) -> Result<i64> {
    let lower = text.trim().to_ascii_lowercase();
    let stem = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, shift) = match stem.chars().last() {
        Some('k') => (stem.strip_suffix('k'), 10),
        Some('m') => (stem.strip_suffix('m'), 20),
        Some('g') => (stem.strip_suffix('g'), 30),
        Some('t') => (stem.strip_suffix('t'), 40),
        _ => (Some(stem), 0),
    };
    let number: Option<i64> = digits.and_then(|digits| digits.parse().ok());
    let bytes = number.and_then(|n| n.checked_mul(1 << shift));
    bytes.with_context(|| format!("invalid value {text:?}: bytes, or a number with k, m or g"))
}

/// What changes in the kernel: what is zero or absent stays, what is negative is unlimited.
fn changed(resources: &LinuxResources) -> Limits {
    let limit = |value: Option<i64>| match value {
        None | Some(0) => None,
        Some(value) => Some(u64::try_from(value).unwrap_or(u64::MAX)),
    };
    Limits {
        memory: limit(resources.memory().as_ref().and_then(oci_spec::runtime::LinuxMemory::limit)),
        pids: limit(resources.pids().as_ref().map(oci_spec::runtime::LinuxPids::limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [("64m", 64 << 20), ("1G", 1 << 30), ("4096", 4096), ("-1", -1), ("2kb", 2048)] {
            assert_eq!(parse_bytes(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "m", "1x", "9999999999g"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn zero_changes_nothing_and_negative_is_no_limit() {
        let resources = serde_json::from_value(json!({ "memory": { "limit": 0 }, "pids": { "limit": -1 } })).unwrap();
        assert_eq!(changed(&resources), Limits { memory: None, pids: Some(u64::MAX) });
    }
}
