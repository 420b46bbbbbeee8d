//! What a unit is told: its limits, and what annotations ask for.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use oci_spec::runtime::{LinuxCpu, LinuxResources};

use super::message::{Property, Value};
use crate::cgroup::v2::weight_of_shares;
use crate::cgroup::{host_task_limit, v2};

/// Annotations that begin so name properties, with values as GVariant's text format writes them.
const ANNOTATION: &str = "org.systemd.property.";

/// The limits as properties, so that systemd does not take them away when it looks at the unit again. What it has no
/// property for is written to the cgroup alone.
pub(super) fn of_resources(resources: &LinuxResources, unified: bool) -> Result<Vec<Property>> {
    let mut all = Vec::new();
    let mut set = |name: &str, value: Value| all.push((name.to_owned(), value));
    // -1 is no limit, which systemd writes as the largest number.
    let size = |value: Option<i64>| value.filter(|value| *value != 0).map(|value| Value::Uint64(value.cast_unsigned()));
    if let Some(memory) = resources.memory() {
        if let Some(limit) = size(memory.limit()) {
            set(if unified { "MemoryMax" } else { "MemoryLimit" }, limit);
        }
        if unified {
            if let Some(low) = size(memory.reservation()) {
                set("MemoryLow", low);
            }
            if let Some(swap) = size(v2::swap_alone(memory)) {
                set("MemorySwapMax", swap);
            }
        }
    }
    if let Some(cpu) = resources.cpu() {
        if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
            let weight = if unified { weight_of_shares(shares) } else { shares };
            set(if unified { "CPUWeight" } else { "CPUShares" }, Value::Uint64(weight));
        }
        if let Some((quota, period)) = cpu_quota(cpu) {
            set("CPUQuotaPerSecUSec", Value::Uint64(quota));
            if let Some(period) = period {
                set("CPUQuotaPeriodUSec", Value::Uint64(period));
            }
        }
        for (name, list) in [("AllowedCPUs", cpu.cpus()), ("AllowedMemoryNodes", cpu.mems())] {
            if let Some(list) = list.as_ref().filter(|list| unified && !list.is_empty()) {
                set(name, Value::Bytes(bits(list)?));
            }
        }
    }
    if let Some(limit) = resources.pids().as_ref().map(oci_spec::runtime::LinuxPids::limit).filter(|limit| *limit != 0)
    {
        set("TasksMax", Value::Uint64(host_task_limit(limit).unwrap_or(u64::MAX)));
    }
    if let Some(weight) = resources.block_io().as_ref().and_then(oci_spec::runtime::LinuxBlockIo::weight)
        && weight != 0
    {
        let weight = if unified { v2::weight_of_io(weight) } else { u64::from(weight) };
        set(if unified { "IOWeight" } else { "BlockIOWeight" }, Value::Uint64(weight));
    }
    Ok(all)
}

/// What annotations add.
pub(super) fn of_annotations(annotations: Option<&HashMap<String, String>>) -> Result<Vec<Property>> {
    let named = annotations.into_iter().flatten().filter_map(|(key, text)| Some((key.strip_prefix(ANNOTATION)?, text)));
    let mut all: Vec<_> = named
        .map(|(name, text)| {
            let valid = name.len() >= 3 && name.bytes().all(|byte| byte.is_ascii_alphabetic());
            let value = parse(text).filter(|_| valid);
            let value = value.with_context(|| format!("annotation {ANNOTATION}{name}={text} is not a property"))?;
            // systemd's own files have seconds; the bus has microseconds only.
            Ok(match (name.strip_suffix("Sec"), seconds(&value)) {
                (Some(stem), Some(seconds)) => (format!("{stem}USec"), Value::Uint64(seconds)),
                _ => (name.to_owned(), value),
            })
        })
        .collect::<Result<_>>()?;
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

/// Microseconds of CPU time in a second, in steps of ten thousand, and of a period.
fn cpu_quota(cpu: &LinuxCpu) -> Option<(u64, Option<u64>)> {
    const SECOND: u64 = 1_000_000;
    const STEP: u64 = 10_000;
    const PERIOD: u64 = 100_000;
    let quota = cpu.quota().filter(|quota| *quota != 0);
    let period = cpu.period().filter(|period| *period != 0);
    let per_second = match quota {
        None => return None,
        Some(quota) => u64::try_from(quota).map_or(u64::MAX, |quota| {
            let exact = u128::from(quota) * u128::from(SECOND) / u128::from(period.unwrap_or(PERIOD));
            u64::try_from(exact).unwrap_or(u64::MAX).div_ceil(STEP).saturating_mul(STEP)
        }),
    };
    Some((per_second, period))
}

/// A list as of cpuset(7), `0-2,7`, as a bit each.
fn bits(list: &str) -> Result<Vec<u8>> {
    const MOST: usize = 8192;
    let mut bits = Vec::new();
    for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) if first <= last && last < MOST => (first, last),
            _ => bail!("invalid list {list:?}"),
        };
        for number in first..=last {
            if bits.len() <= number / 8 {
                bits.resize(number / 8 + 1, 0);
            }
            if let Some(byte) = bits.get_mut(number / 8) {
                *byte |= 1 << (number % 8);
            }
        }
    }
    Ok(bits)
}

