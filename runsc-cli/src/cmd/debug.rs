//! `debug`: what the kernel knows about itself.

use anyhow::{Result, bail};
use clap::Args;
use sentry::syscall::Support;

/// What to print.
#[derive(Debug, Args)]
pub(crate) struct DebugArgs {
    /// Every system call and how far it is supported
    #[arg(long)]
    syscalls: bool,
    /// Every system call that is absent or partial, with what is missing
    #[arg(long)]
    stubs: bool,
}

pub(crate) fn main(args: &DebugArgs) -> Result<u8> {
    if !args.syscalls && !args.stubs {
        bail!("debug: nothing to print: use --syscalls or --stubs");
    }
    let mut text = String::new();
    for call in syscalls::x86_64::TABLE {
        let (word, note) = match call.support {
            Support::Full => ("full", ""),
            Support::Partial(note) => ("partial", note),
            Support::Absent(note) => ("absent", note),
        };
        if args.syscalls || !matches!(call.support, Support::Full) {
            text += format!("{:>3} {:<24} {word:<8} {note}", call.nr, call.name).trim_end();
            text.push('\n');
        }
    }
    super::print(&text)
}
