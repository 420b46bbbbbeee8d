//! `install` and `uninstall`: make this runtime known to Docker and containerd, and take it out again.
//!
//! [`docker`] and [`containerd`] say how a configuration changes, as text to text, so that `--dry-run` shows just what would be
//! written. Everything else in the files stays as it is.

mod containerd;
mod docker;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::log;
use crate::state::replace;

/// What to change.
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// The runtime's name in the configurations
    #[arg(long, default_value = crate::NAME, value_name = "NAME")]
    name: String,
    /// Docker's configuration
    #[arg(long, default_value = "/etc/docker/daemon.json", value_name = "FILE")]
    docker: PathBuf,
    /// containerd's configuration
    #[arg(long, default_value = "/etc/containerd/config.toml", value_name = "FILE")]
    containerd: PathBuf,
    /// Leave Docker alone
    #[arg(long)]
    no_docker: bool,
    /// Leave containerd alone
    #[arg(long)]
    no_containerd: bool,
    /// Flags that Docker passes to the runtime
    #[arg(last = true, value_name = "FLAGS")]
    flags: Vec<String>,
}

/// The runtime as an engine is to know it.
#[derive(Clone, Debug)]
struct Runtime {
    name: String,
    path: String,
    flags: Vec<String>,
}

/// The shim that containerd looks for in its PATH.
const SHIM: &str = "containerd-shim-runsc-rs-v1";

pub(crate) fn main(args: &InstallArgs, install: bool) -> Result<u8> {
    let named = !args.name.is_empty() && args.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if !named {
        bail!("invalid name {:?}: letters, digits, - and _", args.name);
    }
    let path = std::env::current_exe().context("cannot find our own program")?;
    let path = path.to_str().context("the path of our own program is not UTF-8")?.to_owned();
    let runtime = Runtime { name: args.name.clone(), path, flags: args.flags.clone() };
    let mut output = String::new();
    if !args.no_docker {
        let change = |old: &str| if install { docker::with(old, &runtime) } else { docker::without(old, &runtime) };
        output += &change_file(&args.docker, args.dry_run, change)?;
    }
    if !args.no_containerd {
        let change =
            |old: &str| if install { containerd::with(old, &runtime) } else { containerd::without(old, &runtime) };
        output += &change_file(&args.containerd, args.dry_run, change)?;
        if install && !is_in_path(SHIM) {
            log::warning(&format!("{SHIM} is not in PATH: containerd will not find it"));
        }
    }
    super::print(&output)
}

/// Changes a file, or shows what it would become; says what was done.
fn change_file(path: &Path, dry_run: bool, change: impl FnOnce(&str) -> Result<Option<String>>) -> Result<String> {
    let old = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
    };
    let Some(new) = change(&old).with_context(|| format!("cannot understand {}", path.display()))? else {
        return Ok(format!("{}: nothing to change\n", path.display()));
    };
    if dry_run {
        return Ok(format!("{} would be:\n{new}", path.display()));
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    replace(path, new.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(format!("{}: written; restart the engine to have it read\n", path.display()))
}

fn is_in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
