//! Version 1: a hierarchy per controller.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

use super::{Made, context_of, host_tasks, make_directories, mounts_of, write};

/// A mounted hierarchy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    point: PathBuf,
    controllers: Vec<String>,
}

/// What is mounted, each hierarchy once. systemd's own, which has no controller, is left alone.
pub(super) fn hierarchies(mountinfo: &str) -> Vec<Hierarchy> {
    const CONTROLLERS: [&str; 11] = [
        "cpu",
        "cpuacct",
        "cpuset",
        "memory",
        "pids",
        "blkio",
        "devices",
        "freezer",
        "hugetlb",
        "perf_event",
        "net_cls",
    ];
    let mut found: Vec<Hierarchy> = Vec::new();
    for (point, options) in mounts_of(mountinfo, "cgroup") {
        let controllers: Vec<_> =
            options.split(',').filter(|option| CONTROLLERS.contains(option)).map(str::to_owned).collect();
        if !controllers.is_empty() && !found.iter().any(|hierarchy| hierarchy.controllers == controllers) {
            found.push(Hierarchy { point: point.into(), controllers });
        }
    }
    found
}

/// Makes a directory in each and sets the limits.
pub(super) fn make(
    hierarchies: &[Hierarchy],
    path: &Path,
    resources: Option<&LinuxResources>,
    made: &mut Made,
) -> Result<()> {
    for hierarchy in hierarchies {
        let directory = hierarchy.point.join(path);
        let new = make_directories(&directory).map_err(context_of(&directory))?;
        // Those above it may serve other containers by the time it is removed.
        made.cgroups.directories.push(directory.clone());
        made.hierarchies.push(directory.clone());
        if hierarchy.has("cpuset") {
            new.iter().try_for_each(|directory| inherit_cpuset(directory))?;
        }
        let Some(resources) = resources else { continue };
        hierarchy.limit(&directory, resources)?;
    }
    Ok(())
}

impl Hierarchy {
    /// Whether a directory is in this hierarchy.
    pub(super) fn contains(&self, directory: &Path) -> bool {
        directory.starts_with(&self.point)
    }

    fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|known| known == controller)
    }

    /// Sets the limits of a directory of this hierarchy.
    pub(super) fn limit(&self, directory: &Path, resources: &LinuxResources) -> Result<()> {
        let set = |file: &str, value: Option<String>| value.map_or(Ok(()), |value| write(directory, file, &value));
        if let Some(memory) = resources.memory().filter(|_| self.has("memory")) {
            limit_memory(directory, &memory)?;
        }
        if let Some(cpu) = resources.cpu() {
            if self.has("cpu") {
                limit_cpu(directory, cpu)?;
            }
            if self.has("cpuset") {
                set("cpuset.cpus", text(cpu.cpus()))?;
                set("cpuset.mems", text(cpu.mems()))?;
            }
        }
        if let Some(pids) = resources.pids().filter(|pids| pids.limit() != 0 && self.has("pids")) {
            set("pids.max", Some(host_tasks(pids.limit())))?;
        }
        if let Some(io) = resources.block_io().as_ref().filter(|_| self.has("blkio")) {
            limit_io(directory, io)?;
        }
        for page in resources.hugepage_limits().iter().flatten().filter(|_| self.has("hugetlb")) {
            set(&format!("hugetlb.{}.limit_in_bytes", page.page_size()), Some(page.limit().to_string()))?;
        }
        Ok(())
    }
}

/// A new cpuset is empty, and nothing can be attached to it.
fn inherit_cpuset(directory: &Path) -> Result<()> {
    let Some(parent) = directory.parent() else { return Ok(()) };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = fs::read_to_string(directory.join(file)).unwrap_or_default();
        if own.trim().is_empty() {
            write(directory, file, fs::read_to_string(parent.join(file))?.trim())?;
        }
    }
    Ok(())
}

fn limit_memory(directory: &Path, memory: &LinuxMemory) -> Result<()> {
    const LIMIT: &str = "memory.limit_in_bytes";
    const SWAP: &str = "memory.memsw.limit_in_bytes";
    let limit = memory.limit().filter(|limit| *limit != 0);
    let swap = memory.swap().filter(|swap| *swap != 0);
    // Each must never be above the other: whichever order fits the values that are there.
    let first = limit.map_or(Ok(()), |limit| write(directory, LIMIT, &limit.to_string()));
    if let Some(swap) = swap
        && directory.join(SWAP).exists()
    {
        write(directory, SWAP, &swap.to_string())?;
    }
    if first.is_err() {
        limit.map_or(Ok(()), |limit| write(directory, LIMIT, &limit.to_string()))?;
    }
    if let Some(reservation) = memory.reservation().filter(|r| *r != 0) {
        write(directory, "memory.soft_limit_in_bytes", &reservation.to_string())?;
    }
    if let Some(swappiness) = memory.swappiness() {
        write(directory, "memory.swappiness", &swappiness.to_string())?;
    }
    if memory.disable_oom_killer().unwrap_or_default() {
        write(directory, "memory.oom_control", "1")?;
    }
    Ok(())
}

fn limit_cpu(directory: &Path, cpu: &LinuxCpu) -> Result<()> {
    let settings = [
        ("cpu.shares", cpu.shares().filter(|v| *v != 0).map(|v| v.to_string())),
        ("cpu.cfs_period_us", cpu.period().filter(|v| *v != 0).map(|v| v.to_string())),
        ("cpu.cfs_quota_us", cpu.quota().filter(|v| *v != 0).map(|v| v.to_string())),
        ("cpu.cfs_burst_us", cpu.burst().map(|v| v.to_string())),
        ("cpu.idle", cpu.idle().map(|v| v.to_string())),
        ("cpu.rt_period_us", cpu.realtime_period().filter(|v| *v != 0).map(|v| v.to_string())),
        ("cpu.rt_runtime_us", cpu.realtime_runtime().filter(|v| *v != 0).map(|v| v.to_string())),
    ];
    settings.into_iter().filter_map(|(file, value)| Some((file, value?))).try_for_each(|(f, v)| write(directory, f, &v))
}

fn limit_io(directory: &Path, io: &LinuxBlockIo) -> Result<()> {
    if let Some(weight) = io.weight().filter(|weight| *weight != 0) {
        let file = if directory.join("blkio.weight").exists() { "blkio.weight" } else { "blkio.bfq.weight" };
        write(directory, file, &weight.to_string())?;
    }
    let throttles = [
        ("blkio.throttle.read_bps_device", io.throttle_read_bps_device()),
        ("blkio.throttle.write_bps_device", io.throttle_write_bps_device()),
        ("blkio.throttle.read_iops_device", io.throttle_read_iops_device()),
        ("blkio.throttle.write_iops_device", io.throttle_write_iops_device()),
    ];
    for (file, devices) in throttles {
        for device in devices.iter().flatten() {
            write(directory, file, &format!("{}:{} {}", device.major(), device.minor(), device.rate()))?;
        }
    }
    Ok(())
}

fn text(value: &Option<String>) -> Option<String> {
    value.clone().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hierarchy_is_found_once() {
        let mountinfo = "\
30 29 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
31 29 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 29 0:27 / /other/memory rw - cgroup cgroup rw,memory
33 29 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
34 29 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";
        let found = hierarchies(mountinfo);
        let points: Vec<_> = found.iter().map(|h| h.point.to_str().unwrap()).collect();
        assert_eq!(points, ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory"]);
        assert!(found[0].has("cpuacct") && !found[1].has("cpu"));
    }
}
