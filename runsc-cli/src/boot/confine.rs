//! What the sandbox process gives up before it meets anything of the container.

use std::collections::HashSet;

use anyhow::{Context, Result};
use caps::{CapSet, Capability};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// An empty read-only root, no way to gain privileges, next to no capabilities, descriptors as many as permitted.
///
/// Namespaces were made with the process; the filter follows when the platform has made its zygote, which must not have it.
pub(super) fn shut_in() -> Result<()> {
    let keep = kept_capabilities()?;
    host::empty_root::enter().context("empty root")?;
    nix::sys::prctl::set_no_new_privs().context("no_new_privs")?;
    drop_capabilities(&keep).context("capabilities")?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("RLIMIT_NOFILE")?;
    // A core file would hold the application's memory and have nowhere to go.
    setrlimit(Resource::RLIMIT_CORE, 0, 0).context("RLIMIT_CORE")?;
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    Ok(())
}

/// In a user namespace of our own CAP_SYS_PTRACE holds for our stubs only, and Yama's strictest setting asks for it.
fn kept_capabilities() -> Result<HashSet<Capability>> {
    let map = std::fs::read_to_string("/proc/self/uid_map")?;
    let own_namespace = !map.split_ascii_whitespace().eq(["0", "0", "4294967295"]);
    Ok(own_namespace.then_some(Capability::CAP_SYS_PTRACE).into_iter().collect())
}

fn drop_capabilities(keep: &HashSet<Capability>) -> Result<(), caps::errors::CapsError> {
    for capability in caps::runtime::procfs_all_supported(None).unwrap_or_else(|_| caps::all()) {
        // Fails without CAP_SETPCAP, where there is nothing in the bounding set that we could gain by an exec.
        let _ = caps::drop(None, CapSet::Bounding, capability);
    }
    caps::clear(None, CapSet::Ambient)?;
    caps::set(None, CapSet::Effective, keep)?;
    caps::set(None, CapSet::Permitted, keep)?;
    caps::clear(None, CapSet::Inheritable)
}
