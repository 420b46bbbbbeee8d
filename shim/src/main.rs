//! `containerd-shim-runsc-rs-v1`: what containerd talks to.
//!
//! One process per pod, or per container outside of pods. It serves containerd's Task service over ttrpc ([`service`]), runs
//! the command line for what is asked ([`runtime`]), and is the parent that the processes of its containers are left to, so
//! that it hears how each of them ends ([`exits`]). Containers and their processes are kept in [`container`] and [`process`],
//! their standard files in [`stdio`] and [`terminal`], what containerd configured in [`options`]; [`events`] tells containerd
//! what happens, [`oom`] listens for processes killed for want of memory, [`metrics`] turns numbers into containerd's types.
//!
//! It holds nothing that a restarted containerd could not ask for again. If it is killed itself, containerd calls
//! [`start::Service`]'s `delete`, which removes the container.
#![forbid(unsafe_code)]

mod container;
mod events;
mod exits;
mod logger;
mod metrics;
mod oom;
mod options;
mod process;
mod runtime;
mod service;
mod start;
mod stdio;
mod terminal;

/// The name under which containerd knows us.
const RUNTIME_ID: &str = "io.containerd.runsc-rs.v1";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // Output of containers passes through here. What we execute starts afresh.
    let _ = host::process::hide();
    containerd_shim::run::<start::Service>(RUNTIME_ID, None).await;
}
