//! Control messages over a unix stream socket.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use control::wire::{self, Donated, Socket, WireError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A connected socket that carries messages with descriptors.
#[derive(Debug)]
pub(crate) struct Channel(UnixStream);

impl Channel {
    /// Two connected channels.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        UnixStream::pair().map(|(a, b)| (Self(a), Self(b)))
    }

    /// Sends one message.
    pub(crate) fn send<T: Serialize>(&self, message: &T, fds: &[BorrowedFd<'_>]) -> Result<(), WireError> {
        wire::send(&mut self.socket(), message, fds)
    }

    /// Receives one message.
    pub(crate) fn recv<T: DeserializeOwned>(&self) -> Result<(T, Donated), WireError> {
        wire::recv(&mut self.socket())
    }

    /// Makes [`Self::recv`] fail when nothing comes for that long.
    pub(crate) fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(timeout)
    }

    /// Another handle of the same socket.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    fn socket(&self) -> Socket<'_> {
        Socket { fd: self.0.as_fd(), send_all: host::fdpass::send_all, recv: host::fdpass::recv }
    }
}

impl From<UnixStream> for Channel {
    fn from(stream: UnixStream) -> Self {
        Self(stream)
    }
}

impl From<OwnedFd> for Channel {
    fn from(fd: OwnedFd) -> Self {
        Self(fd.into())
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
