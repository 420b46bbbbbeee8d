//! Hooks: programs of the host that the configuration wants called, with the container's state on their input.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use control::Status;
use host::pidfd::PidFd;
use nix::poll::PollTimeout;
use nix::unistd::Pid;
use oci_spec::runtime::Hook;

use crate::config::Bundle;
use crate::sandbox::launch::Joined;
use crate::state::record::{PublicState, Record};

/// Those that come before the container is built: prestart and createRuntime where we are, createContainer in the
/// container's network, which is the one namespace of its that the host has.
pub(crate) fn before_create(bundle: &Bundle, record: &Record) -> Result<()> {
    let Some(hooks) = bundle.spec.hooks() else { return Ok(()) };
    let state = record.public(Status::Creating);
    run("prestart", hooks.prestart().as_ref(), &state)?;
    run("createRuntime", hooks.create_runtime().as_ref(), &state)?;
    if hooks.create_container().as_ref().is_some_and(|hooks| !hooks.is_empty()) {
        let network = PathBuf::from(format!("/proc/{}/ns/net", state.pid));
        let joined = Joined::network(&network)?;
        run("createContainer", hooks.create_container().as_ref(), &state)?;
        drop(joined);
    }
    Ok(())
}

/// Whether there are startContainer hooks.
pub(crate) fn has_start_container(record: &Record) -> bool {
    let hooks = record.hooks.as_ref().and_then(|hooks| hooks.start_container().as_ref());
    hooks.is_some_and(|hooks| !hooks.is_empty())
}

/// Calls them in order. The first that fails ends it.
pub(crate) fn run(kind: &str, hooks: Option<&Vec<Hook>>, state: &PublicState) -> Result<()> {
    let Some(hooks) = hooks.filter(|hooks| !hooks.is_empty()) else { return Ok(()) };
    let input = serde_json::to_vec(state)?;
    for (number, hook) in hooks.iter().enumerate() {
        call(hook, &input, state).with_context(|| format!("error running {kind} hook #{number}"))?;
    }
    Ok(())
}

fn call(hook: &Hook, input: &[u8], state: &PublicState) -> Result<()> {
    let mut command = Command::new(hook.path());
    let mut arguments = hook.args().iter().flatten();
    if let Some(zeroth) = arguments.next() {
        command.arg0(zeroth);
    }
    command.args(arguments);
    // Without a list of its own it gets ours, as runc's hooks do.
    if let Some(variables) = hook.env() {
        command.env_clear();
        command.envs(variables.iter().filter_map(|variable| variable.split_once('=')));
    }
    command.current_dir(&state.bundle).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {}", hook.path().display()))?;
    if let Some(mut pipe) = child.stdin.take() {
        // A hook may not want to read it.
        let _ = pipe.write_all(input);
    }
    let process = PidFd::open(Pid::from_raw(i32::try_from(child.id())?))?;
    if let Some(timeout) = hook.timeout().and_then(|seconds| u64::try_from(seconds).ok()).filter(|s| *s > 0) {
        let deadline = Instant::now() + Duration::from_secs(timeout);
        let left = deadline.saturating_duration_since(Instant::now());
        if !process.exited_within(PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX))? {
            let _ = child.kill();
            let _ = child.wait();
            bail!("hook ran past specified timeout of {timeout}.0s");
        }
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("{}, stdout: {}, stderr: {}", output.status, out.trim_end(), err.trim_end());
    }
    Ok(())
}
