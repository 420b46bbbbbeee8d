//! Runs the program of a created container, after its startContainer hooks.
//!
//! Those are programs of the container, called in it: each is a process like those of `exec`, with the state on its input.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use control::wire::{Outgoing, WireError};
use control::{ExitStatus, ProcessSpec, Reply, Request, SignalTarget, Status};
use nix::fcntl::OFlag;
use oci_spec::runtime::Hook;

use super::control::Control;
use crate::config::{capabilities, container};
use crate::state::Root;
use crate::state::record::Record;

const SIGKILL: u8 = 9;
/// How much of what a hook writes is kept for the error.
const MOST_OUTPUT: u64 = 4096;

/// Runs the program. If a hook fails the container is killed.
pub(crate) fn program(root: &Root, record: &Record) -> Result<()> {
    let hooks = record.hooks.as_ref().and_then(|hooks| hooks.start_container().as_ref());
    let input = serde_json::to_vec(&record.public(Status::Created))?;
    for (number, hook) in hooks.into_iter().flatten().enumerate() {
        if let Err(e) = call(root, record, hook, &input) {
            let kill = |control: Control| control.signal(&record.id, SignalTarget::All, SIGKILL);
            let _ = Control::connect(root, record).and_then(kill);
            return Err(e.context(format!("error running startContainer hook #{number}")));
        }
    }
    Control::connect(root, record)?.start(&record.id)
}

fn call(root: &Root, record: &Record, hook: &Hook, input: &[u8]) -> Result<()> {
    let channel = Control::connect(root, record)?.into_channel();
    // Nobody waits on either pipe: the state fits into the first, and the second is read when the hook has ended.
    let pipe = |flags| nix::unistd::pipe2(OFlag::O_CLOEXEC | flags).context("cannot make a pipe");
    let (their_input, our_input) = pipe(OFlag::empty())?;
    let (our_output, their_output) = pipe(OFlag::O_NONBLOCK)?;
    let mut files = Outgoing::default();
    let errors = their_output.try_clone()?;
    let open: Vec<(u32, OwnedFd)> = vec![(0, their_input), (1, their_output), (2, errors)];
    let process = Box::new(container::with_files(describe(hook, &record.environment), open, &mut files));
    channel.send(&Request::Exec { id: record.id.clone(), process }, &files.fds())?;
    drop(files);
    match channel.recv::<Reply>().context("the sandbox has ended")?.0 {
        Reply::Started { .. } => {}
        Reply::Failed(failure) => return Err(failure.into()),
        other => bail!("unexpected reply {other:?}"),
    }
    // A hook may not want to read it; one that reads sees its end.
    let _ = File::from(our_input).write_all(input);
    let timeout = hook.timeout().and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
    let deadline = timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    channel.set_timeout(deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())))?;
    let status = match channel.recv::<Reply>() {
        Ok((Reply::Exited(status), _)) => status,
        // The connection closes, and the hook is killed.
        Err(WireError::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => {
            bail!("hook ran past specified timeout of {}.0s", timeout.unwrap_or_default())
        }
        _ => bail!("the sandbox has ended"),
    };
    if status != ExitStatus::Code(0) {
        let mut text = Vec::new();
        let _ = File::from(our_output).take(MOST_OUTPUT).read_to_end(&mut text);
        bail!("exit status: {}, output: {}", status.shell_code(), String::from_utf8_lossy(&text).trim_end());
    }
    Ok(())
}

/// The process of a hook: root of the container with all capabilities; without an environment of its own it gets that of the
/// container's process.
fn describe(hook: &Hook, environment: &[String]) -> ProcessSpec {
    let path = hook.path().to_string_lossy().into_owned();
    let rest = hook.args().iter().flatten().skip(1).cloned();
    let all = capabilities::every();
    ProcessSpec {
        args: std::iter::once(path).chain(rest).collect(),
        env: hook.env().clone().unwrap_or_else(|| environment.to_vec()),
        cwd: "/".into(),
        capabilities: control::spec::Capabilities {
            bounding: all,
            effective: all,
            permitted: all,
            ..control::spec::Capabilities::default()
        },
        ..ProcessSpec::default()
    }
}
