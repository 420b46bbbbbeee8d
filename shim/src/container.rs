//! A container: its first process, those of `exec`, and how it is made and removed.
//!
//! Locks: one over the list of processes, never held over a wait.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use containerd_shim::Error;
use containerd_shim::api::{CreateTaskRequest, ExecProcessRequest};
use containerd_shim::protos::events::task::TaskExit;
use containerd_shim::util::{mkdir, mount_rootfs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::{Mutex, MutexGuard};

use crate::events::Events;
use crate::exits::Exits;
use crate::options::Options;
use crate::process::{Process, timestamp};
use crate::runtime::{Files, Runtime, Starting};
use crate::stdio::{Ends, Stdio};
use crate::terminal::Console;
use crate::{oom, start};

/// A container.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) bundle: PathBuf,
    pub(crate) init: Arc<Process>,
    runtime: Runtime,
    namespace: String,
    /// We have mounted its root file system.
    mounted: bool,
    execs: Mutex<HashMap<String, Arc<Process>>>,
}

impl Container {
    /// Makes it, with everything but its program running.
    pub(crate) async fn create(request: &CreateTaskRequest, namespace: &str, exits: &Exits) -> Result<Self, Error> {
        if !request.checkpoint.is_empty() {
            return Err(Error::Unimplemented("restoring a checkpoint is not supported".into()));
        }
        let options = Options::of_request(request.options.as_ref())?;
        let bundle = PathBuf::from(&request.bundle);
        options.remember(&bundle)?;
        let rootfs = bundle.join("rootfs");
        if !request.rootfs.is_empty() {
            mkdir(&rootfs, 0o711).await?;
        }
        for mount in &request.rootfs {
            if let Err(e) = mount_rootfs(mount, &rootfs).await {
                unmount(&rootfs);
                return Err(e);
            }
        }
        let stdio = Stdio {
            input: request.stdin.clone(),
            output: request.stdout.clone(),
            errors: request.stderr.clone(),
            terminal: request.terminal,
        };
        let container = Self {
            id: request.id.clone(),
            runtime: Runtime::new(&options, namespace, exits.clone()),
            init: Arc::new(Process::new("", stdio, None)),
            namespace: namespace.to_owned(),
            mounted: !request.rootfs.is_empty(),
            bundle,
            execs: Mutex::default(),
        };
        if let Err(e) = container.make(&container.init).await {
            container.unmount();
            return Err(e);
        }
        Ok(container)
    }

    /// Notes another process, to be started.
    pub(crate) fn add(&self, request: &ExecProcessRequest) -> Result<(), Error> {
        let id = &request.exec_id;
        if id.is_empty() || id.contains('/') || id == "." || id == ".." {
            return Err(Error::InvalidArgument(format!("invalid exec id {id:?}")));
        }
        let mut execs = self.execs();
        if execs.contains_key(id) {
            return Err(Error::FailedPreconditionError(format!("process {id} exists already")));
        }
        let description = self.bundle.join(format!("{id}-process.json"));
        std::fs::write(&description, &request.spec.value)
            .map_err(|e| Error::Other(format!("cannot write {}: {e}", description.display())))?;
        let stdio = Stdio {
            input: request.stdin.clone(),
            output: request.stdout.clone(),
            errors: request.stderr.clone(),
            terminal: request.terminal,
        };
        execs.insert(id.clone(), Arc::new(Process::new(id, stdio, Some(description))));
        Ok(())
    }

    /// The process with that id, the first one if it is empty.
    pub(crate) fn process(&self, exec_id: &str) -> Result<Arc<Process>, Error> {
        if exec_id.is_empty() {
            return Ok(Arc::clone(&self.init));
        }
        let found = self.execs().get(exec_id).cloned();
        found.ok_or_else(|| Error::NotFoundError(format!("process {exec_id} does not exist")))
    }

    /// Runs a process.
    pub(crate) async fn start(&self, process: &Arc<Process>, exits: &Exits, events: &Events) -> Result<(), Error> {
        if process.description.is_some() {
            self.make(process).await?;
            self.follow(process, exits, events);
        } else {
            self.runtime.simple(&self.bundle, &["start"], &self.id).await?;
            let pod = start::group(&self.bundle.join("config.json")).unwrap_or_else(|| self.id.clone());
            oom::watch(&self.runtime.directory(&pod), &self.id, events);
        }
        process.set_started();
        Ok(())
    }

    /// Tells of a process' end, when it comes.
    pub(crate) fn follow(&self, process: &Arc<Process>, exits: &Exits, events: &Events) {
        let (process, exits, events, container_id) =
            (Arc::clone(process), exits.clone(), events.clone(), self.id.clone());
        tokio::spawn(async move {
            let pid = process.pid();
            let status = u32::try_from(exits.wait(pid).await).unwrap_or(255);
            let end = process.set_ended(status).await;
            let id = if process.exec_id.is_empty() { container_id.clone() } else { process.exec_id.clone() };
            events.send(TaskExit {
                container_id,
                id,
                pid: pid.cast_unsigned(),
                exit_status: end.status,
                exited_at: Some(timestamp(end.at)).into(),
                ..TaskExit::default()
            });
        });
    }

