//! File descriptors over unix sockets: SCM_RIGHTS, unix(7).

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};

/// SCM_MAX_FD: how many descriptors one call carries.
pub const MAX_FDS: usize = 253;

/// Sends all of `bytes` over a stream socket; `fds`, at most [`MAX_FDS`], go with the first of them. A closed peer is
/// EPIPE, never a signal. A signal does not interrupt it.
pub fn send_all(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut sent = 0;
    while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
        match send_once(socket, rest, if sent == 0 { fds } else { &[] }) {
            Ok(n) => sent += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// One sendmsg(2), MSG_NOSIGNAL. Descriptors need at least one byte to travel with.
pub fn send_once(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    let slices = [IoSlice::new(bytes)];
    Ok(sendmsg::<UnixAddr>(socket.as_raw_fd(), &slices, control, MsgFlags::MSG_NOSIGNAL, None)?)
}

/// One recvmsg(2): the bytes that were there, and the descriptors that came with them, close-on-exec, added to `fds`.
/// Zero bytes mean that the peer has closed.
pub fn recv(socket: BorrowedFd<'_>, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = nix::cmsg_space!([RawFd; MAX_FDS]);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut slices, Some(&mut space), flags)?;
    let truncated = message.flags.contains(MsgFlags::MSG_CTRUNC);
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = control {
            // SAFETY: the kernel has just installed these descriptors for us, and nobody else knows their numbers.
            fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    if truncated {
        // Happens when our descriptor table is full: some of what the peer sent is lost.
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    Ok(message.bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn descriptor_arrives_with_first_byte() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        send_all(a.as_fd(), b"x", &[writer.as_fd()]).unwrap();
        drop(writer);
        let (mut buffer, mut fds) = ([0; 8], Vec::new());
        assert_eq!(recv(b.as_fd(), &mut buffer, &mut fds).unwrap(), 1);
        assert_eq!(fds.len(), 1);
        drop(fds);
        assert_eq!(reader.read(&mut buffer).unwrap(), 0, "no copy of the write end is left");
        drop(a);
        assert_eq!(recv(b.as_fd(), &mut buffer, &mut Vec::new()).unwrap(), 0);
    }
}
