//! Our end of the connection to a gofer.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use host::fd_socket::FdSocket;
use ninep::Transport;

/// A unix socket over which descriptors are donated.
#[derive(Debug)]
pub(super) struct Connection(FdSocket);

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self(FdSocket::new(socket))
    }
}

impl Transport for Connection {
    fn send(&self, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        self.0.send(bytes, fd)
    }

    fn receive(&self, buffer: &mut [u8], fds: &mut VecDeque<OwnedFd>) -> io::Result<usize> {
        self.0.receive(buffer, fds)
    }

    fn cpu(&self) -> Option<u32> {
        // Where there is only one there is nothing to follow.
        host::sched::all_cpus().map(|_| host::sched::current_cpu())
    }
}
