//! `debug`: what the kernel knows about itself, and what its processes could do to the host.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use clap::Args;
use control::spec::PlatformKind;
use host::filter::{Arg, Rule};
use sentry::syscall::Support;

use crate::boot::filter::rules;
use crate::cli::Global;
use crate::posture;
use crate::state::Root;

/// What to print.
#[derive(Debug, Args)]
pub(crate) struct DebugArgs {
    /// Every system call and how far it is supported
    #[arg(long)]
    syscalls: bool,
    /// Every system call that is absent or partial, with what is missing
    #[arg(long)]
    stubs: bool,
    /// What the processes of a container could do to the host
    #[arg(long, value_name = "CONTAINER-ID")]
    posture: Option<String>,
    /// The same for any processes
    #[arg(long, value_name = "PID,...", value_delimiter = ',')]
    posture_of: Vec<i32>,
    /// The host calls that each process may make, the ways in which it may, and why
    #[arg(long)]
    host_calls: bool,
}

pub(crate) fn main(global: &Global, args: &DebugArgs) -> Result<u8> {
    if let Some(id) = &args.posture {
        let root = Root::new(global.root.as_deref())?;
        return super::print(&posture::table(&posture::of_container(&root, &root.read(id)?)?));
    }
    if !args.posture_of.is_empty() {
        return super::print(&posture::table(&posture::of_processes(&args.posture_of)?));
    }
    if args.host_calls {
        return super::print(&host_calls()?);
    }
    if !args.syscalls && !args.stubs {
        bail!("debug: nothing to print: use --syscalls, --stubs, --host-calls, --posture or --posture-of");
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

/// A line for each rule: who, number, name, ways, reason; separated by tabs.
fn host_calls() -> Result<String> {
    let mut text = String::new();
    let mut list = |who: &str, rules: &[Rule]| -> Result<()> {
        for rule in rules {
            let name = syscalls::x86_64::TABLE.iter().find(|call| i64::try_from(call.nr) == Ok(rule.call));
            let name = name.context("a rule for a call that Linux does not have")?.name;
            let ways: Vec<String> = rule.ways.iter().map(|way| describe(way)).collect();
            let ways = if ways.is_empty() { "any".to_owned() } else { ways.join(" or ") };
            writeln!(text, "{who}\t{}\t{name}\t{ways}\t{}", rule.call, rule.why)?;
        }
        Ok(())
    };
    for (who, platform) in [
        ("sandbox/systrap", PlatformKind::Systrap),
        ("sandbox/ptrace", PlatformKind::Ptrace),
        ("sandbox/kvm", PlatformKind::Kvm),
    ] {
        for rules in rules::of(platform, false) {
            list(who, rules)?;
        }
    }
    list("sandbox/name-server", rules::NAME_SERVER)?;
    for rules in rules::HOST_NETWORK.iter().copied() {
        list("sandbox/host-network", rules)?;
    }
    list("gofer", gofer::jail::filter::RULES)?;
    Ok(text)
}

fn describe(way: &[Arg]) -> String {
    let conditions: Vec<String> = way
        .iter()
        .map(|arg| match arg {
            Arg::Is(index, value) => format!("arg{index} = {value:#x}"),
            Arg::Bits(index, mask, value) => format!("arg{index} & {mask:#x} = {value:#x}"),
            Arg::Descriptor(index) => format!("arg{index} is /proc/self/fd"),
        })
        .collect();
    conditions.join(", ")
}
