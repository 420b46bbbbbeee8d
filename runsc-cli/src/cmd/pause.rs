//! `pause` and `resume`: stop all processes of a container, and let them go on.

use anyhow::{Result, bail};
use clap::Args;
use control::Status;

use crate::cli::Global;
use crate::sandbox::control::Control;
use crate::state::Root;

/// Whose processes.
#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    /// Its name
    #[arg(value_name = "CONTAINER-ID")]
    id: String,
}

pub(crate) fn main(global: &Global, args: &PauseArgs, pause: bool) -> Result<u8> {
    let root = Root::new(global.root.as_deref())?;
    let locked = root.lock(&args.id)?;
    let mut record = locked.read()?;
    record.last_status = match (record.status(), pause) {
        (Status::Running | Status::Created, true) => Status::Paused,
        (Status::Paused, false) => Status::Running,
        (_, true) => bail!("container not running"),
        (_, false) => bail!("container not paused"),
    };
    Control::connect(&root, &record)?.set_paused(&args.id, pause)?;
    locked.write(&record)?;
    Ok(0)
}
