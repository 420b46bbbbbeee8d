//! Control groups of the host, cgroups(7): what the configuration limits, for the sandbox and the gofer together.
//!
//! A container gets cgroups only if its configuration names a path or sets a limit. Others do not, where runc would make
//! some anyway: a first attach costs milliseconds (an RCU grace period on v1), and the sandbox opens no devices that a
//! device controller could deny. Engines always name a path.
//!
//! [`v1`] has a directory per hierarchy, [`v2`] one for all; [`systemd`] has them made by systemd; [`path`] says where;
//! [`usage`] reads what is used.

mod path;
mod systemd;
pub(crate) mod usage;
mod v1;
mod v2;

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::unistd::Pid;
use oci_spec::runtime::{LinuxResources, Spec};
use serde::{Deserialize, Serialize};

use crate::cli::Global;
use crate::log;
use path::UnitPath;
use systemd::Unit;
pub(crate) use systemd::is_of_user;

/// The cgroups of a container, as they are recorded.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Cgroups {
    /// Their directories.
    pub(crate) directories: Vec<PathBuf>,
    /// The unit of systemd that they belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<Unit>,
}

/// Cgroups in the making.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// What is there by now, to be recorded and removed.
    pub(crate) cgroups: Cgroups,
    /// The v2 directory, to start processes in.
    pub(crate) unified: Option<OwnedFd>,
    /// The v1 directories, to move processes to.
    hierarchies: Vec<PathBuf>,
    /// What systemd makes when there are processes.
    waiting: Option<Waiting>,
}

/// A unit that is yet to be made, and with what.
#[derive(Debug)]
struct Waiting {
    unit: UnitPath,
    resources: Option<LinuxResources>,
    annotations: Option<HashMap<String, String>>,
    optional: bool,
}

impl Made {
    /// Moves processes to where they could not be started.
    pub(crate) fn attach(&mut self, pids: &[Pid]) -> Result<()> {
        if let Some(waiting) = self.waiting.take() {
            match self.start_unit(&waiting, pids) {
                Err(e) if waiting.optional => {
                    log::warning(&format!("no cgroup for the container: {e:#}"));
                    self.cgroups.remove();
                    self.hierarchies.clear();
                    self.cgroups = Cgroups::default();
                }
                other => other.context("unable to apply cgroup configuration")?,
            }
        }
        for directory in &self.hierarchies {
            for pid in pids {
                write(directory, "cgroup.procs", &pid.to_string())?;
            }
        }
        Ok(())
    }

    fn start_unit(&mut self, waiting: &Waiting, pids: &[Pid]) -> Result<()> {
        let Some(unit) = self.cgroups.unit.clone() else { return Ok(()) };
        let resources = waiting.resources.as_ref();
        let mounts = mounts()?;
        let hierarchies = v1::hierarchies(&mounts);
        let unified = hierarchies.is_empty();
        let root = if unit.is_of_user() { Unit::users_root()? } else { PathBuf::new() };
        unit.start(&waiting.unit, pids, resources, waiting.annotations.as_ref(), unified)?;
        let path = root.join(&waiting.unit.path);
        if unified { v2::make(&mounts, &path, resources, self) } else { v1::make(&hierarchies, &path, resources, self) }
    }
}

/// Makes the cgroups that the configuration asks for and sets their limits. Whatever was made is removed on failure.
pub(crate) fn make(spec: &Spec, id: &str, global: &Global) -> Result<Option<Made>> {
    let linux = spec.linux().as_ref();
    let wanted = linux.and_then(|linux| linux.cgroups_path().as_deref());
    let resources = linux.and_then(|linux| linux.resources().as_ref()).filter(|resources| sets_limit(resources));
    if wanted.is_none() && resources.is_none() {
        return Ok(None);
    }
    let mut made = Made::default();
    let user = is_of_user();
    let path = match path::of_container(wanted, id, global.switches.systemd_cgroup, user)? {
        path::Place::Directory(path) => path,
        path::Place::Unit(unit) => {
            made.cgroups.unit = Some(Unit::new(&unit, user));
            made.waiting = Some(Waiting {
                unit,
                resources: resources.cloned(),
                annotations: spec.annotations().clone(),
                optional: resources.is_none() && is_rootless(global),
            });
            return Ok(Some(made));
        }
    };
    let result = mounts().and_then(|mounts| {
        let hierarchies = v1::hierarchies(&mounts);
        // With both, the controllers are on v1 and the unified tree has none.
        if hierarchies.is_empty() {
            v2::make(&mounts, &path, resources, &mut made)
        } else {
            v1::make(&hierarchies, &path, resources, &mut made)
        }
    });
    match result {
        Ok(()) => Ok(Some(made)),
        Err(e) => {
            made.cgroups.remove();
            if is_denied(&e) && is_rootless(global) && resources.is_none() {
                log::warning(&format!("no cgroup for the container: {e:#}"));
                return Ok(None);
            }
            Err(e.context("unable to apply cgroup configuration"))
        }
    }
}

impl Cgroups {
    /// Changes their limits.
    pub(crate) fn update(&self, resources: &LinuxResources) -> Result<()> {
        let mounts = mounts()?;
        let hierarchies = v1::hierarchies(&mounts);
        if let Some(unit) = &self.unit {
            unit.update(resources, hierarchies.is_empty())?;
        }
        for directory in &self.directories {
            match hierarchies.iter().find(|hierarchy| hierarchy.contains(directory)) {
                Some(hierarchy) => hierarchy.limit(directory, resources)?,
                None => v2::limit(directory, resources)?,
            }
        }
        Ok(())
    }

