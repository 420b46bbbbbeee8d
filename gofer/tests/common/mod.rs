//! A directory to serve, a server thread, and a client's transport.
#![allow(dead_code, clippy::allow_attributes, reason = "each test uses a part")]

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use gofer::{Connection, Export, FdDir};
use host::fd_socket::FdSocket;
use ninep::client::{ClientOptions, FidHandle};
use ninep::{Client, Dialect, Transport};

/// A socket that takes descriptors.
pub(crate) struct Link(pub(crate) FdSocket);

impl Transport for Link {
    fn send(&self, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        self.0.send(bytes, fd)
    }
    fn receive(&self, buffer: &mut [u8], fds: &mut VecDeque<OwnedFd>) -> io::Result<usize> {
        self.0.receive(buffer, fds)
    }
}

/// A directory of its own, removed at the end.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("gofer-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn export(path: &Path) -> Export {
    Export::new(File::open(path).expect("a directory").into()).expect("a file")
}

/// Serves `export` on a thread; gives the client's end.
pub(crate) fn start(export: Export) -> (FdSocket, JoinHandle<()>) {
    let (ours, theirs) = FdSocket::pair().expect("sockets");
    let server = std::thread::spawn(move || {
        let fds = FdDir::from_proc().expect("procfs");
        // Logs and swallows what a client does wrong.
        gofer::serve(vec![Connection { socket: theirs.into(), export }], fds, |_| Ok(())).expect("served");
    });
    (ours, server)
}

/// A client of `export` that speaks `dialect`, and the root.
pub(crate) fn connect(export: Export, dialect: Dialect) -> (Arc<Client>, FidHandle) {
    let (socket, _) = start(export);
    let options = ClientOptions { dialect, ..ClientOptions::default() };
    Client::connect(Box::new(Link(socket)), &options).expect("a session")
}
