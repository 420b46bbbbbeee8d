//! Frames: a length, a count of file descriptors, then JSON. The descriptors ride on the frame's first bytes.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::spec::FdSlot;

/// What frames travel over: a [`Socket`], or pieces in a test.
pub trait Wire {
    /// Sends all of `bytes`; `fds`, at most [`MAX_FDS_AT_ONCE`], go with the first of them.
    fn send(&mut self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()>;

    /// Receives some bytes, at least one unless the peer has closed, and adds the descriptors that came with them,
    /// close-on-exec.
    fn recv(&mut self, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize>;
}

/// Sends all of the bytes over a unix stream socket, the descriptors with the first of them.
pub type SendAll = fn(BorrowedFd<'_>, &[u8], &[BorrowedFd<'_>]) -> io::Result<()>;
/// Receives some bytes and the descriptors that came with them.
pub type Receive = fn(BorrowedFd<'_>, &mut [u8], &mut Vec<OwnedFd>) -> io::Result<usize>;

/// A unix stream socket, and the host library's calls for it, which this crate has no name for.
#[derive(Clone, Copy, Debug)]
pub struct Socket<'a> {
    /// The socket.
    pub fd: BorrowedFd<'a>,
    /// As [`Wire::send`] describes it.
    pub send_all: SendAll,
    /// As [`Wire::recv`] describes it.
    pub recv: Receive,
}

impl Wire for Socket<'_> {
    fn send(&mut self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        (self.send_all)(self.fd, bytes, fds)
    }

    fn recv(&mut self, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
        (self.recv)(self.fd, buffer, fds)
    }
}

/// SCM_MAX_FD.
pub const MAX_FDS_AT_ONCE: usize = 253;
/// A frame may not be longer: `config.json` with a large environment is some hundred kilobytes.
pub const MAX_FRAME: u32 = 16 << 20;
/// Nor carry more descriptors.
pub const MAX_FDS: u32 = 4096;

/// What can go wrong on the wire.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The peer has closed the connection between two frames.
    #[error("connection closed")]
    Closed,
    /// The socket failed, or closed within a frame.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What came is not a message.
    #[error("malformed message: {0}")]
    Malformed(String),
}

