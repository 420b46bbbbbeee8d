//! `do`: runs a command over a read-only view of this machine's files. What it writes is thrown away.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use oci_spec::runtime::{LinuxCapabilities, Spec};

use super::run;
use crate::cli::Global;
use crate::config::{Bundle, overlay::OverlayMode, template};
use crate::sandbox::create::{Options, of_bundle};
use crate::timestamp::Timestamp;

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct DoArgs {
    /// What the command sees as root
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Where it starts [default: where we are]
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Program and arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn main(global: &Global, args: &DoArgs) -> Result<u8> {
    do_command(global, args).context("runsc-rs do failed")
}

fn do_command(global: &Global, args: &DoArgs) -> Result<u8> {
    let rootfs = args.root.canonicalize().with_context(|| format!("invalid root {}", args.root.display()))?;
    let bundle = Bundle { path: rootfs.clone(), spec: spec(args)?, rootfs };
    let id = format!("do-{}-{}", Timestamp::now().compact(), std::process::id());
    let options = Options { foreground: true, start: true, ..Options::default() };
    let created = of_bundle(global, &id, &options, &bundle, &OverlayMode::Memory, Vec::new())?;
    run::finish(global, &id, created, false)
}

/// The template, with this command, our environment and all capabilities: it is our user on a machine of its own.
fn spec(args: &DoArgs) -> Result<Spec> {
    let mut spec: Spec = serde_json::from_str(template::DEFAULT).expect("the template is checked by a test");
    if let Some(mounts) = spec.mounts_mut() {
        mounts.retain(|mount| mount.typ().as_deref() != Some("cgroup"));
    }
    if let Some(root) = spec.root_mut() {
        root.set_readonly(Some(false));
    }
    spec.set_hostname(std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned()));
    let process = spec.process_mut().as_mut().context("the template has a process")?;
    process.set_args(Some(args.command.clone()));
    process.set_env(Some(environment()));
    process.set_terminal(Some(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()));
    process.set_no_new_privileges(Some(false));
    process.set_rlimits(None);
    let cwd = match &args.cwd {
        Some(cwd) => cwd.clone(),
        None => std::env::current_dir().unwrap_or_else(|_| "/".into()),
    };
    process.set_cwd(cwd);
    let all: oci_spec::runtime::Capabilities = crate::config::capabilities::all()
        .iter()
        .filter_map(|capability| serde_json::from_value(serde_json::Value::String(capability.to_string())).ok())
        .collect();
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(all.clone())).set_effective(Some(all.clone())).set_permitted(Some(all));
    sets.set_ambient(None).set_inheritable(None);
    process.set_capabilities(Some(sets));
    crate::config::process::check(process)?;
    Ok(spec)
}

fn environment() -> Vec<String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some(format!("{}={}", name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
