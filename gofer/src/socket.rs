//! The server's end of a connection.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use host::fd_socket::FdSocket;
use ninep::Transport;

/// A unix socket that gives descriptors and takes none.
#[derive(Debug)]
pub struct Socket(FdSocket);

impl Socket {
    /// Takes over a connected unix stream socket.
    #[must_use]
    pub fn new(fd: OwnedFd) -> Self {
        Self(FdSocket::new(fd))
    }
}

impl Transport for Socket {
    fn send(&self, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        self.0.send(bytes, fd)
    }

    fn receive(&self, buffer: &mut [u8], _fds: &mut VecDeque<OwnedFd>) -> io::Result<usize> {
        self.0.receive_bytes(buffer)
    }
}
