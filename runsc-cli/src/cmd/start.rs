//! `start`: runs the program of a created container.

use anyhow::{Result, bail};
use clap::Args;
use control::Status;

use crate::cli::Global;
use crate::sandbox::start;
use crate::state::Root;
use crate::{hooks, log};

/// What to start.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// Its name
    #[arg(value_name = "CONTAINER-ID")]
    id: String,
}

pub(crate) fn main(global: &Global, args: &StartArgs) -> Result<u8> {
    let root = Root::new(global.root.as_deref())?;
    let locked = root.lock(&args.id)?;
    let mut record = locked.read()?;
    match record.status() {
        Status::Created => {}
        Status::Running | Status::Paused => bail!("cannot start an already running container"),
        Status::Stopped => bail!("cannot start a container that has stopped"),
        Status::Creating => bail!("cannot start a container in the creating state"),
    }
    start::program(&root, &record)?;
    record.last_status = Status::Running;
    locked.write(&record)?;
    let poststart = record.hooks.as_ref().and_then(|hooks| hooks.poststart().as_ref());
    if let Err(e) = hooks::run("poststart", poststart, &record.public(record.status())) {
        log::warning(&format!("{e:#}"));
    }
    Ok(0)
}
