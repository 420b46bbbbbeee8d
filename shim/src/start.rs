//! What containerd calls the program for: `start`, `delete`, and to serve.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use containerd_shim::asynchronous::publisher::RemotePublisher;
use containerd_shim::asynchronous::{ExitSignal, Shim, spawn};
use containerd_shim::util::write_str_to_file;
use containerd_shim::{Config, Error, Flags, StartOpts, api};
use serde::Deserialize;

use crate::events::Events;
use crate::exits::Exits;
use crate::options::Options;
use crate::process::timestamp;
use crate::runtime::Runtime;
use crate::service::Tasks;

/// Annotations that name the first container of a pod.
const GROUPS: [&str; 2] = ["io.kubernetes.cri.sandbox-id", "io.kubernetes.cri-o.SandboxID"];
/// How a container ended whose shim was killed.
const KILLED: u32 = 128 + 9;

/// The shim before it serves.
pub(crate) struct Service {
    exit: Arc<ExitSignal>,
    id: String,
    namespace: String,
}

/// What concerns us of `config.json`.
#[derive(Debug, Default, Deserialize)]
struct Spec {
    #[serde(default)]
    annotations: HashMap<String, String>,
}

#[async_trait]
impl Shim for Service {
    type T = Tasks;

    async fn new(_: &str, args: &Flags, _: &mut Config) -> Self {
        Self { exit: Arc::default(), id: args.id.clone(), namespace: args.namespace.clone() }
    }

    async fn start_shim(&mut self, opts: StartOpts) -> Result<String, Error> {
        // Containers of a pod find the shim of its first one at the same address.
        let group = group(Path::new("config.json")).unwrap_or_else(|| opts.id.clone());
        let address = spawn(opts, &group, Vec::new()).await?;
        write_str_to_file("address", &address).await?;
        Ok(address)
    }

    async fn delete_shim(&mut self) -> Result<api::DeleteResponse, Error> {
        let bundle = std::env::current_dir().map_err(|e| Error::Other(format!("no bundle: {e}")))?;
        let exits = Exits::listen().await?;
        let options = Options::recall(&bundle);
        let runtime = Runtime::new(&options, &self.namespace, exits);
        if let Err(e) = runtime.delete(&bundle, &self.id, true).await {
            log::warn!("{}: {e}", self.id);
        }
        let _ = containerd_shim::mount::umount_recursive(bundle.join("rootfs").to_str(), libc::MNT_DETACH);
        let mut response = api::DeleteResponse::new();
        response.exit_status = KILLED;
        response.exited_at = Some(timestamp(SystemTime::now())).into();
        Ok(response)
    }

    async fn wait(&mut self) {
        self.exit.wait().await;
    }

    async fn create_task_service(&self, publisher: RemotePublisher) -> Tasks {
        let events = Events::start(publisher, self.namespace.clone());
        // It only puts a subscriber into a list.
        let exits = Exits::listen().await.unwrap_or_else(|_| Exits::deaf());
        Tasks::new(self.namespace.clone(), events, exits, Arc::clone(&self.exit))
    }
}

/// The id of the first container of the pod that a configuration names.
pub(crate) fn group(config: &Path) -> Option<String> {
    let text = std::fs::read(config).ok()?;
    let spec: Spec = serde_json::from_slice(&text).ok()?;
    GROUPS.iter().find_map(|name| spec.annotations.get(*name).cloned())
}
