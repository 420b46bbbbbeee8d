//! `state`: what the specification says of a container.

use anyhow::Result;
use clap::Args;

use crate::cli::Global;
use crate::state::Root;

/// Whose state.
#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    /// Its name
    #[arg(value_name = "CONTAINER-ID")]
    id: String,
}

pub(crate) fn main(global: &Global, args: &StateArgs) -> Result<u8> {
    let record = Root::new(global.root.as_deref())?.read(&args.id)?;
    let state = record.public(record.status());
    super::print(&format!("{}\n", serde_json::to_string_pretty(&state)?))
}
