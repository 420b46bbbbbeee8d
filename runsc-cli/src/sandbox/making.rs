//! A container in the making: its directory, record, cgroups and processes, until it is there.
//!
//! [`create`](super::create) and [`pod`](super::pod) both build on it. Dropped before [`Making::done`] it takes away whatever
//! there is by then.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use anyhow::{Context, Result};
use control::Status;
use host::pidfd::PidFd;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::create::Options;
use super::foreground::Foreground;
use super::launch::Waiting;
use crate::cgroup::Cgroups;
use crate::channel::Channel;
use crate::cli::Global;
use crate::config::Bundle;
use crate::state::process::ProcessId;
use crate::state::record::Record;
use crate::state::{Locked, Root};
use crate::timestamp::Timestamp;
use crate::{cgroup, state};

/// A container that is not there yet.
#[derive(Debug)]
pub(super) struct Making {
    /// What is recorded of it.
    pub(super) record: Record,
    cgroups: Option<cgroup::Made>,
    running: Vec<(Pid, PidFd)>,
    /// Absent once there is nothing to undo.
    locked: Option<Locked>,
}

/// A process that has been released from its gate.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) pid: Pid,
    pub(super) channel: Channel,
}

impl Making {
    /// Makes its directory and its cgroups, and records that it is being made; `pod` is whose sandbox it will be in.
    pub(super) fn begin(global: &Global, root: &Root, id: &str, bundle: &Bundle, pod: Option<&str>) -> Result<Self> {
        let locked = root.create(id)?;
        let record = Record { pod: pod.map(str::to_owned), ..new_record(id, bundle) };
        let mut making = Self { record, cgroups: None, running: Vec::new(), locked: Some(locked) };
        making.cgroups = cgroup::make(&bundle.spec, id, global)?;
        making.record_cgroups();
        making.write()?;
        Ok(making)
    }

    /// The cgroup to start processes in, where that is possible.
    pub(super) fn unified(&self) -> Option<BorrowedFd<'_>> {
        self.cgroups.as_ref()?.unified.as_ref().map(AsFd::as_fd)
    }

    /// Moves processes to the cgroups they could not be started in.
    pub(super) fn attach(&mut self, pids: &[Pid]) -> Result<()> {
        self.cgroups.as_mut().map_or(Ok(()), |made| made.attach(pids))?;
        self.record_cgroups();
        Ok(())
    }

    /// Lets a process run, and remembers to kill it.
    pub(super) fn release(&mut self, waiting: Waiting) -> Result<(Running, ProcessId)> {
        let Waiting { process, channel } = waiting;
        let name = ProcessId::of(process.pid)?;
        let (pid, process) = process.release()?;
        self.running.push((pid, process));
        Ok((Running { pid, channel }, name))
    }

    /// Remembers to kill a process that runs.
    pub(super) fn owns(&mut self, pid: Pid, process: PidFd) {
        self.running.push((pid, process));
    }

    /// Records that it is there, and tells the caller its pid. Returns our part if we stay.
    pub(super) fn created(&mut self, options: &Options<'_>, pid: Pid) -> Result<Option<Foreground>> {
        self.record.last_status = if options.start { Status::Running } else { Status::Created };
        self.write()?;
        if let Some(path) = options.pid_file {
            write_pid(path, pid)?;
        }
        options.foreground.then(Foreground::prepare).transpose()
    }

    /// The directory, which is ours alone.
    pub(super) fn locked(&self) -> Result<&Locked> {
        self.locked.as_ref().context("the container's directory is no longer ours")
    }

    /// Nothing to undo any more.
    pub(super) fn done(mut self) -> Record {
        self.locked = None;
        self.cgroups = None;
        self.running.clear();
        self.record.clone()
    }

    fn record_cgroups(&mut self) {
        self.record.cgroups = self.cgroups.as_ref().map(|made| made.cgroups.clone()).unwrap_or_default();
    }

    fn write(&self) -> Result<()> {
        self.locked()?.write(&self.record)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        for (pid, process) in self.running.drain(..) {
            let _ = process.signal(libc::SIGKILL);
            let _ = waitpid(pid, None);
        }
        if let Some(made) = self.cgroups.take() {
            made.cgroups.remove();
        }
        if let Some(locked) = self.locked.take() {
            let _ = locked.remove();
        }
    }
}

fn write_pid(path: &Path, pid: Pid) -> Result<()> {
    state::replace(path, pid.to_string().as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

fn new_record(id: &str, bundle: &Bundle) -> Record {
    let inherits = bundle.spec.hooks().as_ref().is_some_and(|hooks| hooks.start_container().is_some());
    let process = bundle.spec.process().as_ref().filter(|_| inherits);
    Record {
        oci_version: bundle.spec.version().clone(),
        id: id.to_owned(),
        bundle: bundle.path.clone(),
        rootfs: bundle.rootfs.clone(),
        created: Timestamp::now().to_string(),
        owner: nix::unistd::geteuid().as_raw(),
        last_status: Status::Creating,
        pod: None,
        sandbox: None,
        gofer: None,
        cgroups: Cgroups::default(),
        annotations: bundle.spec.annotations().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect(),
        hooks: bundle.spec.hooks().clone(),
        environment: process.and_then(|process| process.env().clone()).unwrap_or_default(),
    }
}
