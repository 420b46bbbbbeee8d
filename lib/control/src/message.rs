//! Requests and replies of the control socket.
//!
//! A connection carries any number of requests, answered in order, except that [`Request::Wait`] and
//! [`Request::Exec`] hold it until the process has exited.

use serde::{Deserialize, Serialize};

use crate::spec::{ContainerSpec, Limits, ProcessSpec};

/// What the command line asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Builds another container in this sandbox and loads its program. Answered by [`Reply::Done`].
    Create(Box<ContainerSpec>),
    /// Lets the first process of a created container run. Answered by [`Reply::Done`].
    Start {
        /// The container.
        id: String,
    },
    /// Sends a signal. Answered by [`Reply::Done`].
    Signal {
        /// The container.
        id: String,
        /// To whom.
        target: SignalTarget,
        /// Number, 0 to 64.
        signal: u8,
    },
    /// Answered by [`Reply::Exited`] once the process has exited.
    Wait {
        /// The container.
        id: String,
        /// A process in the container's pid namespace; its first one when absent.
        pid: Option<u32>,
    },
    /// Starts another process. Answered by [`Reply::Started`], then by [`Reply::Exited`]. While it runs the connection
    /// carries further requests of type [`Request::Signal`]; if it closes, the process is killed, so that a killed
    /// `exec` leaves nothing behind.
    Exec {
        /// The container.
        id: String,
        /// The process.
        process: Box<ProcessSpec>,
    },
    /// Answered by [`Reply::State`].
    State {
        /// The container.
        id: String,
    },
    /// Answered by [`Reply::Processes`].
    Ps {
        /// The container.
        id: String,
    },
    /// Stops all tasks. Answered by [`Reply::Done`].
    Pause {
        /// The container.
        id: String,
    },
    /// Lets them go on. Answered by [`Reply::Done`].
    Resume {
        /// The container.
        id: String,
    },
    /// Changes its limits; `u64::MAX` takes one away, what is absent stays. Answered by [`Reply::Done`].
    Update {
        /// The container.
        id: String,
        /// What it is limited to.
        limits: Limits,
    },
    /// Answered by [`Reply::Stats`].
    Stats {
        /// The container.
        id: String,
    },
    /// Answered by [`Reply::Stats`] once more than `seen` processes were killed for want of memory, or the container ended.
    WaitOom {
        /// The container.
        id: String,
        /// How many the caller knows of.
        seen: u64,
    },
    /// Answered by [`Reply::Exited`] once the container's first process has exited. Meanwhile the connection carries requests
    /// of type [`Request::Signal`]; if it closes, all processes of the container are killed: it belongs to the process that
    /// stands in for the container on the host.
    StandIn {
        /// The container.
        id: String,
    },
    /// Kills all processes of a container that is not the sandbox's first, and forgets it. Answered by [`Reply::Done`].
    Destroy {
        /// The container.
        id: String,
    },
}

/// Who gets a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignalTarget {
    /// The first process.
    Init,
    /// Every process of the container.
    All,
    /// A process in the container's pid namespace.
    Process(u32),
    /// The foreground process group of this process' controlling terminal, or the process when it has none.
    Foreground(u32),
}

/// What the sandbox answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Done,
    /// The new process, in the container's pid namespace.
    Started {
        /// Its pid.
        pid: u32,
    },
    /// How a process ended.
    Exited(ExitStatus),
    /// How a container is.
    State(Status),
    /// Its processes.
    Processes(Vec<ProcessInfo>),
    /// What it uses.
    Stats(ContainerStats),
    /// It did not work.
    Failed(Failure),
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// By exit(2).
    Code(u8),
    /// By a signal.
    Signal(u8),
}

impl ExitStatus {
    /// What a shell and a container engine see: 128 + n for signal n.
    #[must_use]
    pub const fn shell_code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 | (signal & 0x7f),
        }
    }
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Being built.
    Creating,
    /// Its program is loaded and waits for `start`.
    Created,
    /// Its program runs.
    Running,
    /// All its tasks are stopped.
    Paused,
    /// Its first process has ended.
    Stopped,
}

impl Status {
    /// The word of `state` and `list`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// One process of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessInfo {
    /// Pid in the container's pid namespace.
    pub pid: u32,
    /// Its parent's, 0 when that is outside.
    pub ppid: u32,
    /// Real uid.
    pub uid: u32,
    /// Threads.
    pub threads: u32,
    /// Start in seconds since 1970.
    pub start: u64,
    /// CPU time used, in milliseconds.
    pub cpu: u64,
    /// The controlling terminal, `pts/0`; empty when it has none.
    pub tty: String,
    /// The command line, arguments separated by spaces.
    pub command: String,
}

/// What a container uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStats {
    /// Memory in bytes.
    pub memory: u64,
    /// Most memory it may have.
    pub memory_limit: Option<u64>,
    /// Processes killed because it had too much.
    pub oom_kills: u64,
    /// CPU time in application code, nanoseconds.
    pub cpu_user: u64,
    /// CPU time in system calls, nanoseconds.
    pub cpu_system: u64,
    /// Tasks.
    pub processes: u64,
    /// Most tasks it may have.
    pub processes_limit: Option<u64>,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind, for the exit status and the engine's own reaction.
    pub kind: FailureKind,
    /// One line, without a full stop.
    pub message: String,
}

impl Failure {
    /// A failure of no particular kind.
    #[must_use]
    pub fn other(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Other, message: message.into() }
    }
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// The program is not in the container: ENOENT for a path, nothing in PATH for a name.
    ProgramNotFound,
    /// The program may not be executed: EACCES, EISDIR, ENOEXEC, and so on. The number is the errno.
    ProgramUnusable(u16),
    /// No such container or process.
    NotFound,
    /// The container is not in a state that allows it.
    WrongState,
    /// Anything else.
    Other,
}
