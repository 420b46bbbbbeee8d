//! `checkpoint` and `restore`: absent, with one clear error.

use anyhow::{Result, bail};
use clap::Args;

/// Whatever comes.
#[derive(Debug, Args)]
pub(crate) struct CheckpointArgs {
    /// Ignored
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

pub(crate) fn main(name: &str, _: &CheckpointArgs) -> Result<u8> {
    bail!("{name} is not supported in this version of {}", crate::NAME)
}
