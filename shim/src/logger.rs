//! Logging of binary log URIs: a program that gets the container's output over pipes.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use containerd_shim::Error;

use crate::runtime::Files;
use crate::stdio::Uri;

/// Files that a logging program finds open: output, errors, and one it closes when it is ready.
const OUTPUT: i32 = 3;
const ERRORS: i32 = 4;
const READY: i32 = 5;

/// Starts the program of `binary://PATH?NAME=VALUE`; returns what the container writes to.
pub(crate) fn start(uri: &Uri<'_>, id: &str, namespace: &str) -> Result<(Files, Child), Error> {
    let failed = |e: std::io::Error| Error::Other(format!("cannot run logging program {}: {e}", uri.path));
    let (their_output, output) = std::io::pipe().map_err(failed)?;
    let (their_errors, errors) = std::io::pipe().map_err(failed)?;
    let (mut ready, their_ready) = std::io::pipe().map_err(failed)?;
    let mut command = Command::new(uri.path.as_ref());
    for (name, value) in &uri.arguments {
        command.arg(name.as_ref());
        if !value.is_empty() {
            command.arg(value.as_ref());
        }
    }
    command.env("CONTAINER_ID", id).env("CONTAINER_NAMESPACE", namespace);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let files: [(i32, OwnedFd); 3] =
        [(OUTPUT, their_output.into()), (ERRORS, their_errors.into()), (READY, their_ready.into())];
    let child = host::command::spawn_with_files(command, files.into()).map_err(failed)?;
    // It closes its end, or ends.
    let mut nothing = [0];
    let _ = std::io::Read::read(&mut ready, &mut nothing);
    let (output, errors) = (File::from(OwnedFd::from(output)), File::from(OwnedFd::from(errors)));
    Ok((Files { input: None, output: Some(output), errors: Some(errors) }, child))
}
