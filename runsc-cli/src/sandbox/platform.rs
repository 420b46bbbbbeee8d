//! Which platform a sandbox gets, and what it needs to be given for it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use anyhow::{Result, anyhow};
use control::spec::PlatformKind;

use crate::cli::Platform;

const DEVICE: &str = "/dev/kvm";

/// The platform, and `/dev/kvm` where it is that one. Only with `--platform=auto` another one is taken instead.
pub(super) fn choose(platform: Platform, rewrite: bool) -> Result<(PlatformKind, Option<OwnedFd>)> {
    let systrap = if rewrite { PlatformKind::Systrap } else { PlatformKind::SystrapPlain };
    let kind = match platform {
        Platform::Ptrace => PlatformKind::Ptrace,
        Platform::Systrap => systrap,
        Platform::SystrapFutex => PlatformKind::SystrapFutex,
        Platform::SystrapEager => PlatformKind::SystrapEager,
        Platform::Kvm => {
            let device = open().map_err(|error| {
                anyhow!("cannot open {DEVICE} ({error}): use --platform=systrap, or auto to have it chosen")
            })?;
            return Ok((PlatformKind::Kvm, Some(device)));
        }
        // Without hardware virtualisation a system call costs several times what it does on systrap.
        Platform::Auto => match open() {
            Ok(device) if has_hardware() => return Ok((PlatformKind::Auto, Some(device))),
            Ok(_) => systrap,
            Err(error) => {
                tracing::debug!(%error, "no {DEVICE}");
                systrap
            }
        },
    };
    Ok((kind, None))
}

fn open() -> io::Result<OwnedFd> {
    File::options().read(true).write(true).open(DEVICE).map(OwnedFd::from)
}

/// Whether the CPU has what Intel or AMD call hardware virtualisation.
fn has_hardware() -> bool {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags")).unwrap_or_default();
    flags.split_ascii_whitespace().any(|flag| flag == "vmx" || flag == "svm")
}