    /// What says how much memory is charged to them, and what of.
    pub(crate) fn memory_files(&self) -> Option<[OwnedFd; 2]> {
        const USAGE: [&str; 2] = ["memory.current", "memory.usage_in_bytes"];
        let open = |directory: &Path, file: &str| fs::File::open(directory.join(file)).ok().map(OwnedFd::from);
        let usage = |directory: &Path| USAGE.into_iter().find_map(|file| open(directory, file));
        let found = self.directories.iter().find_map(|directory| Some((usage(directory)?, directory)));
        found.and_then(|(usage, directory)| Some([usage, open(directory, "memory.stat")?]))
    }

    /// Removes them, with what is in them.
    pub(crate) fn remove(&self) {
        if let Some(unit) = &self.unit
            && let Err(e) = unit.stop()
        {
            log::warning(&format!("cannot stop the container's unit: {e:#}"));
        }
        for directory in &self.directories {
            if let Err(e) = remove(directory) {
                log::warning(&format!("cannot remove cgroup {}: {e}", directory.display()));
            }
        }
    }
}

/// Removes a cgroup and kills what is in it. What is already gone is no error.
fn remove(directory: &Path) -> io::Result<()> {
    let mut patience = Duration::from_millis(1);
    loop {
        match fs::remove_dir(directory) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            // Processes that have just been killed are still on their way out.
            Err(e) if e.kind() == ErrorKind::ResourceBusy && patience < Duration::from_secs(2) => {
                kill_all(directory);
                remove_children(directory);
                #[expect(clippy::disallowed_methods, reason = "a v1 cgroup does not tell when it becomes empty")]
                std::thread::sleep(patience);
                patience *= 2;
            }
            other => return other,
        }
    }
}

fn kill_all(directory: &Path) {
    let pids = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    for pid in pids.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0) {
        let _ = nix::sys::signal::kill(Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
}

fn remove_children(directory: &Path) {
    for child in fs::read_dir(directory).into_iter().flatten().flatten() {
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_children(&child.path());
            let _ = fs::remove_dir(child.path());
        }
    }
}

/// Device rules alone set no limit: see above.
fn sets_limit(resources: &LinuxResources) -> bool {
    resources.memory().is_some()
        || resources.cpu().is_some()
        || resources.pids().is_some_and(|pids| pids.limit() != 0)
        || resources.block_io().is_some()
        || resources.hugepage_limits().as_ref().is_some_and(|limits| !limits.is_empty())
        || resources.unified().as_ref().is_some_and(|settings| !settings.is_empty())
}

/// Whether `--rootless` lets a container go without when it may not have cgroups.
fn is_rootless(global: &Global) -> bool {
    match global.rootless.as_str() {
        "true" => true,
        "false" => false,
        _ => is_of_user(),
    }
}

fn is_denied(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| {
        matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotFound)
    })
}

/// Makes a directory and those above it. The ones that were not there are returned, the outermost first.
fn make_directories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let missing: Vec<_> = directory.ancestors().take_while(|path| !path.exists()).map(Path::to_owned).collect();
    for path in missing.iter().rev() {
        match fs::create_dir(path) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            other => other?,
        }
    }
    Ok(missing.into_iter().rev().collect())
}

/// The host's limit on tasks for a container's limit, `None` for any number: a task is a thread of the sentry and up to
/// three of a stub, and there are some threads besides. The kernel itself holds the container to its own number.
fn host_task_limit(limit: i64) -> Option<u64> {
    const PER_TASK: u64 = 5;
    const BESIDES: u64 = 128;
    u64::try_from(limit).ok().map(|limit| limit.saturating_mul(PER_TASK).saturating_add(BESIDES))
}

fn host_tasks(limit: i64) -> String {
    host_task_limit(limit).map_or_else(|| "max".to_owned(), |limit| limit.to_string())
}

fn mounts() -> Result<String> {
    fs::read_to_string("/proc/self/mountinfo").context("cannot find the cgroups")
}

fn write(directory: &Path, file: &str, value: &str) -> Result<()> {
    let path = directory.join(file);
    fs::write(&path, value).map_err(|e| {
        let message = format!("failed to write {value:?} to {}", path.display());
        anyhow::Error::from(e).context(message)
    })
}

fn context_of(directory: &Path) -> impl FnOnce(io::Error) -> anyhow::Error + '_ {
    move |e| {
        let message = format!("mkdir {}", directory.display());
        anyhow::Error::from(e).context(message)
    }
}

/// Mounts of one kind: mount point and super block options.
fn mounts_of<'a>(mountinfo: &'a str, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    mountinfo.lines().filter_map(move |line| {
        let (mount, source) = line.split_once(" - ")?;
        let mut source = source.split(' ');
        if source.next()? != kind {
            return None;
        }
        Some((mount.split(' ').nth(4)?, source.nth(1)?))
    })
}

/// The directory of the v2 tree that a path is in.
fn unified_root(mountinfo: &str) -> Result<&str> {
    let root = mounts_of(mountinfo, "cgroup2").next().map(|(point, _)| point);
    root.ok_or_else(|| anyhow!(io::Error::from(ErrorKind::NotFound))).context("no cgroup file system is mounted")
}
