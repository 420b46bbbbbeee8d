//! A process as `/proc` shows it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::filter::Calls;

/// The namespaces there are.
const NAMESPACES: [&str; 8] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"];
/// The sets of capabilities, as `status` calls them.
const CAPABILITIES: [&str; 5] = ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"];

/// What a process could do.
#[derive(Debug)]
pub(crate) struct Posture {
    /// Which process; several that are alike.
    pub(crate) pids: Vec<i32>,
    /// Its user on the host.
    pub(crate) user: String,
    /// Which of its namespaces are not ours.
    pub(crate) own_namespaces: Vec<&'static str>,
    /// What is in its root directory, and how many mounts it has.
    pub(crate) root: String,
    /// Capabilities by set.
    pub(crate) capabilities: BTreeMap<&'static str, u64>,
    /// no_new_privs.
    pub(crate) no_new_privs: bool,
    /// RLIMIT_CORE.
    pub(crate) core_limit: String,
    /// Threads.
    pub(crate) threads: u64,
    /// How many descriptors of which kind.
    pub(crate) descriptors: BTreeMap<String, usize>,
    /// Its filters.
    pub(crate) calls: Calls,
}

impl Posture {
    /// Looks at it.
    pub(crate) fn of(pid: i32) -> Result<Self> {
        let status = fs::read_to_string(path(pid, "status")).context("no such process")?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().split_ascii_whitespace().next().unwrap_or_default().to_owned()
        };
        let set = |name: &&'static str| (*name, u64::from_str_radix(&field(name), 16).unwrap_or(u64::MAX));
        let limits = fs::read_to_string(path(pid, "limits")).unwrap_or_default();
        let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap_or_default();
        Ok(Self {
            pids: vec![pid],
            user: field("Uid"),
            own_namespaces: NAMESPACES.into_iter().filter(|kind| is_own(pid, kind)).collect(),
            root: root(pid),
            capabilities: CAPABILITIES.iter().map(set).collect(),
            no_new_privs: field("NoNewPrivs") == "1",
            core_limit: core.split_ascii_whitespace().next().unwrap_or("?").to_owned(),
            threads: field("Threads").parse().unwrap_or_default(),
            descriptors: descriptors(pid),
            calls: Calls::of(pid, field("Seccomp") == "2"),
        })
    }

    /// Whether another process differs in nothing that matters.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.user == other.user
            && self.own_namespaces == other.own_namespaces
            && self.root == other.root
            && self.capabilities == other.capabilities
            && self.no_new_privs == other.no_new_privs
            && self.calls == other.calls
    }
}

/// Processes that a process has made and that live.
pub(super) fn children(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(path(pid, "task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let mut all: Vec<i32> = lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    all.sort_unstable();
    all
}

/// Its parent.
pub(super) fn parent(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(path(pid, "status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// The name of its program.
pub(super) fn program(pid: i32) -> Option<String> {
    let line = fs::read(path(pid, "cmdline")).ok()?;
    let first = line.split(|byte| *byte == 0).next()?;
    let first = String::from_utf8_lossy(first).into_owned();
    Some(first.rsplit('/').next().unwrap_or_default().to_owned())
}

fn path(pid: i32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

fn is_own(pid: i32, kind: &str) -> bool {
    let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}"));
    match (of(&pid.to_string()), of("self")) {
        (Ok(its), Ok(ours)) => its != ours,
        _ => false,
    }
}

fn root(pid: i32) -> String {
    let mounts = fs::read_to_string(path(pid, "mountinfo")).map_or(0, |text| text.lines().count());
    let plural = if mounts == 1 { "" } else { "s" };
    match fs::read_dir(path(pid, "root/")) {
        Ok(entries) => match entries.count() {
            0 => format!("empty, {mounts} mount{plural}"),
            n => format!("{n} entries, {mounts} mount{plural}"),
        },
        Err(_) => "unknown".to_owned(),
    }
}

fn descriptors(pid: i32) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for entry in fs::read_dir(path(pid, "fd")).into_iter().flatten().flatten() {
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        *kinds.entry(kind(&target.to_string_lossy())).or_default() += 1;
    }
    kinds
}

/// `socket:[17]` and `/memfd:x (deleted)` by kind; what has a name is a file.
fn kind(target: &str) -> String {
    if let Some(rest) = target.strip_prefix("/memfd:") {
        return format!("memfd:{}", rest.trim_end_matches(" (deleted)"));
    }
    if target.starts_with('/') && !target.starts_with("/dev/") {
        return "file".to_owned();
    }
    match target.split_once(":[") {
        Some((kind, _)) if !target.starts_with('/') && kind != "anon_inode" => kind.to_owned(),
        _ => target.trim_start_matches("anon_inode:").trim_matches(['[', ']']).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_posture() {
        let me = Posture::of(std::process::id().cast_signed()).unwrap();
        assert!(me.own_namespaces.is_empty() && me.threads > 0);
        assert!(me.root.contains("entries"));
        assert!(Posture::of(i32::MAX).is_err());
    }

    #[test]
    fn descriptors_by_kind() {
        assert_eq!(kind("socket:[17]"), "socket");
        assert_eq!(kind("/memfd:memory (deleted)"), "memfd:memory");
        assert_eq!(kind("anon_inode:[eventfd]"), "eventfd");
        assert_eq!(kind("anon_inode:seccomp notify"), "seccomp notify");
        assert_eq!(kind("/dev/null"), "/dev/null");
        assert_eq!(kind("/a:[b"), "file");
    }
}
