//! containerd's Task service.
//!
//! Locks: one over the list of containers, never held over a wait.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use containerd_shim::asynchronous::ExitSignal;
use containerd_shim::protos::events::task::{
    TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted, TaskIO, TaskPaused, TaskResumed, TaskStart,
};
use containerd_shim::protos::protobuf::MessageField;
use containerd_shim::protos::protobuf::well_known_types::timestamp::Timestamp;
use containerd_shim::protos::ttrpc;
use containerd_shim::protos::types::task::ProcessInfo;
use containerd_shim::{Error, Task, TtrpcContext, api};
use parking_lot::{Mutex, MutexGuard};

use crate::container::Container;
use crate::events::Events;
use crate::exits::Exits;
use crate::metrics;
use crate::process::{End, Process, timestamp};

/// The containers of this shim.
pub(crate) struct Tasks {
    namespace: String,
    events: Events,
    exits: Exits,
    exit: Arc<ExitSignal>,
    containers: Mutex<HashMap<String, Arc<Container>>>,
}

type Reply<T> = ttrpc::Result<T>;

impl Tasks {
    pub(crate) fn new(namespace: String, events: Events, exits: Exits, exit: Arc<ExitSignal>) -> Self {
        Self { namespace, events, exits, exit, containers: Mutex::default() }
    }

    fn containers(&self) -> MutexGuard<'_, HashMap<String, Arc<Container>>> {
        self.containers.lock()
    }

    fn container(&self, id: &str) -> Result<Arc<Container>, Error> {
        let found = self.containers().get(id).cloned();
        found.ok_or_else(|| Error::NotFoundError(format!("container {id} does not exist")))
    }

    fn process(&self, id: &str, exec_id: &str) -> Result<(Arc<Container>, Arc<Process>), Error> {
        let container = self.container(id)?;
        let process = container.process(exec_id)?;
        Ok((container, process))
    }
}

#[async_trait]
impl Task for Tasks {
    async fn state(&self, _: &TtrpcContext, request: api::StateRequest) -> Reply<api::StateResponse> {
        let (container, process) = self.process(&request.id, &request.exec_id)?;
        let mut response = api::StateResponse::new();
        response.id = container.id.clone();
        response.bundle = container.bundle.to_string_lossy().into_owned();
        response.pid = pid_of(&process);
        response.status = process.status().into();
        response.stdin = process.stdio.input.clone();
        response.stdout = process.stdio.output.clone();
        response.stderr = process.stdio.errors.clone();
        response.terminal = process.stdio.terminal;
        response.exec_id = process.exec_id.clone();
        (response.exit_status, response.exited_at) = told(process.end());
        Ok(response)
    }

    async fn create(&self, _: &TtrpcContext, request: api::CreateTaskRequest) -> Reply<api::CreateTaskResponse> {
        if self.containers().contains_key(&request.id) {
            return Err(status(ttrpc::Code::ALREADY_EXISTS, &format!("container {} exists already", request.id)));
        }
        let container = Arc::new(Container::create(&request, &self.namespace, &self.exits).await?);
        let pid = pid_of(&container.init);
        self.events.send(TaskCreate {
            container_id: request.id.clone(),
            bundle: request.bundle.clone(),
            rootfs: request.rootfs.clone(),
            io: Some(TaskIO {
                stdin: request.stdin.clone(),
                stdout: request.stdout.clone(),
                stderr: request.stderr.clone(),
                terminal: request.terminal,
                ..TaskIO::default()
            })
            .into(),
            pid,
            ..TaskCreate::default()
        });
        container.follow(&container.init, &self.exits, &self.events);
        self.containers().insert(request.id.clone(), container);
        Ok(api::CreateTaskResponse { pid, ..Default::default() })
    }

    async fn start(&self, _: &TtrpcContext, request: api::StartRequest) -> Reply<api::StartResponse> {
        let (container, process) = self.process(&request.id, &request.exec_id)?;
        container.start(&process, &self.exits, &self.events).await?;
        let pid = pid_of(&process);
        let container_id = request.id;
        if request.exec_id.is_empty() {
            self.events.send(TaskStart { container_id, pid, ..TaskStart::default() });
        } else {
            let exec_id = request.exec_id;
            self.events.send(TaskExecStarted { container_id, exec_id, pid, ..TaskExecStarted::default() });
        }
        Ok(api::StartResponse { pid, ..Default::default() })
    }

    async fn delete(&self, _: &TtrpcContext, request: api::DeleteRequest) -> Reply<api::DeleteResponse> {
        let (container, process) = self.process(&request.id, &request.exec_id)?;
        let pid = pid_of(&process);
        if request.exec_id.is_empty() {
            container.delete().await?;
            // One that was created only ends by that.
            if pid > 0 && process.end().is_none() {
                process.wait().await;
            }
            self.containers().remove(&request.id);
        } else {
            container.forget(&process)?;
        }
        let (exit_status, exited_at) = told(process.end());
        if request.exec_id.is_empty() {
            let (container_id, exited_at) = (request.id, exited_at.clone());
            self.events.send(TaskDelete { container_id, pid, exit_status, exited_at, ..TaskDelete::default() });
        }
        Ok(api::DeleteResponse { pid, exit_status, exited_at, ..Default::default() })
    }

