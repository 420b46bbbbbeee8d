//! What the sandbox process gives up before it meets anything of the container.

use std::collections::HashSet;

use anyhow::{Context, Result};
use caps::{CapSet, Capability};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};

use crate::sandbox::launch::NOBODY;

/// An empty read-only root, no way to gain privileges, next to no capabilities, descriptors as many as permitted.
///
/// Namespaces were made with the process; the filter follows when the platform has made its zygote, which must not have it.
///
/// With the host's network it keeps what binding to low ports and raw sockets ask for.
pub(super) fn shut_in(host_network: bool) -> Result<()> {
    let own_namespace = in_own_user_namespace()?;
    let keep = kept_capabilities(own_namespace, host_network)?;
    host::empty_root::enter().context("empty root")?;
    prctl::set_no_new_privs().context("no_new_privs")?;
    if host_network && !own_namespace {
        become_nobody().context("become nobody")?;
    }
    drop_capabilities(&keep).context("capabilities")?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("RLIMIT_NOFILE")?;
    // A core file would hold the application's memory and have nowhere to go.
    setrlimit(Resource::RLIMIT_CORE, 0, 0).context("RLIMIT_CORE")?;
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    Ok(())
}

/// In a user namespace of our own CAP_SYS_PTRACE holds for our stubs only, and Yama's strictest setting asks for it.
///
/// For the host's network there is none, because capabilities over a network hold in the user namespace it belongs to.
fn kept_capabilities(own_namespace: bool, host_network: bool) -> Result<HashSet<Capability>> {
    if own_namespace {
        return Ok(HashSet::from([Capability::CAP_SYS_PTRACE]));
    }
    let network = HashSet::from([Capability::CAP_NET_BIND_SERVICE, Capability::CAP_NET_RAW]);
    let permitted = caps::read(None, CapSet::Permitted)?;
    Ok(if host_network { network.intersection(&permitted).copied().collect() } else { HashSet::new() })
}

fn in_own_user_namespace() -> Result<bool> {
    let map = std::fs::read_to_string("/proc/self/uid_map")?;
    Ok(!map.split_ascii_whitespace().eq(["0", "0", "4294967295"]))
}

/// Without a user namespace that would make us nobody: become it, and keep our capabilities until they are dropped.
fn become_nobody() -> Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    prctl::set_keepcaps(true)?;
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    prctl::set_keepcaps(false)?;
    caps::set(None, CapSet::Effective, &caps::read(None, CapSet::Permitted)?)?;
    // Our stubs are copies of us, and we trace them.
    prctl::set_dumpable(true)?;
    Ok(())
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
