//! The control socket: a thread that accepts, and a thread per connection.
//!
//! Locks: each connection's sending half, and the count of waiters; neither is held while the kernel is called.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use control::wire::{Donated, WireError};
use control::{Failure, ProcessSpec, Reply, Request, SignalTarget};
use parking_lot::{Condvar, Mutex};

use super::engine::Engine;
use crate::channel::Channel;

/// Enough for the deepest request many times over.
pub(super) const STACK: usize = 256 << 10;

/// How many replies to `Wait` and `Exec` are still to be sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiters(Arc<(Mutex<usize>, Condvar)>);

/// Serves the listening socket until the process ends.
pub(super) fn start(control: OwnedFd, engine: &Arc<dyn Engine>) -> io::Result<Waiters> {
    let listener = UnixListener::from(control);
    let waiters = Waiters::default();
    let (engine, for_connections) = (Arc::clone(engine), waiters.clone());
    let accept = move || {
        for stream in listener.incoming() {
            // Out of descriptors, or the peer has already gone: neither is for ever.
            let Ok(stream) = stream else {
                #[expect(clippy::disallowed_methods, reason = "nothing tells when a descriptor becomes free")]
                std::thread::sleep(Duration::from_millis(10));
                continue;
            };
            let connection =
                Connection { engine: Arc::clone(&engine), waiters: for_connections.clone(), channel: stream.into() };
            let _ = thread("control", move || connection.serve());
        }
    };
    thread("accept", accept)?;
    Ok(waiters)
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.into()).stack_size(STACK).spawn(body).map(drop)
}

/// One connection.
struct Connection {
    engine: Arc<dyn Engine>,
    waiters: Waiters,
    channel: Channel,
}

impl Connection {
    fn serve(self) {
        let mut exec = None;
        loop {
            let (request, files) = match self.channel.recv() {
                Ok(request) => request,
                Err(WireError::Malformed(what)) => {
                    let _ = self.reply(&Reply::Failed(Failure::other(format!("malformed request: {what}"))));
                    break;
                }
                Err(_) => break,
            };
            let reply = match request {
                Request::Exec { id, process } if exec.is_none() => match self.exec(&id, *process, files) {
                    Ok(pid) => {
                        exec = Some((id, SignalTarget::Process(pid)));
                        continue;
                    }
                    Err(failure) => Reply::Failed(failure),
                },
                Request::StandIn { id } if exec.is_none() => match self.report_end(&id, None) {
                    Ok(()) => {
                        exec = Some((id, SignalTarget::All));
                        continue;
                    }
                    Err(failure) => Reply::Failed(failure),
                },
                Request::WaitOom { id, seen } => {
                    self.engine.wait_oom(&id, seen).map_or_else(Reply::Failed, Reply::Stats)
                }
                Request::Wait { id, pid } => {
                    let _waiting = self.waiters.enter();
                    let reply = self.engine.wait(&id, pid).map_or_else(Reply::Failed, Reply::Exited);
                    if self.reply(&reply).is_err() {
                        break;
                    }
                    continue;
                }
                request => self.answer(request, files).unwrap_or_else(Reply::Failed),
            };
            if self.reply(&reply).is_err() {
                break;
            }
        }
        // Whoever started a process and has gone does not want it to go on. ESRCH if it has ended.
        if let Some((id, target)) = exec {
            let _ = self.engine.signal(&id, target, SIGKILL);
        }
        // Most of what this needed is not needed again soon.
        host::program_text::forget();
    }

    fn answer(&self, request: Request, files: Donated) -> Result<Reply, Failure> {
        let engine = &self.engine;
        let done = |()| Reply::Done;
        match request {
            Request::Create(container) => engine.create(*container, files).map(done),
            Request::Start { id } => engine.start(&id).map(done),
            Request::Signal { id, target, signal } => engine.signal(&id, target, signal).map(done),
            Request::Wait { .. } | Request::WaitOom { .. } => Err(Failure::other("waiting is not answered here")),
            Request::Exec { .. } | Request::StandIn { .. } => {
                Err(Failure::other("this connection has a process already"))
            }
            Request::State { id } => engine.status(&id).map(Reply::State),
            Request::Ps { id } => engine.processes(&id).map(Reply::Processes),
            Request::Pause { id } => engine.set_paused(&id, true).map(done),
            Request::Resume { id } => engine.set_paused(&id, false).map(done),
            Request::Update { id, limits } => engine.update(&id, limits).map(done),
            Request::Stats { id } => engine.stats(&id).map(Reply::Stats),
            Request::Destroy { id } => engine.destroy(&id).map(done),
        }
    }

    /// Starts a process, says so, and has its end reported by a thread of its own while we listen for signals to it.
    fn exec(&self, id: &str, process: ProcessSpec, files: Donated) -> Result<u32, Failure> {
        let pid = self.engine.exec(id, process, files)?;
        // Said first, so that it comes first.
        let _ = self.reply(&Reply::Started { pid });
        self.report_end(id, Some(pid))?;
        Ok(pid)
    }

    /// Has the end of a process, or of the container's first one, reported over this connection.
    fn report_end(&self, id: &str, pid: Option<u32>) -> Result<(), Failure> {
        let channel = self.channel.try_clone().map_err(|e| Failure::other(e.to_string()))?;
        let (engine, id, waiting) = (Arc::clone(&self.engine), id.to_owned(), self.waiters.enter());
        let report = move || {
            let reply = engine.wait(&id, pid).map_or_else(Reply::Failed, Reply::Exited);
            let _ = channel.send(&reply, &[]);
            drop(waiting);
        };
        thread("exit", report).map_err(|e| Failure::other(e.to_string()))
    }

    fn reply(&self, reply: &Reply) -> Result<(), WireError> {
        self.channel.send(reply, &[])
    }
}

const SIGKILL: u8 = 9;

impl Waiters {
    fn enter(&self) -> Waiting {
        *self.0.0.lock() += 1;
        Waiting(self.clone())
    }

    /// Waits until all replies are sent, for a short while.
    pub(super) fn finish(&self) {
        let (count, changed) = &*self.0;
        let mut waiting = count.lock();
        let patience = Duration::from_millis(500);
        changed.wait_while_for(&mut waiting, |waiting| *waiting > 0, patience);
    }
}

/// One reply that is still to be sent.
#[derive(Debug)]
struct Waiting(Waiters);

impl Drop for Waiting {
    fn drop(&mut self) {
        let (count, changed) = &*self.0.0;
        *count.lock() -= 1;
        changed.notify_all();
    }
}