/// Of GVariant's text format: booleans, numbers with and without a type, strings, lists of strings.
fn parse(text: &str) -> Option<Value> {
    let text = text.trim();
    match text {
        "true" => return Some(Value::Bool(true)),
        "false" => return Some(Value::Bool(false)),
        _ => {}
    }
    if let Some(list) = text.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
        let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
        return items.map(quoted).collect::<Option<_>>().map(Value::Texts);
    }
    if let Some(text) = quoted(text) {
        return Some(Value::Text(text));
    }
    match text.split_once(' ') {
        Some(("uint64", number)) => number.trim().parse().ok().map(Value::Uint64),
        Some(("int64", number)) => number.trim().parse().ok().map(Value::Int64),
        Some(("uint32", number)) => number.trim().parse().ok().map(Value::Uint32),
        Some(("int32", number)) => number.trim().parse().ok().map(Value::Int32),
        Some(_) => None,
        None => text.parse().ok().map(Value::Int32),
    }
}

/// A string in quotes that needs no escapes.
fn quoted(text: &str) -> Option<String> {
    let inner = ['\'', '"'].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))?;
    (!inner.contains(['\'', '"', '\\'])).then(|| inner.to_owned())
}

/// A number of seconds in microseconds.
fn seconds(value: &Value) -> Option<u64> {
    let seconds = match value {
        Value::Int32(value) => u64::try_from(*value).ok()?,
        Value::Int64(value) => u64::try_from(*value).ok()?,
        Value::Uint32(value) => u64::from(*value),
        Value::Uint64(value) => *value,
        _ => return None,
    };
    seconds.checked_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn properties(resources: serde_json::Value, unified: bool) -> Vec<(String, Value)> {
        of_resources(&serde_json::from_value(resources).unwrap(), unified).unwrap()
    }

    #[test]
    fn limits_become_properties_of_either_version() {
        let resources = json!({
            "memory": { "limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20 },
            "cpu": { "shares": 1024, "quota": 25_000, "period": 100_000, "cpus": "0-2,9" },
        });
        let named = |name: &str, value| (name.to_owned(), value);
        assert_eq!(
            properties(resources.clone(), true),
            [
                named("MemoryMax", Value::Uint64(64 << 20)),
                named("MemoryLow", Value::Uint64(32 << 20)),
                named("MemorySwapMax", Value::Uint64(32 << 20)),
                named("CPUWeight", Value::Uint64(39)),
                named("CPUQuotaPerSecUSec", Value::Uint64(250_000)),
                named("CPUQuotaPeriodUSec", Value::Uint64(100_000)),
                named("AllowedCPUs", Value::Bytes(vec![0b111, 0b10])),
            ]
        );
        assert_eq!(
            properties(resources, false),
            [
                named("MemoryLimit", Value::Uint64(64 << 20)),
                named("CPUShares", Value::Uint64(1024)),
                named("CPUQuotaPerSecUSec", Value::Uint64(250_000)),
                named("CPUQuotaPeriodUSec", Value::Uint64(100_000)),
            ]
        );
    }

    #[test]
    fn no_limit_is_the_largest_number() {
        let resources = json!({ "memory": { "limit": -1 }, "pids": { "limit": -1 }, "cpu": { "quota": -1 } });
        let all = properties(resources, true);
        assert!(all.iter().all(|(_, value)| *value == Value::Uint64(u64::MAX)), "{all:?}");
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn annotations_become_properties() {
        let annotations = HashMap::from(
            [
                ("org.systemd.property.TimeoutStopSec", "uint64 10"),
                ("org.systemd.property.CollectMode", "'inactive-or-failed'"),
                ("org.systemd.property.After", "['a.service', 'b.service']"),
                ("org.systemd.property.DefaultDependencies", "true"),
                ("other", "x"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        let all = of_annotations(Some(&annotations)).unwrap();
        let expected = [
            ("After", Value::Texts(vec!["a.service".into(), "b.service".into()])),
            ("CollectMode", Value::Text("inactive-or-failed".into())),
            ("DefaultDependencies", Value::Bool(true)),
            ("TimeoutStopUSec", Value::Uint64(10_000_000)),
        ];
        assert_eq!(all, expected.map(|(name, value)| (name.to_owned(), value)));
        let bad = HashMap::from([("org.systemd.property.X".to_owned(), "1".to_owned())]);
        assert!(of_annotations(Some(&bad)).is_err());
    }
}
