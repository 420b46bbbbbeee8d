//! Requests to a running sandbox.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use control::spec::Limits;
use control::wire::Outgoing;
use control::wire::WireError;
use control::{ContainerSpec, ContainerStats, ExitStatus, ProcessInfo, Reply, Request, SignalTarget};

use crate::channel::Channel;
use crate::config::plain;
use crate::state::record::Record;
use crate::state::{self, Root};

/// How long a sandbox may take to answer what needs no waiting.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to the control socket of a sandbox.
#[derive(Debug)]
pub(crate) struct Control {
    channel: Channel,
}

impl Control {
    /// Connects to the sandbox that a container is in: its own, or that of its pod.
    pub(crate) fn connect(root: &Root, record: &Record) -> Result<Self> {
        Self::connect_to(root, record.pod.as_ref().unwrap_or(&record.id))
    }

    /// Connects to the sandbox whose first container that is.
    pub(crate) fn connect_to(root: &Root, id: &str) -> Result<Self> {
        let stream =
            state::connect(&root.directory(id)).map_err(|e| anyhow!("cannot reach the sandbox: {}", plain(&e)))?;
        Ok(Self { channel: Channel::from(stream) })
    }

    /// Builds another container in the sandbox.
    pub(crate) fn create(&self, container: ContainerSpec, files: &Outgoing) -> Result<()> {
        self.channel.send(&Request::Create(Box::new(container)), &files.fds()).map_err(gone)?;
        match self.channel.recv::<Reply>().map_err(gone)?.0 {
            Reply::Done => Ok(()),
            Reply::Failed(failure) => Err(failure.into()),
            other => bail!("unexpected reply {other:?}"),
        }
    }

    /// Stops all tasks of a container, or lets them go on.
    pub(crate) fn set_paused(&self, id: &str, paused: bool) -> Result<()> {
        let id = id.to_owned();
        self.done(&if paused { Request::Pause { id } } else { Request::Resume { id } })
    }

    /// Changes what a container is limited to.
    pub(crate) fn update(&self, id: &str, limits: Limits) -> Result<()> {
        self.done(&Request::Update { id: id.to_owned(), limits })
    }

    /// What a container uses.
    pub(crate) fn stats(&self, id: &str) -> Result<ContainerStats> {
        match self.ask(&Request::Stats { id: id.to_owned() })? {
            Reply::Stats(stats) => Ok(stats),
            other => bail!("unexpected reply {other:?}"),
        }
    }

    /// Asks to be told when more than `seen` processes of a container were killed for want of memory, or it has ended.
    pub(crate) fn watch_oom(&self, id: &str, seen: u64) -> Result<()> {
        self.channel.send(&Request::WaitOom { id: id.to_owned(), seen }, &[]).map_err(gone)
    }

    /// What was asked with [`Self::watch_oom`], if it comes in that time. An end of the sandbox is an end of the container.
    pub(crate) fn told_oom(&self, patience: Duration) -> Result<Option<ContainerStats>> {
        self.channel.set_timeout(Some(patience))?;
        match self.channel.recv::<Reply>() {
            Ok((Reply::Stats(stats), _)) => Ok(Some(stats)),
            Err(WireError::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            _ => Ok(Some(ContainerStats::default())),
        }
    }

    /// Has the sandbox of a pod forget a container, whose processes are killed.
    pub(crate) fn destroy(&self, id: &str) -> Result<()> {
        self.done(&Request::Destroy { id: id.to_owned() })
    }

    /// Runs the program of a created container.
    pub(crate) fn start(&self, id: &str) -> Result<()> {
        self.done(&Request::Start { id: id.to_owned() })
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, id: &str, target: SignalTarget, signal: u8) -> Result<()> {
        self.done(&Request::Signal { id: id.to_owned(), target, signal })
    }

    /// Waits for a process to end. `None` if the sandbox was killed meanwhile.
    pub(crate) fn wait(&self, id: &str, pid: Option<u32>) -> Result<Option<ExitStatus>> {
        self.channel.send(&Request::Wait { id: id.to_owned(), pid }, &[])?;
        match self.channel.recv::<Reply>() {
            Ok((Reply::Exited(status), _)) => Ok(Some(status)),
            Ok((Reply::Failed(failure), _)) => Err(failure.into()),
            Ok((other, _)) => bail!("unexpected reply {other:?}"),
            Err(WireError::Closed | WireError::Io(_)) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// The processes of a container.
    pub(crate) fn processes(&self, id: &str) -> Result<Vec<ProcessInfo>> {
        match self.ask(&Request::Ps { id: id.to_owned() })? {
            Reply::Processes(processes) => Ok(processes),
            other => bail!("unexpected reply {other:?}"),
        }
    }

    /// The connection, for `exec`.
    pub(crate) fn into_channel(self) -> Channel {
        self.channel
    }

    fn done(&self, request: &Request) -> Result<()> {
        match self.ask(request)? {
            Reply::Done => Ok(()),
            other => bail!("unexpected reply {other:?}"),
        }
    }

    fn ask(&self, request: &Request) -> Result<Reply> {
        self.channel.set_timeout(Some(PATIENCE))?;
        self.channel.send(request, &[]).map_err(gone)?;
        let (reply, _) = self.channel.recv::<Reply>().map_err(gone)?;
        self.channel.set_timeout(None)?;
        match reply {
            Reply::Failed(failure) => Err(failure.into()),
            reply => Ok(reply),
        }
    }
}

fn gone(error: WireError) -> anyhow::Error {
    match error {
        WireError::Io(e) if e.kind() == std::io::ErrorKind::WouldBlock => anyhow!("the sandbox does not answer"),
        WireError::Closed | WireError::Io(_) => anyhow!("the sandbox has ended"),
        malformed @ WireError::Malformed(_) => malformed.into(),
    }
}
