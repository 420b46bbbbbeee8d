//! One process: a container's first, or one of `exec`.
//!
//! Locks: one over its small state, never held over a wait.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use containerd_shim::Error;
use containerd_shim::api::Status;
use containerd_shim::protos::protobuf::well_known_types::timestamp::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::stdio::{Ends, Stdio};
use crate::terminal::Terminal;

/// A process.
#[derive(Debug)]
pub(crate) struct Process {
    /// Empty for the first one.
    pub(crate) exec_id: String,
    pub(crate) stdio: Stdio,
    /// The description of one of `exec`, as a file.
    pub(crate) description: Option<PathBuf>,
    state: Mutex<State>,
    ended: watch::Sender<Option<End>>,
}

#[derive(Debug, Default)]
struct State {
    pid: i32,
    started: bool,
    paused: bool,
    /// CloseIO came, perhaps before there was something to close.
    input_closed: bool,
    ends: Ends,
    terminal: Option<Terminal>,
}

/// How it ended and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) status: u32,
    pub(crate) at: SystemTime,
}

impl Process {
    pub(crate) fn new(exec_id: &str, stdio: Stdio, description: Option<PathBuf>) -> Self {
        Self {
            exec_id: exec_id.to_owned(),
            stdio,
            description,
            state: Mutex::default(),
            ended: watch::Sender::new(None),
        }
    }

    /// It is there: this process of the host stands for it.
    pub(crate) fn created(&self, pid: i32, ends: Ends, terminal: Option<Terminal>) {
        let mut state = self.lock();
        state.pid = pid;
        state.ends = ends;
        let input = if state.input_closed { state.ends.input.take() } else { None };
        state.terminal = terminal;
        drop(state);
        drop(input);
    }

    /// It runs.
    pub(crate) fn set_started(&self) {
        self.lock().started = true;
    }

    /// Its container is paused, or is not any more.
    pub(crate) fn set_paused(&self, paused: bool) {
        self.lock().paused = paused;
    }

    /// 0 until it is there.
    pub(crate) fn pid(&self) -> i32 {
        self.lock().pid
    }

    pub(crate) fn is_started(&self) -> bool {
        self.lock().started
    }

    pub(crate) fn end(&self) -> Option<End> {
        *self.ended.borrow()
    }

    pub(crate) fn status(&self) -> Status {
        let state = self.lock();
        match (self.end(), state.started, state.paused) {
            (Some(_), ..) => Status::STOPPED,
            (None, true, true) => Status::PAUSED,
            (None, true, false) => Status::RUNNING,
            (None, false, _) => Status::CREATED,
        }
    }

    /// Waits for its end.
    pub(crate) async fn wait(&self) -> End {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await.map(|end| *end) {
            Ok(Some(end)) => end,
            // Cannot be: the sender is ours.
            _ => End { status: 255, at: SystemTime::now() },
        }
    }

    /// It has ended. What it wrote to a terminal is copied first; then our ends of its files close.
    pub(crate) async fn set_ended(&self, status: u32) -> End {
        let (ends, terminal) = {
            let mut state = self.lock();
            (std::mem::take(&mut state.ends), state.terminal.take())
        };
        if let Some(mut terminal) = terminal {
            let _ = tokio::task::spawn_blocking(move || terminal.finish()).await;
        }
        drop(ends);
        let end = End { status, at: SystemTime::now() };
        self.ended.send_replace(Some(end));
        end
    }

    /// The end of its input is containerd's to make from now on.
    pub(crate) fn close_input(&self) {
        let input = {
            let mut state = self.lock();
            state.input_closed = true;
            state.ends.input.take()
        };
        drop(input);
    }

    /// Changes the size of its terminal.
    pub(crate) fn resize(&self, columns: u32, rows: u32) -> Result<(), Error> {
        match &self.lock().terminal {
            Some(terminal) => terminal.resize(columns, rows),
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// A time as containerd has it.
pub(crate) fn timestamp(at: SystemTime) -> Timestamp {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or_default(),
        ..Timestamp::default()
    }
}
