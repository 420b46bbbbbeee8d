//! `process`: what runs, as whom, with which limits.

use std::path::PathBuf;

use anyhow::{Result, bail};
use control::spec::{ProcessSpec, Rlimit};
use oci_spec::runtime::{PosixRlimit, PosixRlimitType, Process};

use super::capabilities;

/// fs.nr_open of a host that does not change it; ours.
const NR_OPEN: u64 = 1 << 20;

/// Checks what the specification demands, with runc's words.
pub(crate) fn check(process: &Process) -> Result<()> {
    if process.args().as_ref().is_none_or(Vec::is_empty) {
        bail!("args must not be empty");
    }
    if process.cwd() == &PathBuf::new() {
        bail!("Cwd property must not be empty");
    }
    if !process.cwd().is_absolute() {
        bail!("Cwd must be an absolute path");
    }
    let strings = [process.args(), process.env()].into_iter().flatten().flatten();
    if let Some(bad) = strings.map(String::as_str).find(|text| text.contains('\0')) {
        bail!("argument or variable with a NUL byte: {bad:?}");
    }
    for limit in process.rlimits().iter().flatten() {
        if limit.soft() > limit.hard() {
            bail!("error setting rlimit type {}: invalid argument", resource(limit.typ()));
        }
        if limit.typ() == PosixRlimitType::RlimitNofile && limit.hard() > NR_OPEN && limit.hard() > host_nr_open() {
            bail!("error setting rlimit type {}: operation not permitted", resource(limit.typ()));
        }
    }
    Ok(())
}

/// The kernel's description of it, without open files.
pub(crate) fn describe(process: &Process) -> Result<ProcessSpec> {
    let user = process.user();
    Ok(ProcessSpec {
        args: process.args().clone().unwrap_or_default(),
        env: process.env().clone().unwrap_or_default(),
        cwd: process.cwd().to_string_lossy().into_owned(),
        uid: user.uid(),
        gid: user.gid(),
        additional_gids: user.additional_gids().clone().unwrap_or_default(),
        umask: user.umask(),
        capabilities: capabilities::masks(process.capabilities().as_ref())?,
        rlimits: process.rlimits().iter().flatten().map(limit).collect(),
        no_new_privileges: process.no_new_privileges().unwrap_or_default(),
        oom_score_adj: process.oom_score_adj(),
        files: Vec::new(),
        terminal: process.terminal().unwrap_or_default(),
    })
}

/// What the host lets nobody exceed, proc(5).
fn host_nr_open() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/fs/nr_open").unwrap_or_default();
    text.trim().parse().unwrap_or(NR_OPEN)
}

fn limit(limit: &PosixRlimit) -> Rlimit {
    Rlimit { resource: resource(limit.typ()), soft: limit.soft(), hard: limit.hard() }
}

/// RLIMIT_*, getrlimit(2).
const fn resource(kind: PosixRlimitType) -> u32 {
    match kind {
        PosixRlimitType::RlimitCpu => 0,
        PosixRlimitType::RlimitFsize => 1,
        PosixRlimitType::RlimitData => 2,
        PosixRlimitType::RlimitStack => 3,
        PosixRlimitType::RlimitCore => 4,
        PosixRlimitType::RlimitRss => 5,
        PosixRlimitType::RlimitNproc => 6,
        PosixRlimitType::RlimitNofile => 7,
        PosixRlimitType::RlimitMemlock => 8,
        PosixRlimitType::RlimitAs => 9,
        PosixRlimitType::RlimitLocks => 10,
        PosixRlimitType::RlimitSigpending => 11,
        PosixRlimitType::RlimitMsgqueue => 12,
        PosixRlimitType::RlimitNice => 13,
        PosixRlimitType::RlimitRtprio => 14,
        PosixRlimitType::RlimitRttime => 15,
    }
}
