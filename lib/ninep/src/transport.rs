//! Byte streams that carry messages: `size[4] type[1] tag[2] body`, at most one descriptor with each.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::message::Message;
use crate::types::Tag;
use crate::wire::Writer;

/// Bytes before the body of a message.
pub const HEADER: usize = 7;

/// A connected stream. Both directions may be used at once by two threads.
pub trait Transport: Send + Sync {
    /// Sends all of `bytes`, the descriptor with the first of them.
    fn send(&self, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<()>;

    /// Receives what is there, at least one byte unless the peer is gone (0). Descriptors that came along are appended
    /// to `fds` in the order of their bytes; a side that expects none must not accept any.
    fn receive(&self, buffer: &mut [u8], fds: &mut VecDeque<OwnedFd>) -> io::Result<usize>;

    /// The CPU that the calling thread is on, if the peer may run there too.
    fn cpu(&self) -> Option<u32> {
        None
    }
}

macro_rules! plain_streams {
    ($($stream:ty),*) => {$(
        /// Without descriptors: a peer of the plain dialect neither gets nor gives any.
        impl Transport for $stream {
            fn send(&self, bytes: &[u8], _fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
                let mut stream = self;
                stream.write_all(bytes)
            }
            fn receive(&self, buffer: &mut [u8], _fds: &mut VecDeque<OwnedFd>) -> io::Result<usize> {
                let mut stream = self;
                retry(|| stream.read(buffer))
            }
        }
    )*};
}

plain_streams!(std::net::TcpStream, std::os::unix::net::UnixStream);

/// Repeats a call that a signal interrupted.
pub fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// A message as it came, its body not yet decoded.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The type byte.
    pub kind: u8,
    /// The tag.
    pub tag: Tag,
    /// What follows.
    pub body: &'a [u8],
}

/// Cuts a stream into frames. The buffer grows to the largest message seen, never above the limit.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
    /// The part of the buffer that has been received and not yet given out.
    start: usize,
    end: usize,
}

/// Room for the messages that are not bulk data.
const INITIAL_BUFFER: usize = 8 << 10;

/// Most descriptors that may wait for their message.
const MAX_WAITING_FDS: usize = 16;

impl FrameReader {
    /// Waits for the next message, which may be `limit` bytes long. `None` when the peer has closed between messages.
    /// Descriptors that came along are appended to `fds`.
    pub fn next<'s>(
        &'s mut self,
        from: &(impl Transport + ?Sized),
        fds: &mut VecDeque<OwnedFd>,
        limit: usize,
    ) -> io::Result<Option<Frame<'s>>> {
        if !self.fill(from, fds, HEADER)? {
            return Ok(None);
        }
        let size = self.peek_size().ok_or_else(|| malformed("message without a header"))?;
        if size < HEADER || size > limit {
            return Err(malformed("message size out of range"));
        }
        if !self.fill(from, fds, size)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let start = self.start;
        self.start = start.saturating_add(size);
        let message = self.buffer.get(start..self.start).ok_or_else(|| malformed("message out of the buffer"))?;
        let [_, _, _, _, kind, t0, t1, body @ ..] = message else { return Err(malformed("message without a header")) };
        Ok(Some(Frame { kind: *kind, tag: Tag(u16::from_le_bytes([*t0, *t1])), body }))
    }

    /// Whether the next message is there already, whole.
    #[must_use]
    pub fn has_next(&self) -> bool {
        let there = self.end - self.start;
        there >= HEADER && self.peek_size().is_some_and(|size| size <= there)
    }

    /// Receives until `wanted` bytes are there. False if the peer closed before the first of them.
    fn fill(
        &mut self,
        from: &(impl Transport + ?Sized),
        fds: &mut VecDeque<OwnedFd>,
        wanted: usize,
    ) -> io::Result<bool> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.start.saturating_add(wanted) > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            let len = wanted.max(INITIAL_BUFFER).max(self.buffer.len());
            self.buffer.resize(len, 0);
        }
        while self.end - self.start < wanted {
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            match from.receive(room, fds)? {
                0 if self.start == self.end => return Ok(false),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.end = self.end.saturating_add(n).min(self.buffer.len()),
            }
            if fds.len() > MAX_WAITING_FDS {
                return Err(malformed("too many descriptors"));
            }
        }
        Ok(true)
    }

    fn peek_size(&self) -> Option<usize> {
        let size = self.buffer.get(self.start..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*size)).ok()
    }
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Appends a whole message to `out`. If a field does not fit, or the message not into `limit`, `out` is left as it was.
pub fn encode<M: Message>(out: &mut Vec<u8>, tag: Tag, message: &M, limit: usize) -> io::Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, M::TYPE]);
    out.extend_from_slice(&tag.0.to_le_bytes());
    let mut writer = Writer::new(out);
    message.put_body(&mut writer);
    let overflowed = writer.overflowed();
    let size = u32::try_from(out.len() - start).ok().filter(|_| !overflowed && out.len() - start <= limit);
    match (size, out.get_mut(start..).and_then(<[u8]>::first_chunk_mut)) {
        (Some(size), Some(head)) => *head = size.to_le_bytes(),
        _ => {
            out.truncate(start);
            return Err(malformed("message too long"));
        }
    }
    Ok(())
}
