//! `create`: everything but running the program.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::cli::Global;
use crate::sandbox::create::{Options, container};

/// What to create.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// What `create` and `run` have in common.
#[derive(Debug, Args)]
pub(crate) struct CommonArgs {
    /// The bundle's directory [default: the current one]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// A unix socket that gets the master of the container's terminal
    #[arg(long, value_name = "SOCKET")]
    pub(crate) console_socket: Option<PathBuf>,
    /// Where to write the pid of the sandbox process
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Accepted and ignored: the container's root is a kernel's own
    #[arg(long, hide = true)]
    pub(crate) no_pivot: bool,
    /// Accepted and ignored: the container's keyrings are a kernel's own
    #[arg(long, hide = true)]
    pub(crate) no_new_keyring: bool,
    /// How many files after the standard ones to pass to the container
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) preserve_fds: u32,
    /// Its name
    #[arg(value_name = "CONTAINER-ID")]
    pub(crate) id: String,
}

impl CommonArgs {
    /// How to create it, detached and without running it.
    pub(crate) fn options(&self) -> Options<'_> {
        Options {
            bundle: self.bundle.as_deref(),
            console_socket: self.console_socket.as_deref(),
            pid_file: self.pid_file.as_deref(),
            preserve_fds: self.preserve_fds,
            ..Options::default()
        }
    }
}

pub(crate) fn main(global: &Global, args: &CreateArgs) -> Result<u8> {
    container(global, &args.common.id, &args.common.options()).context("runsc-rs create failed")?;
    Ok(0)
}
