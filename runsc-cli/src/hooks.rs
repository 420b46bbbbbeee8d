//! Hooks: programs of the host that the configuration wants called, with the container's state on their input.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use host::pidfd::PidFd;
use nix::poll::PollTimeout;
use nix::unistd::Pid;
use oci_spec::runtime::Hook;

use crate::state::record::PublicState;

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
    command.args(arguments).env_clear();
    for (name, value) in hook.env().iter().flatten().filter_map(|variable| variable.split_once('=')) {
        command.env(name, value);
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
