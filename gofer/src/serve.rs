//! Connections: a thread reads requests, answers them in order, and ends when its client is gone.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Barrier, mpsc};

use ninep::{FrameReader, Transport};

use crate::export::Export;
use crate::fd_dir::FdDir;
use crate::reply::Reply;
use crate::session::Session;
use crate::socket::Socket;

/// A client and what it may have.
#[derive(Debug)]
pub struct Connection {
    /// A connected unix stream socket.
    pub socket: OwnedFd,
    /// The tree it serves.
    pub export: Export,
}

/// Answers that are collected before they are sent, while more requests are already there.
const BATCH: usize = 64 << 10;

/// Serves every connection until its client hangs up. The first is served by the calling thread. `lock_up` is called when
/// all threads are there and none has begun to serve: what it forbids, it forbids to all. They end with the process only.
pub fn serve(
    connections: Vec<Connection>,
    fds: FdDir,
    lock_up: impl FnOnce(&FdDir) -> io::Result<()>,
) -> io::Result<()> {
    let fds = Arc::new(fds);
    let (started, go) =
        (Arc::new(Barrier::new(connections.len().max(1))), Arc::new(Barrier::new(connections.len().max(1))));
    let (ended, all_ended) = mpsc::channel();
    let mut connections = connections.into_iter();
    let first = connections.next();
    for (index, connection) in connections.enumerate() {
        let (started, go, fds, ended) = (Arc::clone(&started), Arc::clone(&go), Arc::clone(&fds), ended.clone());
        let body = move || {
            started.wait();
            go.wait();
            serve_connection(connection, &fds);
            let _ = ended.send(());
            drop(ended);
            loop {
                std::thread::park();
            }
        };
        let name = format!("mount{}", index.saturating_add(1));
        std::thread::Builder::new().name(name).stack_size(STACK).spawn(body)?;
    }
    drop(ended);
    started.wait();
    lock_up(&fds)?;
    go.wait();
    if let Some(first) = first {
        serve_connection(first, &fds);
    }
    while all_ended.recv().is_ok() {}
    Ok(())
}

/// Enough for the deepest handler many times over.
const STACK: usize = 256 << 10;

fn serve_connection(connection: Connection, fds: &FdDir) {
    let Connection { socket, export } = connection;
    if let Err(error) = serve_stream(&Socket::new(socket), &export, fds) {
        tracing::warn!(%error, "connection ended");
    }
}

/// Serves one client over any stream. `Ok` when it hangs up between messages.
pub fn serve_stream(stream: &dyn Transport, export: &Export, fds: &FdDir) -> io::Result<()> {
    let mut session = Session::new(export, fds);
    let (mut reader, mut received, mut out) = (FrameReader::default(), VecDeque::new(), Vec::new());
    while let Some(frame) = reader.next(stream, &mut received, session.msize())? {
        let mut reply = Reply::new(&mut out, frame.tag, session.msize());
        session.answer(frame, &mut reply);
        let fd = reply.into_fd();
        if fd.is_some() || out.len() >= BATCH || !reader.has_next() {
            stream.send(&out, fd.as_ref().map(AsFd::as_fd))?;
            out.clear();
        }
    }
    Ok(())
}
