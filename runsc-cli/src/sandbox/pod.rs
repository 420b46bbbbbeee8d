//! Containers of a pod: all but its first are built in the first one's sandbox.
//!
//! Who is in a pod the annotations of containerd's or CRI-O's CRI say. Such a container has a gofer of its own, and on the
//! host a process that stands in for it, a fork of the command line: its pid is what engines get, its exit status is the
//! container's, signals to it go on to the container, and if it is killed the container is.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, bail};
use control::wire::WireError;
use control::{ExitStatus, Request, Status};
use host::fork::{Side, fork_single_threaded};
use host::pidfd::PidFd;
use nix::unistd::Pid;
use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

use super::control::Control;
use super::create::{Created, DebugLog, Options, standard_files};
use super::foreground::Foreground;
use super::last_words::LastWords;
use super::launch::Launcher;
use super::making::Making;
use super::start;
use crate::channel::Channel;
use crate::cli::Global;
use crate::config::overlay::OverlayMode;
use crate::config::{Bundle, container};
use crate::state::Root;
use crate::state::process::ProcessId;
use crate::{hooks, terminal};

/// Annotations: which kind of container it is, and the id of the pod's first one.
const ANNOTATIONS: [(&str, &str); 2] = [
    ("io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id"),
    ("io.kubernetes.cri-o.ContainerType", "io.kubernetes.cri-o.SandboxID"),
];

/// What the process that stands in is told, and what it answers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Word;

/// The id of the container whose sandbox this one belongs to, if that is not its own.
pub(crate) fn of(spec: &Spec) -> Option<&str> {
    let annotations: &HashMap<String, String> = spec.annotations().as_ref()?;
    ANNOTATIONS.iter().find_map(|(kind, id)| {
        let kind = annotations.get(*kind)?;
        (kind == "container").then(|| annotations.get(*id).map(String::as_str))?
    })
}

/// Creates a container in the sandbox of a pod.
#[expect(clippy::too_many_arguments, reason = "what create was asked for, taken apart")]
pub(super) fn container(
    global: &Global,
    root: &Root,
    pod: &str,
    id: &str,
    options: &Options<'_>,
    bundle: &Bundle,
    overlay: &OverlayMode,
    mut files: Vec<(u32, OwnedFd)>,
) -> Result<Created> {
    let sandbox = root.read(pod).with_context(|| format!("sandbox {pod} of the pod"))?;
    if !matches!(sandbox.status(), Status::Created | Status::Running) {
        bail!("sandbox {pod} of the pod is {}", sandbox.status().as_str());
    }
    let (more, terminal) = standard_files(options, bundle)?;
    files.extend(more);
    // Forked before the container's directory is locked: the lock would be shared.
    let stand_in = StandIn::fork(root, pod, id, terminal.as_ref())?;
    let ours = terminal.filter(|_| options.console_socket.is_none()).map(|pair| pair.master);
    let mut making = Making::begin(global, root, id, bundle, Some(pod))?;
    making.owns(stand_in.pid, PidFd::open(stand_in.pid)?);
    let mut plan = container::plan(id, bundle, overlay, files, true)?;

    let debug_log = DebugLog::open(global)?;
    let (mut last_words, errors) = LastWords::pipe()?;
    let errors = debug_log.file("gofer", &errors)?;
    let launcher = Launcher::new(errors.try_clone()?, errors)?;
    let gofer = launcher.gofer(&bundle.spec, making.unified())?;
    drop(launcher);
    making.attach(&[stand_in.pid, gofer.process.pid])?;
    making.record.sandbox = Some(ProcessId::of(stand_in.pid)?);
    plan.gofer.log = debug_log.is_open().then_some(global.switches.debug);
    let (gofer, gofer_process) = making.release(gofer)?;
    making.record.gofer = Some(gofer_process);
    hooks::before_create(bundle, &making.record)?;
    let told = gofer.channel.send(&plan.gofer, &plan.gofer_files.fds());
    told.or_else(|e| if matches!(e, WireError::Io(_)) { Ok(()) } else { Err(e) })?; // who has died says why below
    drop((plan.gofer_files, gofer.channel));

    let control = Control::connect(root, &making.record)?;
    control.create(plan.container, &plan.files).map_err(|e| match last_words.read() {
        Some(words) => e.context(words),
        None => e,
    })?;
    match finish(root, &control, &mut making, stand_in, options) {
        Ok((foreground, sandbox)) => {
            Ok(Created { sandbox, terminal: ours, foreground, last_words, record: making.done() })
        }
        Err(e) => {
            let _ = control.destroy(id);
            Err(e)
        }
    }
}

