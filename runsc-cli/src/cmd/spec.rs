//! `spec`: writes a `config.json` to start from.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::config::template;

/// Which one and where.
#[derive(Debug, Args)]
pub(crate) struct SpecArgs {
    /// The bundle's directory [default: the current one]
    #[arg(short, long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// For a container started by somebody who is not root
    #[arg(long)]
    rootless: bool,
}

pub(crate) fn main(args: &SpecArgs) -> Result<u8> {
    let directory = args.bundle.clone().unwrap_or_else(|| ".".into());
    let path = directory.join("config.json");
    let text = if args.rootless {
        template::rootless(nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
    } else {
        template::DEFAULT.to_owned()
    };
    let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            bail!("File config.json exists. Remove it first");
        }
        Err(e) => bail!("open {}: {}", path.display(), crate::config::plain(&e)),
    };
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(0)
}
