//! `completions` and `man`: what a shell and a reader get from the grammar of the command line.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;

/// For which shell.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Where to.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The directory to write a page per sub-command to
    directory: PathBuf,
}

pub(crate) fn completions(args: &CompletionsArgs) -> Result<u8> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), crate::NAME, &mut text);
    super::print(&String::from_utf8(text).context("completions are not UTF-8")?)
}

pub(crate) fn man(args: &ManArgs) -> Result<u8> {
    std::fs::create_dir_all(&args.directory).with_context(|| format!("cannot make {}", args.directory.display()))?;
    let command = Cli::command();
    let page = |name: String, command: clap::Command| -> Result<()> {
        let mut text = Vec::new();
        clap_mangen::Man::new(command.display_name(name.clone())).title(name.clone()).section("8").render(&mut text)?;
        let path = args.directory.join(format!("{name}.8"));
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    page(crate::NAME.to_owned(), command.clone())?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        page(format!("{}-{}", crate::NAME, sub.get_name()), sub.clone())?;
    }
    Ok(0)
}
