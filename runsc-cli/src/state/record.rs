//! `state.json`, and what `state` and `list` print of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use control::Status;
use oci_spec::runtime::Hooks;
use serde::{Deserialize, Serialize};

use super::process::ProcessId;
use crate::cgroup::Cgroups;

/// The version of the specification that we follow.
pub(crate) const OCI_VERSION: &str = "1.0.2-dev";

/// What we remember of a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// `ociVersion` of its configuration.
    pub(crate) oci_version: String,
    /// Its id.
    pub(crate) id: String,
    /// Its bundle.
    pub(crate) bundle: PathBuf,
    /// Its root file system.
    pub(crate) rootfs: PathBuf,
    /// When it was created.
    pub(crate) created: String,
    /// Who created it.
    pub(crate) owner: u32,
    /// Where it was in its life when the record was written. [`Self::status`] says where it is now.
    pub(crate) last_status: Status,
    /// The container whose sandbox it is in, if that is not its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<String>,
    /// Its sandbox, or in a pod the process that stands in for it; absent until it is up.
    pub(crate) sandbox: Option<ProcessId>,
    /// Its gofer; absent until it is up.
    pub(crate) gofer: Option<ProcessId>,
    /// Cgroups that were made for it.
    pub(crate) cgroups: Cgroups,
    /// Annotations of its configuration.
    pub(crate) annotations: BTreeMap<String, String>,
    /// Hooks of its configuration, for those that run after the bundle may be gone.
    pub(crate) hooks: Option<Hooks>,
    /// The environment of its process, if there are startContainer hooks to inherit it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) environment: Vec<String>,
}

/// What `state` prints, and what hooks get.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PublicState {
    pub(crate) oci_version: String,
    pub(crate) id: String,
    pub(crate) pid: i32,
    pub(crate) status: &'static str,
    pub(crate) bundle: PathBuf,
    pub(crate) rootfs: PathBuf,
    pub(crate) created: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) owner: String,
}

impl Record {
    /// Where it is in its life now.
    pub(crate) fn status(&self) -> Status {
        match self.sandbox {
            Some(sandbox) if sandbox.alive().is_some() => self.last_status,
            None if self.last_status == Status::Creating => Status::Creating,
            _ => Status::Stopped,
        }
    }

    /// What others may know, with that status.
    pub(crate) fn public(&self, status: Status) -> PublicState {
        let alive = self.sandbox.filter(|_| status != Status::Stopped);
        PublicState {
            oci_version: self.oci_version.clone(),
            id: self.id.clone(),
            pid: alive.map_or(0, |process| process.pid),
            status: status.as_str(),
            bundle: self.bundle.clone(),
            rootfs: self.rootfs.clone(),
            created: self.created.clone(),
            annotations: self.annotations.clone(),
            owner: String::new(),
        }
    }

    /// The name of who created it, or the number where there is none.
    pub(crate) fn owner_name(&self) -> String {
        let user = std::fs::read_to_string("/etc/passwd").ok().and_then(|passwd| {
            let number = self.owner.to_string();
            passwd.lines().find_map(|line| {
                let mut fields = line.split(':');
                let (name, uid) = (fields.next()?, fields.nth(1)?);
                (uid == number).then(|| name.to_owned())
            })
        });
        user.unwrap_or_else(|| format!("#{}", self.owner))
    }
}
