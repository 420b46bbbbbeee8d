//! Numbers of a container in containerd's type for them, that of cgroups version 1.

use containerd_shim::Error;
use containerd_shim::protos::cgroups::metrics::{
    CPUStat, CPUUsage, MemoryEntry, MemoryOomControl, MemoryStat, Metrics, PidsStat, Throttle,
};
use containerd_shim::protos::protobuf::Message;
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use serde_json::Value;

/// The type's name in an Any.
const METRICS: &str = "io.containerd.cgroups.v1.Metrics";

/// Makes the message from a line of `events --stats`.
pub(crate) fn of_event(line: &str) -> Result<Any, Error> {
    let event: Value = serde_json::from_str(line)?;
    let number = |path: &str| event.pointer(&format!("/data{path}")).and_then(Value::as_u64).unwrap_or_default();
    let mut metrics = Metrics::new();
    metrics.pids =
        Some(PidsStat { current: number("/pids/current"), limit: number("/pids/limit"), ..PidsStat::default() }).into();
    let usage = CPUUsage {
        total: number("/cpu/usage/total"),
        kernel: number("/cpu/usage/kernel"),
        user: number("/cpu/usage/user"),
        ..CPUUsage::default()
    };
    let throttling = Throttle {
        periods: number("/cpu/throttling/periods"),
        throttled_periods: number("/cpu/throttling/throttledPeriods"),
        throttled_time: number("/cpu/throttling/throttledTime"),
        ..Throttle::default()
    };
    metrics.cpu =
        Some(CPUStat { usage: Some(usage).into(), throttling: Some(throttling).into(), ..CPUStat::default() }).into();
    let memory = number("/memory/usage/usage");
    let cache = number("/memory/cache");
    let inactive = number("/memory/raw/total_inactive_file");
    metrics.memory = Some(MemoryStat {
        cache,
        total_cache: cache,
        rss: memory.saturating_sub(cache),
        total_rss: memory.saturating_sub(cache),
        inactive_file: inactive,
        total_inactive_file: inactive,
        hierarchical_memory_limit: number("/memory/usage/limit"),
        usage: Some(MemoryEntry {
            limit: number("/memory/usage/limit"),
            usage: memory,
            max: number("/memory/usage/max"),
            failcnt: number("/memory/usage/failcnt"),
            ..MemoryEntry::default()
        })
        .into(),
        swap: Some(MemoryEntry { usage: number("/memory/swap/usage"), ..MemoryEntry::default() }).into(),
        ..MemoryStat::default()
    })
    .into();
    metrics.memory_oom_control =
        Some(MemoryOomControl { oom_kill: number("/memory/raw/oom_kill"), ..MemoryOomControl::default() }).into();
    Ok(Any { type_url: METRICS.into(), value: metrics.write_to_bytes()?, ..Any::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_arrive() {
        let line = r#"{"type":"stats","id":"x","data":{"cpu":{"usage":{"total":7}},
            "memory":{"usage":{"usage":4096,"limit":18446744073709551615}},"pids":{"current":3}}}"#;
        let any = of_event(line).unwrap();
        let metrics = Metrics::parse_from_bytes(&any.value).unwrap();
        assert_eq!((metrics.cpu.usage.total, metrics.pids.current), (7, 3));
        assert_eq!((metrics.memory.usage.usage, metrics.memory.usage.limit), (4096, u64::MAX));
    }
}
