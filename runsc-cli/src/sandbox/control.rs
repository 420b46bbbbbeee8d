//! Requests to a running sandbox.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use control::wire::WireError;
use control::{ExitStatus, ProcessInfo, Reply, Request, SignalTarget};

use crate::channel::Channel;
use crate::config::plain;
use crate::state;

/// How long a sandbox may take to answer what needs no waiting.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to the control socket of a sandbox.
#[derive(Debug)]
pub(crate) struct Control {
    channel: Channel,
}

impl Control {
    /// Connects to the sandbox of the container in that directory.
    pub(crate) fn connect(directory: &Path) -> Result<Self> {
        let stream = state::connect(directory).map_err(|e| anyhow!("cannot reach the sandbox: {}", plain(&e)))?;
        Ok(Self { channel: Channel::from(stream) })
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