    /// Creates the container, or starts a process of `exec`.
    async fn make(&self, process: &Process) -> Result<(), Error> {
        let name = if process.exec_id.is_empty() { "init" } else { &process.exec_id };
        let pid_file = self.bundle.join(format!("{name}.pid"));
        let (mut files, mut ends, mut console) = (Files::default(), Ends::default(), None);
        if process.stdio.terminal {
            console = Some(Console::listen(&self.bundle, name)?);
        } else {
            (files, ends) = process.stdio.open(&self.id, &self.namespace)?;
        }
        let socket = console.as_ref().map(|console| console.path().to_owned());
        let starting = Starting { bundle: &self.bundle, pid_file: &pid_file, console: socket.as_deref() };
        let pid = match &process.description {
            None => self.runtime.create(&self.id, starting, files).await?,
            Some(description) => self.runtime.exec(&self.id, description, starting, files).await?,
        };
        let terminal = console.map(|console| console.take(&process.stdio, &mut ends)).transpose()?;
        process.created(pid, ends, terminal);
        Ok(())
    }

    /// Sends a signal to a process.
    pub(crate) async fn kill(&self, process: &Process, signal: u32, all: bool) -> Result<(), Error> {
        let finished = || Error::NotFoundError("process already finished".into());
        if process.end().is_some() {
            return Err(finished());
        }
        if process.exec_id.is_empty() {
            return self.runtime.kill(&self.bundle, &self.id, signal, all).await;
        }
        let pid = process.pid();
        if pid <= 0 {
            return Err(Error::FailedPreconditionError("process not started".into()));
        }
        let number = i32::try_from(signal).ok().and_then(|number| Signal::try_from(number).ok());
        let signal = number.ok_or_else(|| Error::InvalidArgument(format!("no such signal: {signal}")))?;
        // It forwards what it gets.
        kill(Pid::from_raw(pid), signal).map_err(|_| finished())
    }

    /// Stops all its processes, or lets them go on.
    pub(crate) async fn set_paused(&self, paused: bool) -> Result<(), Error> {
        self.runtime.simple(&self.bundle, &[if paused { "pause" } else { "resume" }], &self.id).await?;
        self.init.set_paused(paused);
        Ok(())
    }

    /// What it uses, as a line of JSON.
    pub(crate) async fn stats(&self) -> Result<String, Error> {
        self.runtime.simple(&self.bundle, &["events", "--stats"], &self.id).await
    }

    /// Changes what it is limited to, given as JSON.
    pub(crate) async fn update(&self, resources: &[u8]) -> Result<(), Error> {
        let file = self.bundle.join("update-resources.json");
        std::fs::write(&file, resources).map_err(|e| Error::Other(format!("cannot write {}: {e}", file.display())))?;
        let shown = file.to_string_lossy().into_owned();
        let result = self.runtime.simple(&self.bundle, &["update", "--resources", &shown], &self.id).await;
        let _ = std::fs::remove_file(&file);
        result.map(drop)
    }

    /// The processes of the host that stand for its own.
    pub(crate) fn pids(&self) -> Vec<i32> {
        let mut pids = vec![self.init.pid()];
        pids.extend(self.execs().values().filter(|process| process.end().is_none()).map(|process| process.pid()));
        pids.retain(|pid| *pid > 0);
        pids
    }

    /// Forgets a process of `exec` that has ended or was never started.
    pub(crate) fn forget(&self, process: &Process) -> Result<(), Error> {
        if process.end().is_none() && process.pid() > 0 {
            return Err(Error::FailedPreconditionError("process is still running".into()));
        }
        if let Some(description) = &process.description {
            let _ = std::fs::remove_file(description);
        }
        let _ = std::fs::remove_file(self.bundle.join(format!("{}.pid", process.exec_id)));
        self.execs().remove(&process.exec_id);
        Ok(())
    }

    /// Removes the container itself.
    pub(crate) async fn delete(&self) -> Result<(), Error> {
        if self.init.end().is_none() && self.init.is_started() {
            return Err(Error::FailedPreconditionError(format!("container {} is still running", self.id)));
        }
        self.runtime.delete(&self.bundle, &self.id, true).await?;
        self.unmount();
        Ok(())
    }

    fn unmount(&self) {
        if self.mounted {
            unmount(&self.bundle.join("rootfs"));
        }
    }

    fn execs(&self) -> MutexGuard<'_, HashMap<String, Arc<Process>>> {
        self.execs.lock()
    }
}

fn unmount(rootfs: &Path) {
    if let Err(e) = containerd_shim::mount::umount_recursive(rootfs.to_str(), libc::MNT_DETACH) {
        log::warn!("cannot unmount {}: {e}", rootfs.display());
    }
}