/// Sends one message.
pub fn send<T: Serialize>(wire: &mut impl Wire, message: &T, fds: &[BorrowedFd<'_>]) -> Result<(), WireError> {
    let body = serde_json::to_vec(message).map_err(|e| WireError::Malformed(e.to_string()))?;
    let length = u32::try_from(body.len()).ok().filter(|n| *n <= MAX_FRAME);
    let length = length.ok_or_else(|| WireError::Malformed("message too long".into()))?;
    let count = u32::try_from(fds.len()).ok().filter(|n| *n <= MAX_FDS);
    let count = count.ok_or_else(|| WireError::Malformed("too many file descriptors".into()))?;
    let (first, rest) = fds.split_at(fds.len().min(MAX_FDS_AT_ONCE));
    let mut frame = Vec::with_capacity(HEADER + body.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&count.to_le_bytes());
    if rest.is_empty() {
        frame.extend_from_slice(&body);
        return Ok(wire.send(&frame, first)?);
    }
    wire.send(&frame, first)?;
    for batch in rest.chunks(MAX_FDS_AT_ONCE) {
        wire.send(&[0], batch)?;
    }
    Ok(wire.send(&body, &[])?)
}

/// Receives one message with its descriptors.
pub fn recv<T: DeserializeOwned>(wire: &mut impl Wire) -> Result<(T, Donated), WireError> {
    let mut fds = Vec::new();
    let mut header = [0; HEADER];
    fill(wire, &mut header, &mut fds)?;
    let [l0, l1, l2, l3, c0, c1, c2, c3] = header;
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    let count = u32::from_le_bytes([c0, c1, c2, c3]);
    if length > MAX_FRAME || count > MAX_FDS {
        return Err(WireError::Malformed("length out of range".into()));
    }
    let (length, count) = (length as usize, count as usize);
    for _ in 1..count.div_ceil(MAX_FDS_AT_ONCE) {
        within(fill(wire, &mut [0], &mut fds))?;
    }
    let mut body = vec![0; length];
    within(fill(wire, &mut body, &mut fds))?;
    if fds.len() != count {
        return Err(WireError::Malformed(format!("{} file descriptors instead of {count}", fds.len())));
    }
    let message = serde_json::from_slice(&body).map_err(|e| WireError::Malformed(e.to_string()))?;
    Ok((message, Donated(fds.into_iter().map(Some).collect())))
}

const HEADER: usize = 8;

/// Fills the buffer. [`WireError::Closed`] only if not even its first byte came.
fn fill(wire: &mut impl Wire, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> Result<(), WireError> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match wire.recv(rest, fds) {
            Ok(0) if filled == 0 => return Err(WireError::Closed),
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Inside a frame a closed connection is an error.
fn within(result: Result<(), WireError>) -> Result<(), WireError> {
    match result {
        Err(WireError::Closed) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        other => other,
    }
}

/// The descriptors that came with a message; what is not taken is closed.
#[derive(Debug, Default)]
pub struct Donated(Vec<Option<OwnedFd>>);

impl Donated {
    /// The descriptor in that place, once.
    pub fn take(&mut self, slot: FdSlot) -> Result<OwnedFd, WireError> {
        let place = usize::try_from(slot.0).ok().and_then(|i| self.0.get_mut(i));
        place.and_then(Option::take).ok_or_else(|| WireError::Malformed(format!("no file descriptor {}", slot.0)))
    }

    /// A copy of the descriptor in that place, for one that several slots share (stdout and stderr).
    pub fn duplicate(&self, slot: FdSlot) -> Result<OwnedFd, WireError> {
        let place = usize::try_from(slot.0).ok().and_then(|i| self.0.get(i)).and_then(Option::as_ref);
        let fd = place.ok_or_else(|| WireError::Malformed(format!("no file descriptor {}", slot.0)))?;
        Ok(fd.try_clone()?)
    }
}

impl From<Vec<OwnedFd>> for Donated {
    fn from(fds: Vec<OwnedFd>) -> Self {
        Self(fds.into_iter().map(Some).collect())
    }
}

/// Collects the descriptors that shall go with a message.
#[derive(Debug, Default)]
pub struct Outgoing(Vec<OwnedFd>);

impl Outgoing {
    /// Adds one and names its place.
    pub fn add(&mut self, fd: OwnedFd) -> FdSlot {
        let place = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.push(fd);
        FdSlot(place)
    }

    /// All of them, in order.
    #[must_use]
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.0.iter().map(std::os::fd::AsFd::as_fd).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::os::fd::AsFd;

    use super::*;
    use crate::message::{ExitStatus, Reply};

    /// Hands out what was sent a few bytes at a time, as a stream socket may.
    #[derive(Default)]
    struct Pieces {
        bytes: VecDeque<u8>,
        fds: VecDeque<(usize, Vec<OwnedFd>)>,
        read: usize,
        written: usize,
    }

    impl Wire for Pieces {
        fn send(&mut self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
            assert!(fds.len() <= MAX_FDS_AT_ONCE);
            if !fds.is_empty() {
                let owned = fds.iter().map(|fd| fd.try_clone_to_owned()).collect::<io::Result<_>>()?;
                self.fds.push_back((self.written, owned));
            }
            self.written += bytes.len();
            self.bytes.extend(bytes);
            Ok(())
        }

        fn recv(&mut self, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
            if self.fds.front().is_some_and(|(at, _)| *at == self.read) {
                fds.extend(self.fds.pop_front().into_iter().flat_map(|(_, owned)| owned));
            }
            let until = self.fds.front().map_or(usize::MAX, |(at, _)| at - self.read);
            let n = buffer.len().min(3).min(until).min(self.bytes.len());
            for (place, byte) in buffer.iter_mut().zip(self.bytes.drain(..n)) {
                *place = byte;
            }
            self.read += n;
            Ok(n)
        }
    }

    #[test]
    fn message_arrives_in_pieces() {
        let mut pieces = Pieces::default();
        send(&mut pieces, &Reply::Exited(ExitStatus::Signal(9)), &[]).unwrap();
        send(&mut pieces, &Reply::Done, &[]).unwrap();
        assert_eq!(recv::<Reply>(&mut pieces).unwrap().0, Reply::Exited(ExitStatus::Signal(9)));
        assert_eq!(recv::<Reply>(&mut pieces).unwrap().0, Reply::Done);
        assert!(matches!(recv::<Reply>(&mut pieces), Err(WireError::Closed)));
    }

    #[test]
    fn more_descriptors_than_one_call_carries() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let fds = vec![null.as_fd(); MAX_FDS_AT_ONCE + 2];
        let mut pieces = Pieces::default();
        send(&mut pieces, &Reply::Done, &fds).unwrap();
        let (_, mut donated) = recv::<Reply>(&mut pieces).unwrap();
        donated.take(FdSlot(254)).unwrap();
        assert!(donated.take(FdSlot(254)).is_err());
        assert!(donated.take(FdSlot(255)).is_err());
    }

    #[test]
    fn absurd_length_is_refused() {
        let mut pieces = Pieces::default();
        pieces.send(&[0xff; 8], &[]).unwrap();
        assert!(matches!(recv::<Reply>(&mut pieces), Err(WireError::Malformed(_))));
    }
}
