//! Version 2: one directory, controllers enabled from its root down.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Result;
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

use super::{Made, context_of, host_tasks, make_directories, unified_root, write};

/// Makes the directory and sets the limits.
pub(super) fn make(mountinfo: &str, path: &Path, resources: Option<&LinuxResources>, made: &mut Made) -> Result<()> {
    let root = Path::new(unified_root(mountinfo)?);
    let directory = root.join(path);
    make_directories(&directory).map_err(context_of(&directory))?;
    made.cgroups.directories.push(directory.clone());
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    made.unified = Some(File::options().read(true).custom_flags(flags).open(&directory)?.into());
    enable_controllers(root, path);
    resources.map_or(Ok(()), |resources| limit(&directory, resources))
}

/// Sets the limits of a directory.
pub(super) fn limit(directory: &Path, resources: &LinuxResources) -> Result<()> {
    let set = |file: &str, value: Option<String>| value.map_or(Ok(()), |value| write(directory, file, &value));
    if let Some(memory) = resources.memory() {
        limit_memory(directory, memory)?;
    }
    if let Some(cpu) = resources.cpu() {
        limit_cpu(directory, cpu)?;
    }
    if let Some(pids) = resources.pids().filter(|pids| pids.limit() != 0) {
        set("pids.max", Some(host_tasks(pids.limit())))?;
    }
    if let Some(io) = resources.block_io() {
        limit_io(directory, io)?;
    }
    for page in resources.hugepage_limits().iter().flatten() {
        set(&format!("hugetlb.{}.max", page.page_size()), Some(page.limit().to_string()))?;
    }
    for (file, value) in resources.unified().iter().flatten() {
        anyhow::ensure!(!file.contains('/'), "unified resource {file:?} must be a file name (no slashes)");
        set(file, Some(value.clone()))?;
    }
    Ok(())
}

/// Best effort: a limit whose controller could not be enabled fails when it is set.
fn enable_controllers(root: &Path, path: &Path) {
    let available = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
    let mut directory = root.to_owned();
    for name in path {
        for controller in available.split_ascii_whitespace() {
            let _ = fs::write(directory.join("cgroup.subtree_control"), format!("+{controller}"));
        }
        directory.push(name);
    }
}

fn limit_memory(directory: &Path, memory: &LinuxMemory) -> Result<()> {
    let limit = memory.limit().filter(|limit| *limit != 0);
    if let Some(limit) = limit {
        write(directory, "memory.max", &or_max(limit))?;
    }
    if let Some(reservation) = memory.reservation().filter(|r| *r != 0) {
        write(directory, "memory.low", &or_max(reservation))?;
    }
    // Kernels without swap accounting have no such file; no swap at all is then as good as none of it.
    if let Some(swap) = swap_alone(memory)
        && (swap > 0 || directory.join("memory.swap.max").exists())
    {
        write(directory, "memory.swap.max", &or_max(swap))?;
    }
    Ok(())
}

/// How much swap alone, which is what v2 counts; the specification counts memory and swap together.
pub(super) fn swap_alone(memory: &LinuxMemory) -> Option<i64> {
    let swap = memory.swap().filter(|swap| *swap != 0)?;
    match memory.limit().filter(|limit| *limit > 0) {
        Some(limit) if swap > 0 => Some(swap.saturating_sub(limit)),
        _ => Some(swap),
    }
}

fn limit_io(directory: &Path, io: &LinuxBlockIo) -> Result<()> {
    if let Some(weight) = io.weight().filter(|weight| *weight != 0) {
        // Of two schedulers; which of them there is depends on the kernel.
        let bfq = || write(directory, "io.bfq.weight", &weight.to_string());
        write(directory, "io.weight", &weight_of_io(weight).to_string()).or_else(|e| bfq().map_err(|_| e))?;
    }
    let throttles = [
        ("rbps", io.throttle_read_bps_device()),
        ("wbps", io.throttle_write_bps_device()),
        ("riops", io.throttle_read_iops_device()),
        ("wiops", io.throttle_write_iops_device()),
    ];
    for (key, devices) in throttles {
        for device in devices.iter().flatten() {
            // 0 takes a limit away.
            let rate = if device.rate() == 0 { "max".to_owned() } else { device.rate().to_string() };
            write(directory, "io.max", &format!("{}:{} {key}={rate}", device.major(), device.minor()))?;
        }
    }
    Ok(())
}

fn limit_cpu(directory: &Path, cpu: &LinuxCpu) -> Result<()> {
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
        write(directory, "cpu.weight", &weight_of_shares(shares).to_string())?;
    }
    let quota = cpu.quota().filter(|quota| *quota != 0);
    if quota.is_some() || cpu.period().is_some_and(|period| period != 0) {
        let period = cpu.period().filter(|period| *period != 0).unwrap_or(100_000);
        write(directory, "cpu.max", &format!("{} {period}", quota.map_or_else(|| "max".to_owned(), or_max)))?;
    }
    for (file, value) in
        [("cpu.idle", cpu.idle().map(|v| v.to_string())), ("cpu.max.burst", cpu.burst().map(|v| v.to_string()))]
    {
        if let Some(value) = value {
            write(directory, file, &value)?;
        }
    }
    for (file, value) in [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())] {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            write(directory, file, value)?;
        }
    }
    Ok(())
}

/// 2 to 262144 becomes 1 to 10000, as runc converts it.
pub(super) fn weight_of_shares(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

/// 10 to 1000 becomes 1 to 10000, as runc converts it.
pub(super) fn weight_of_io(weight: u16) -> u64 {
    1 + u64::from(weight.saturating_sub(10)) * 9999 / 990
}

fn or_max(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights() {
        assert_eq!([2, 1024, 262_144].map(weight_of_shares), [1, 39, 10_000]);
    }
}
