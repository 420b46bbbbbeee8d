//! `delete`: removes a container.

use anyhow::Result;
use clap::Args;

use crate::cli::Global;
use crate::sandbox::remove;
use crate::state::Root;

/// What to remove.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Also if it runs, and no error if there is none
    #[arg(short, long)]
    force: bool,
    /// Its name
    #[arg(value_name = "CONTAINER-ID")]
    id: String,
}

pub(crate) fn main(global: &Global, args: &DeleteArgs) -> Result<u8> {
    let root = Root::new(global.root.as_deref())?;
    let locked = match root.lock(&args.id) {
        Ok(locked) => locked,
        Err(_) if args.force && !root.directory(&args.id).exists() => return Ok(0),
        Err(e) => return Err(e),
    };
    remove::container(&root, locked, &args.id, args.force)?;
    Ok(0)
}