/// What is left when the sandbox has built the container.
fn finish(
    root: &Root,
    control: &Control,
    making: &mut Making,
    stand_in: StandIn,
    options: &Options<'_>,
) -> Result<(Option<Foreground>, Pid)> {
    let pid = stand_in.pid;
    stand_in.attach()?;
    let foreground = making.created(options, pid)?;
    let record = &making.record;
    if options.start && hooks::has_start_container(record) {
        start::program(root, record)?;
    } else if options.start {
        control.start(&record.id)?;
    }
    Ok((foreground, pid))
}

/// The process that stands in for a container.
#[derive(Debug)]
struct StandIn {
    pid: Pid,
    channel: Channel,
}

impl StandIn {
    fn fork(root: &Root, pod: &str, id: &str, terminal: Option<&terminal::Pair>) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        match fork_single_threaded().context("cannot start the process that stands in")? {
            Side::Parent(pid) => Ok(Self { pid, channel: ours.into() }),
            Side::Child => {
                drop(ours);
                let slave = terminal.and_then(|pair| pair.slave.try_clone().ok());
                let status = stand_in(root, pod, id, &theirs.into(), slave);
                #[expect(clippy::disallowed_methods, reason = "the fork ends here, its maker's work is not its own")]
                std::process::exit(i32::from(status))
            }
        }
    }

    /// Lets it take its place, now that the container is there.
    fn attach(self) -> Result<()> {
        self.channel.send(&Word, &[]).context("the process that stands in has died")?;
        self.channel.recv::<Word>().context("the process that stands in cannot reach the sandbox")?;
        Ok(())
    }
}

/// The life of that process; its exit status.
fn stand_in(root: &Root, pod: &str, id: &str, creator: &Channel, slave: Option<OwnedFd>) -> u8 {
    const LOST: ExitStatus = ExitStatus::Signal(9);
    // Whoever reads what the container writes waits for the last writer, which must not be us.
    terminal::silence();
    let Ok(foreground) = Foreground::prepare() else { return u8::MAX };
    if creator.recv::<Word>().is_err() {
        return LOST.shell_code();
    }
    let Ok(channel) = Control::connect_to(root, pod).map(Control::into_channel) else { return LOST.shell_code() };
    if channel.send(&Request::StandIn { id: id.to_owned() }, &[]).is_err() || creator.send(&Word, &[]).is_err() {
        return LOST.shell_code();
    }
    foreground.stand_in(&channel, id, None, slave)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(annotations: serde_json::Value) -> Option<String> {
        let mut spec = Spec::default();
        spec.set_annotations(serde_json::from_value(annotations).unwrap());
        of(&spec).map(str::to_owned)
    }

    #[test]
    fn annotations_of_both_engines() {
        let containerd =
            |kind| json!({ "io.kubernetes.cri.container-type": kind, "io.kubernetes.cri.sandbox-id": "s" });
        assert_eq!(pod(containerd("container")).as_deref(), Some("s"));
        assert_eq!(pod(containerd("sandbox")), None);
        let crio = json!({ "io.kubernetes.cri-o.ContainerType": "container", "io.kubernetes.cri-o.SandboxID": "t" });
        assert_eq!(pod(crio).as_deref(), Some("t"));
        assert_eq!(pod(json!({})), None);
    }
}
