//! `features`: what this runtime can do, as the specification's features structure.

use anyhow::Result;
use serde_json::json;

use crate::config::{capabilities, mounts};
use crate::state::record::OCI_VERSION;

pub(crate) fn main() -> Result<u8> {
    let capabilities: Vec<_> = capabilities::all().iter().map(ToString::to_string).collect();
    let features = json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": ["prestart", "createRuntime", "createContainer", "poststart", "poststop"],
        "mountOptions": mounts::option_names(),
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"],
            "capabilities": capabilities,
            "cgroup": { "v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": false },
            "seccomp": { "enabled": false },
            "apparmor": { "enabled": false },
            "selinux": { "enabled": false },
            "intelRdt": { "enabled": false },
        },
        "annotations": {
            "runsc-rs.version": env!("CARGO_PKG_VERSION"),
            "runsc-rs.platforms": "systrap,ptrace",
        },
    });
    super::print(&format!("{}\n", serde_json::to_string_pretty(&features)?))
}
