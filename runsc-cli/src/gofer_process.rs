//! `gofer`: the process that serves a container's files. It learns over its file 3 what to serve, shuts itself in, and ends
//! when the last connection has closed.

use std::process::ExitCode;

use anyhow::{Context, Result};
use control::spec::FdSlot;
use control::wire::Donated;
use gofer::{Connection, Export, FdDir};
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
    /// The tree's root, O_PATH.
    pub(crate) root: FdSlot,
    /// The connection.
    pub(crate) socket: FdSlot,
    /// Refuse changes.
    pub(crate) read_only: bool,
}

/// The whole process.
pub(crate) fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("gofer: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<()> {
    let (spec, mut donated) = receive()?;
    crate::boot::logging::start(spec.log);
    let mut connections = Vec::with_capacity(spec.exports.len());
    for export in &spec.exports {
        let root = Export::new(donated.take(export.root)?)?.read_only(export.read_only);
        connections.push(Connection { socket: donated.take(export.socket)?, export: root });
    }
    drop(donated);
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    let fds = shut_in()?;
    gofer::serve(connections, &fds).context("cannot serve")
}

/// The launch socket closes when this returns: what ends us is the end of our connections.
fn receive() -> Result<(GoferSpec, Donated)> {
    let channel = Channel::from(host::spawn::launch_socket()?);
    channel.recv().context("cannot learn what to serve")
}

/// Gives up everything that serving does not need.
fn shut_in() -> Result<FdDir> {
    nix::sys::prctl::set_no_new_privs()?;
    Ok(FdDir::from_proc()?)
}
