//! A unix stream socket over which now and then a descriptor travels; made for many small messages, so it allocates
//! nothing. [`crate::fdpass`] carries many descriptors at once.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use crate::fdpass::send_all;

/// Most descriptors that one receive takes in; the kernel closes what comes on top.
pub const MAX_FDS: usize = 8;

/// Room for [`MAX_FDS`] descriptors and the header before them.
const CONTROL_SIZE: usize = nix::sys::socket::cmsg_space::<[i32; MAX_FDS]>();

/// A buffer for control messages, aligned as their headers are.
#[repr(align(8))]
struct Control([u8; CONTROL_SIZE]);

/// A connected unix stream socket.
#[derive(Debug)]
pub struct FdSocket {
    fd: OwnedFd,
}

impl FdSocket {
    /// Takes over a connected unix stream socket.
    #[must_use]
    pub fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Two sockets connected to each other, closed on exec.
    pub fn pair() -> io::Result<(Self, Self)> {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
        let (a, b) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
        Ok((Self::new(a), Self::new(b)))
    }

    /// Sends all of `bytes`, with `fd` attached to the first of them.
    pub fn send(&self, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        send_all(self.fd.as_fd(), bytes, fd.as_slice())
    }

    /// Receives what is there, waiting for at least one byte; 0 when the peer is gone. Descriptors that came along are
    /// appended to `fds`, closed on exec.
    pub fn receive(&self, buffer: &mut [u8], fds: &mut VecDeque<OwnedFd>) -> io::Result<usize> {
        let mut control = Control([0; CONTROL_SIZE]);
        let mut data = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = loop {
            match recvmsg::<()>(self.fd.as_raw_fd(), &mut data, Some(&mut control.0), flags) {
                Err(nix::errno::Errno::EINTR) => {}
                other => break other?,
            }
        };
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(rights) = control {
                // SAFETY: the kernel just made these descriptors for us, so nothing else in the process knows them.
                fds.extend(rights.into_iter().map(|raw| unsafe { OwnedFd::from_raw_fd(raw) }));
            }
        }
        Ok(message.bytes)
    }

    /// As [`Self::receive`], for a side that takes no descriptors: what comes along is closed by the kernel unseen.
    pub fn receive_bytes(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match nix::unistd::read(&self.fd, buffer) {
                Err(nix::errno::Errno::EINTR) => {}
                other => return Ok(other?),
            }
        }
    }
}

impl AsFd for FdSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<FdSocket> for OwnedFd {
    fn from(socket: FdSocket) -> Self {
        socket.fd
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use super::*;

    #[test]
    fn a_descriptor_arrives_with_its_bytes() {
        let (a, b) = FdSocket::pair().expect("a pair of sockets");
        let file = File::open("/proc/self/comm").expect("procfs");
        a.send(b"with", Some(file.as_fd())).expect("room");
        a.send(b"without", None).expect("room");
        let (mut buffer, mut fds) = ([0; 64], VecDeque::new());
        assert_eq!(b.receive(&mut buffer, &mut fds).expect("bytes"), 4);
        let mut text = String::new();
        File::from(fds.pop_front().expect("a descriptor")).read_to_string(&mut text).expect("readable");
        assert!(!text.is_empty() && fds.is_empty());
        assert_eq!(b.receive(&mut buffer, &mut fds).expect("bytes"), 7);
        drop(a);
        assert_eq!(b.receive(&mut buffer, &mut fds).expect("end"), 0);
        assert!(fds.is_empty());
    }
}
