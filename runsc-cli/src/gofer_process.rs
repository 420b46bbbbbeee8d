//! `gofer`: the process that serves a container's files. It learns over its file 3 what to serve, shuts itself in, and ends
//! when the last connection has closed.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use control::spec::FdSlot;
use control::wire::Donated;
use gofer::jail::Mount;
use serde::{Deserialize, Serialize};

use crate::channel::Channel;

/// Its zeroth argument.
pub(crate) const PROCESS_NAME: &str = "runsc-rs-gofer";

/// What to serve.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct GoferSpec {
    /// A connection each.
    pub(crate) exports: Vec<ExportSpec>,
    /// `--debug`, if standard error is a debug log.
    pub(crate) log: Option<bool>,
}

/// One tree and who may use it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExportSpec {
    /// The directory or file, absolute.
    pub(crate) path: PathBuf,
    /// The connection.
    pub(crate) socket: FdSlot,
    /// What it was when the configuration was checked: device and inode number.
    pub(crate) identity: (u64, u64),
    /// Refuse changes.
    pub(crate) read_only: bool,
}

/// The whole process.
pub(crate) fn main() -> ExitCode {
    match serve() {
        Ok(()) => host::process::end(0),
        Err(e) => {
            eprintln!("gofer: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<()> {
    let (spec, mut donated) = receive()?;
    crate::boot::logging::start(spec.log);
    let log = spec.log;
    let mounts = spec.exports.into_iter().map(|export| {
        let ExportSpec { path, socket, identity, read_only } = export;
        Ok(Mount { socket: donated.take(socket)?, path, identity: Some(identity), read_only })
    });
    let mounts = mounts.collect::<Result<Vec<_>>>()?;
    drop(donated);
    // Most of what the start needed is not needed again.
    Ok(gofer::jail::run(mounts, log == Some(true), host::program_text::forget)?)
}

/// The launch socket closes when this returns: what ends us is the end of our connections.
fn receive() -> Result<(GoferSpec, Donated)> {
    let channel = Channel::from(host::spawn::launch_socket()?);
    channel.recv().context("cannot learn what to serve")
}