    async fn pids(&self, _: &TtrpcContext, request: api::PidsRequest) -> Reply<api::PidsResponse> {
        let pids = self.container(&request.id)?.pids();
        let info = |pid: i32| ProcessInfo { pid: pid.cast_unsigned(), ..Default::default() };
        Ok(api::PidsResponse { processes: pids.into_iter().map(info).collect(), ..Default::default() })
    }

    async fn pause(&self, _: &TtrpcContext, request: api::PauseRequest) -> Reply<api::Empty> {
        self.container(&request.id)?.set_paused(true).await?;
        self.events.send(TaskPaused { container_id: request.id, ..TaskPaused::default() });
        Ok(api::Empty::new())
    }

    async fn resume(&self, _: &TtrpcContext, request: api::ResumeRequest) -> Reply<api::Empty> {
        self.container(&request.id)?.set_paused(false).await?;
        self.events.send(TaskResumed { container_id: request.id, ..TaskResumed::default() });
        Ok(api::Empty::new())
    }

    async fn checkpoint(&self, _: &TtrpcContext, _: api::CheckpointTaskRequest) -> Reply<api::Empty> {
        Err(status(ttrpc::Code::UNIMPLEMENTED, "checkpoint is not supported in this version of runsc-rs"))
    }

    async fn kill(&self, _: &TtrpcContext, request: api::KillRequest) -> Reply<api::Empty> {
        let (container, process) = self.process(&request.id, &request.exec_id)?;
        container.kill(&process, request.signal, request.all).await?;
        Ok(api::Empty::new())
    }

    async fn exec(&self, _: &TtrpcContext, request: api::ExecProcessRequest) -> Reply<api::Empty> {
        self.container(&request.id)?.add(&request)?;
        let (container_id, exec_id) = (request.id, request.exec_id);
        self.events.send(TaskExecAdded { container_id, exec_id, ..TaskExecAdded::default() });
        Ok(api::Empty::new())
    }

    async fn resize_pty(&self, _: &TtrpcContext, request: api::ResizePtyRequest) -> Reply<api::Empty> {
        self.process(&request.id, &request.exec_id)?.1.resize(request.width, request.height)?;
        Ok(api::Empty::new())
    }

    async fn close_io(&self, _: &TtrpcContext, request: api::CloseIORequest) -> Reply<api::Empty> {
        let (_, process) = self.process(&request.id, &request.exec_id)?;
        if request.stdin {
            process.close_input();
        }
        Ok(api::Empty::new())
    }

    async fn update(&self, _: &TtrpcContext, request: api::UpdateTaskRequest) -> Reply<api::Empty> {
        self.container(&request.id)?.update(&request.resources.value).await?;
        Ok(api::Empty::new())
    }

    async fn wait(&self, _: &TtrpcContext, request: api::WaitRequest) -> Reply<api::WaitResponse> {
        let (_, process) = self.process(&request.id, &request.exec_id)?;
        let (exit_status, exited_at) = told(Some(process.wait().await));
        Ok(api::WaitResponse { exit_status, exited_at, ..Default::default() })
    }

    async fn stats(&self, _: &TtrpcContext, request: api::StatsRequest) -> Reply<api::StatsResponse> {
        let line = self.container(&request.id)?.stats().await?;
        Ok(api::StatsResponse { stats: Some(metrics::of_event(&line)?).into(), ..Default::default() })
    }

    async fn connect(&self, _: &TtrpcContext, request: api::ConnectRequest) -> Reply<api::ConnectResponse> {
        let container = self.container(&request.id)?;
        Ok(api::ConnectResponse {
            shim_pid: std::process::id(),
            task_pid: pid_of(&container.init),
            version: env!("CARGO_PKG_VERSION").into(),
            ..Default::default()
        })
    }

    async fn shutdown(&self, _: &TtrpcContext, request: api::ShutdownRequest) -> Reply<api::Empty> {
        // Another container of the pod may still need us.
        if request.now || self.containers().is_empty() {
            self.exit.signal();
        }
        Ok(api::Empty::new())
    }
}

fn pid_of(process: &Process) -> u32 {
    process.pid().cast_unsigned()
}

/// Exit status and time as containerd has them.
fn told(end: Option<End>) -> (u32, MessageField<Timestamp>) {
    (end.map_or(0, |end| end.status), end.map(|end| timestamp(end.at)).into())
}

fn status(code: ttrpc::Code, message: &str) -> ttrpc::Error {
    ttrpc::Error::RpcStatus(ttrpc::get_status(code, message))
}
