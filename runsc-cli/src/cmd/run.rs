//! `run`: creates a container, runs its program and, unless detached, waits for its end and removes it.

use anyhow::{Context, Result};
use clap::Args;

use super::create::CommonArgs;
use crate::cli::Global;
use crate::sandbox::create::{Created, Options, container};
use crate::sandbox::remove;
use crate::state::Root;
use crate::{hooks, log};

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Do not wait for its end
    #[arg(short, long)]
    detach: bool,
    /// Do not remove it when it has ended
    #[arg(long)]
    keep: bool,
    /// Accepted and ignored: no process of a container is ever orphaned to the host
    #[arg(long, hide = true)]
    no_subreaper: bool,
}

pub(crate) fn main(global: &Global, args: &RunArgs) -> Result<u8> {
    let options = Options { foreground: !args.detach, start: true, ..args.common.options() };
    run(global, &args.common.id, &options, args.keep).context("runsc-rs run failed")
}

fn run(global: &Global, id: &str, options: &Options<'_>, keep: bool) -> Result<u8> {
    finish(global, id, container(global, id, options)?, keep)
}

/// The rest of a running container's life. In the foreground the result is the exit status of its first process.
pub(crate) fn finish(global: &Global, id: &str, mut created: Created, keep: bool) -> Result<u8> {
    let poststart = created.record.hooks.as_ref().and_then(|hooks| hooks.poststart().as_ref());
    if let Err(e) = hooks::run("poststart", poststart, &created.record.public(control::Status::Running)) {
        log::warning(&format!("{e:#}"));
    }
    let Some(foreground) = created.foreground else { return Ok(0) };
    let status = foreground.wait(created.sandbox, created.terminal);
    if let Some(words) = created.last_words.read() {
        log::warning(&format!("the sandbox said: {words}"));
    }
    if !keep {
        // It cannot be running any more, whatever went wrong while waiting.
        let root = Root::new(global.root.as_deref())?;
        let removed = root.lock(id).and_then(|locked| remove::container(&root, locked, id, true));
        if let Err(e) = removed {
            log::warning(&format!("{e:#}"));
        }
    }
    status
}
