//! `boot`: the sandbox process. Process 1 of its pid namespace, so that its death takes its stubs along.
//!
//! In order: learn over file 3 what to build, shut ourselves in ([`confine`]), make the platform's zygote and the kernel
//! ([`kernel`]), put on the filter ([`filter`]), build the container, say so, wait for the word to go on. From then on the
//! control socket ([`server`]) is all that reaches us. Until that word the end of the launch socket ends us, so that a
//! killed command line leaves nothing; afterwards the end of the container does.

mod confine;
mod engine;
pub(crate) mod filter;
mod kernel;
pub(crate) mod logging;
mod server;
mod signals;

use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;

use control::spec::NetworkKind;
use control::wire::{Donated, WireError};
use control::{ContainerSpec, Failure, LaunchSpec, LinkSpec, Reply};
use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use engine::Engine;

/// Its zeroth argument.
pub(crate) const PROCESS_NAME: &str = "runsc-rs-boot";

/// The word to go on: the container is recorded, the command line may end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GoOn {
    /// Run the container's program now, without waiting for `start`.
    pub(crate) start: bool,
    /// The network device to take over.
    pub(crate) link: Option<LinkSpec>,
}

/// The whole process. Its exit status is that of the container's first process.
pub(crate) fn main() -> ExitCode {
    // A kernel that lost a thread must not go on half alive (release builds abort by themselves).
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        std::process::abort();
    }));
    let Ok(channel) = host::spawn::launch_socket().map(Channel::from) else { return ExitCode::FAILURE };
    match build(&channel) {
        Ok(sandbox) => {
            drop(channel);
            ExitCode::from(sandbox.run_to_end())
        }
        Err(failure) => {
            let _ = channel.send(&Reply::Failed(failure), &[]);
            ExitCode::FAILURE
        }
    }
}

/// A sandbox on its own, with its first container.
struct Sandbox {
    engine: Arc<dyn Engine>,
    waiters: server::Waiters,
    id: String,
}

impl Sandbox {
    /// Waits for the end of the container's first process, and returns its status as a shell would see it.
    fn run_to_end(self) -> u8 {
        let status = self.engine.wait(&self.id, None).map_or(u8::MAX, control::ExitStatus::shell_code);
        // Whoever asked how it ends shall hear it before we are gone.
        self.waiters.finish();
        // What the kernel holds goes with the process; taking it apart first would only take time.
        std::mem::forget(self.engine);
        status
    }
}

/// Does what the launch socket says, until the container is recorded and, if that was asked, runs.
fn build(channel: &Channel) -> Result<Sandbox, Failure> {
    let (launch, mut files): (LaunchSpec, Donated) = channel.recv().map_err(wire_failure)?;
    let LaunchSpec { sandbox, container } = launch;
    logging::start(sandbox.log.then_some(sandbox.debug));
    tracing::debug!(id = container.id, "sandbox starts");
    // Without it the host's cgroup alone holds what the kernel keeps for applications.
    if let Err(error) = host::own_memory::open() {
        tracing::warn!(%error, "cannot measure our own memory");
    }
    if let Some([usage, stat]) = sandbox.memory_charged {
        host::own_memory::set_cgroup(files.take(usage).map_err(wire_failure)?, files.take(stat).map_err(wire_failure)?);
    }
    let host_network = sandbox.network == NetworkKind::Host;
    confine::shut_in(host_network).map_err(|e| Failure::other(format!("cannot confine the sandbox: {e:#}")))?;
    if let Some(terminal) = terminal(&container, &files)? {
        host::tty::set_controlling(&terminal).map_err(|e| failure("cannot take the terminal", &e))?;
    }
    let signals = signals::Signals::block().map_err(|e| failure("cannot receive signals", &e))?;
    let control = files.take(sandbox.control).map_err(wire_failure)?;
    tracing::debug!("shut in");
    let kvm = sandbox.kvm.map(|slot| files.take(slot)).transpose().map_err(wire_failure)?;
    let (engine, platform) = kernel::boot(&sandbox, kvm)?;
    tracing::debug!("kernel made");
    // Only now: stubs of the ptrace platform must be traceable, and they are what we were when the zygote was cloned.
    host::process::forbid_dumps().map_err(|e| failure("cannot forbid dumps", &e))?;
    filter::put_on(platform, sandbox.debug, (host_network, sandbox.asks_engine))
        .map_err(|e| failure("cannot put on the filter", &e))?;
    tracing::debug!("filter put on");
    let id = container.id.clone();
    engine.create(container, files)?;
    tracing::debug!("container built");
    // Most of what the start needed is not needed again.
    host::program_text::forget();
    channel.send(&Reply::Done, &[]).map_err(wire_failure)?;
    let (go_on, mut files) = channel.recv::<GoOn>().map_err(wire_failure)?;
    if let Some(link) = &go_on.link {
        let wire = files.take(link.file).map_err(wire_failure)?;
        let name_server = link
            .name_server
            .iter()
            .map(|slot| files.take(*slot))
            .collect::<Result<Vec<_>, _>>()
            .map_err(wire_failure)?;
        engine.attach(link, wire, name_server)?;
    }
    let waiters = server::start(control, &engine).map_err(|e| failure("cannot serve the control socket", &e))?;
    signals.forward(&engine, &id).map_err(|e| failure("cannot forward signals", &e))?;
    if go_on.start {
        engine.start(&id)?;
        channel.send(&Reply::Done, &[]).map_err(wire_failure)?;
    }
    Ok(Sandbox { engine, waiters, id })
}

/// A copy of the container's terminal, if it has one.
fn terminal(container: &ContainerSpec, files: &Donated) -> Result<Option<OwnedFd>, Failure> {
    let input = container.process.files.iter().find(|file| file.number == 0);
    match input.filter(|_| container.process.terminal) {
        Some(input) => files.duplicate(input.file).map(Some).map_err(wire_failure),
        None => Ok(None),
    }
}

fn failure(what: &str, error: &std::io::Error) -> Failure {
    Failure::other(format!("{what}: {}", crate::config::plain(error)))
}

fn wire_failure(error: WireError) -> Failure {
    Failure::other(error.to_string())
}
