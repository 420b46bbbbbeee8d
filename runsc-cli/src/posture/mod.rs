//! What a running process could do to the host, as the host sees it: for `debug --posture`, and to compare with others.
//!
//! [`process`] reads `/proc`, [`filter`] the seccomp filters, [`table`] prints. Nothing is asked of the process itself.

mod filter;
mod process;
mod table;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};

use crate::state::Root;
use crate::state::record::Record;

pub(crate) use process::Posture;
pub(crate) use table::table;

/// A process with what it is to the container.
#[derive(Debug)]
pub(crate) struct Named {
    /// `sandbox`, `stub`, `gofer`, or the name of a command that waits.
    pub(crate) role: String,
    /// What it could do.
    pub(crate) posture: Posture,
}

/// The processes of a container: sandbox, stubs, gofer, and who started them if that is one of ours.
pub(crate) fn of_container(root: &Root, record: &Record) -> Result<Vec<Named>> {
    // In a pod the sandbox belongs to another container.
    let owner = record.pod.as_deref().map(|id| root.read(id)).transpose()?;
    let sandbox = owner.as_ref().unwrap_or(record).sandbox.context("the container has no sandbox")?;
    let gofer = record.gofer.context("the container has no gofer")?;
    let mut found = vec![("sandbox".to_owned(), sandbox.pid)];
    found.extend(process::children(sandbox.pid).into_iter().map(|pid| ("stub".to_owned(), pid)));
    found.push(("gofer".to_owned(), gofer.pid));
    let parents: BTreeSet<_> = [sandbox.pid, gofer.pid].into_iter().filter_map(process::parent).collect();
    for pid in parents {
        let name = process::program(pid).filter(|name| name.starts_with(crate::NAME) || name.contains("shim"));
        found.extend(name.map(|name| (name, pid)));
    }
    let mut named: Vec<Named> = Vec::new();
    for (role, pid) in found {
        // Stubs come and go.
        let Ok(posture) = Posture::of(pid) else { continue };
        let alike = named.iter_mut().find(|other| other.role == role && other.posture.is_like(&posture));
        match alike {
            Some(other) => other.posture.pids.push(pid),
            None => named.push(Named { role, posture }),
        }
    }
    Ok(named)
}

/// Any processes, by their ids.
pub(crate) fn of_processes(pids: &[i32]) -> Result<Vec<Named>> {
    let named = |pid: &i32| {
        let posture = Posture::of(*pid).with_context(|| format!("process {pid}"))?;
        let role = process::program(*pid).unwrap_or_default();
        Ok(Named { role: Path::new(&role).display().to_string(), posture })
    };
    pids.iter().map(named).collect()
}
