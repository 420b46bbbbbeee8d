//! `wait`: waits for the end of a container, or of one of its processes, and prints the exit status.

use anyhow::{Result, bail};
use clap::Args;
use control::{ExitStatus, Status};

use crate::cli::Global;
use crate::sandbox::control::Control;
use crate::state::Root;

/// Whose end.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// A process in the container's pid namespace, instead of its first one
    #[arg(long)]
    pid: Option<u32>,
    /// Its name
    #[arg(value_name = "CONTAINER-ID")]
    id: String,
}

const KILLED: ExitStatus = ExitStatus::Signal(9);

pub(crate) fn main(global: &Global, args: &WaitArgs) -> Result<u8> {
    let root = Root::new(global.root.as_deref())?;
    let record = root.read(&args.id)?;
    match record.status() {
        Status::Stopped => bail!("container {} has stopped", args.id),
        Status::Creating => bail!("container {} is being created", args.id),
        _ => {}
    }
    let status = Control::connect(&root, &record)?.wait(&args.id, args.pid)?.unwrap_or(KILLED);
    let result = serde_json::json!({ "id": args.id, "exitStatus": status.shell_code() });
    super::print(&format!("{result}\n"))
}
