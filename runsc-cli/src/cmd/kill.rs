//! `kill`: sends a signal.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use control::{SignalTarget, Status};

use crate::cli::Global;
use crate::sandbox::control::Control;
use crate::signals;
use crate::state::Root;

/// What to send to whom.
#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    /// Send it to every process of the container
    #[arg(short, long)]
    all: bool,
    /// Its name
    #[arg(value_name = "CONTAINER-ID")]
    id: String,
    /// Name or number
    #[arg(default_value = "SIGTERM")]
    signal: String,
}

const SIGKILL: u8 = 9;

pub(crate) fn main(global: &Global, args: &KillArgs) -> Result<u8> {
    let signal = signals::parse(&args.signal)?;
    let root = Root::new(global.root.as_deref())?;
    let record = root.read(&args.id)?;
    let sandbox = match record.status() {
        Status::Stopped | Status::Creating if args.all => return Ok(0),
        Status::Stopped | Status::Creating => bail!("container not running"),
        _ => record.sandbox,
    };
    match sandbox {
        // The sandbox is the container's alone, nothing in it outlives its first process, and what cannot be caught needs
        // no help from within. So it also ends one that no longer answers.
        Some(sandbox) if signal == SIGKILL => {
            sandbox.kill(Duration::ZERO);
        }
        _ => {
            let target = if args.all { SignalTarget::All } else { SignalTarget::Init };
            Control::connect(&root, &record)?.signal(&args.id, target, signal)?;
        }
    }
    Ok(0)
}
