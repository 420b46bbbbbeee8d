//! Takes away everything that is left of a container, however it came to be left.

use std::time::Duration;

use anyhow::{Result, bail};
use control::Status;

use super::control::Control;
use crate::state::record::Record;
use crate::state::{Locked, Root};
use crate::{hooks, log};

/// How long a killed process may take to end: its memory must be freed first.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the gofer may take to notice that its clients are gone.
const GOFER_PATIENCE: Duration = Duration::from_millis(100);

/// Removes a container: its processes, cgroups and directory; calls its poststop hooks. `force` also if it runs, or is
/// half made.
pub(crate) fn container(root: &Root, locked: Locked, id: &str, force: bool) -> Result<()> {
    let Ok(record) = locked.read() else {
        // Its creation was cut short before anything was started that would not have ended with its creator.
        if force {
            return locked.remove();
        }
        bail!("container does not exist");
    };
    match record.status() {
        Status::Stopped | Status::Created | Status::Creating => {}
        _ if force => {}
        other => bail!("cannot delete container {id} that is not stopped: {}", other.as_str()),
    }
    end_processes(&record)?;
    leave_pod(root, &record);
    record.cgroups.remove();
    let poststop = record.hooks.as_ref().and_then(|hooks| hooks.poststop().as_ref());
    if let Err(e) = hooks::run("poststop", poststop, &record.public(Status::Stopped)) {
        log::warning(&format!("{e:#}"));
    }
    locked.remove()
}

/// Has the sandbox of a pod forget a container. One that has ended has nothing to forget.
fn leave_pod(root: &Root, record: &Record) {
    let Some(pod) = &record.pod else { return };
    let left = match root.read(pod) {
        Ok(sandbox) if sandbox.status() != Status::Stopped => {
            Control::connect(root, record).and_then(|control| control.destroy(&record.id))
        }
        _ => return,
    };
    if let Err(e) = left {
        // Its creation may have been cut short before the sandbox knew of it.
        log::debug(|| format!("container {} in sandbox {pod}: {e:#}", record.id));
    }
}

/// Ends the sandbox, which takes its stubs along, then the gofer.
fn end_processes(record: &Record) -> Result<()> {
    if let Some(sandbox) = record.sandbox
        && !sandbox.kill(PATIENCE)
    {
        bail!("the sandbox process {} cannot be killed", sandbox.pid);
    }
    if let Some(gofer) = record.gofer {
        let timeout = nix::poll::PollTimeout::try_from(GOFER_PATIENCE).unwrap_or(nix::poll::PollTimeout::ZERO);
        let ended = gofer.alive().is_none_or(|process| process.exited_within(timeout).unwrap_or(true));
        if !ended && !gofer.kill(PATIENCE) {
            bail!("the gofer process {} cannot be killed", gofer.pid);
        }
    }
    Ok(())
}
