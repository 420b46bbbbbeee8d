//! `runsc-rs`, the OCI command line, and the processes it starts.
//!
//! One binary, three programs. Called by an engine or a shell it is the command line ([`cli`], [`cmd`]). It executes itself
//! again as `boot`, the sandbox process ([`boot`]), and as `gofer`, the file server ([`gofer_process`]). Those two never
//! parse a command line: what they do they learn over the socket that is their file 3.
//!
//! - [`config`] turns `config.json` into what the kernel is told to build;
//! - [`state`] keeps a directory per container; [`cgroup`] and [`hooks`] serve what the OCI specification asks;
//! - [`sandbox`] starts, finds, talks to and removes the processes of a container.
#![forbid(unsafe_code)]

mod boot;
mod cgroup;
mod channel;
mod cli;
mod cmd;
mod config;
mod gofer_process;
mod hooks;
mod log;
mod posture;
mod sandbox;
mod signals;
mod state;
mod terminal;
mod timestamp;

use std::process::ExitCode;

/// The name under which we speak of ourselves.
const NAME: &str = "runsc-rs";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    if arguments.next().is_some_and(|zeroth| zeroth == boot::PROCESS_NAME) {
        return boot::main();
    }
    if std::env::args_os().next().is_some_and(|zeroth| zeroth == gofer_process::PROCESS_NAME) {
        return gofer_process::main();
    }
    cmd::main()
}
