//! Listens to a sandbox for processes that were killed for want of memory.
//!
//! A thread per container, blocked on a connection of its own that ends with the container.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use containerd_shim::protos::events::task::TaskOOM;
use control::wire::{self, Socket};
use control::{Reply, Request};

use crate::events::Events;

const STACK: usize = 128 << 10;

/// Tells containerd of each from now on. `directory` is the state of the container whose sandbox it is in.
pub(crate) fn watch(directory: &Path, id: &str, events: &Events) {
    let stream = match connect(directory) {
        Ok(stream) => stream,
        Err(e) => return log::warn!("{id}: cannot listen for want of memory: {e}"),
    };
    let (id, events) = (id.to_owned(), events.clone());
    let listen = move || {
        let mut seen = 0;
        while let Some(kills) = ask(&stream, &id, seen) {
            seen = kills;
            let event = TaskOOM { container_id: id.clone(), ..TaskOOM::default() };
            events.send(event);
        }
    };
    if let Err(e) = thread::Builder::new().name("oom".into()).stack_size(STACK).spawn(listen) {
        log::warn!("cannot start a thread: {e}");
    }
}

/// How many were killed, once that is more than `seen`; `None` at the end of the container.
fn ask(stream: &UnixStream, id: &str, seen: u64) -> Option<u64> {
    let mut socket = Socket { fd: stream.as_fd(), send_all: host::fdpass::send_all, recv: host::fdpass::recv };
    wire::send(&mut socket, &Request::WaitOom { id: id.to_owned(), seen }, &[]).ok()?;
    match wire::recv::<Reply>(&mut socket).ok()?.0 {
        Reply::Stats(stats) => Some(stats.oom_kills).filter(|kills| *kills > seen),
        _ => None,
    }
}

fn connect(directory: &Path) -> io::Result<UnixStream> {
    // The path itself may be longer than an address.
    let directory = File::options().read(true).custom_flags(libc::O_PATH).open(directory)?;
    UnixStream::connect(format!("/proc/self/fd/{}/control.sock", directory.as_raw_fd()))
}
