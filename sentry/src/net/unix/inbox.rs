//! The receiving side of a unix socket: a queue of segments that its peers fill.
//!
//! A segment is a datagram, or stream bytes that may be read together because they carry the same ancillary data. The
//! queue's lock (`SocketQueue`) is held while bytes are copied from or to the application.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use abi::Errno;
use abi::poll::{POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM};
use abi::socket::MsgFlags;
use sync::{Mutex, WaitQueue};

use crate::error::{Result, err};
use crate::io::IoSrc;
use crate::lock_order::SocketQueue;
use crate::net::filter::{Filter, View};
use crate::net::in_flight::InFlight;
use crate::net::message::{Ancillary, Received, RecvMsg};

/// The most one stream segment holds; a larger write becomes several.
const SEGMENT: usize = 65536;
/// Datagrams that may wait on a socket (/proc/sys/net/unix/max_dgram_qlen).
const MAX_DATAGRAMS: usize = 512;

/// What waits to be received.
#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<State, SocketQueue>,
    /// What the owner does not want to hear.
    filter: Arc<Filter>,
    /// Readiness of the socket that owns this inbox.
    pub(super) queue: WaitQueue,
}

#[derive(Debug, Default)]
struct State {
    segments: VecDeque<Segment>,
    bytes: usize,
    /// Nothing more will come: the peer has closed or shut down.
    ended: bool,
    /// The owner takes no more: it has closed or shut down.
    refused: bool,
    /// Reported once by the next receive: ECONNRESET.
    error: Option<Errno>,
    /// Whose sends may fit after a receive: the connected peer's inbox.
    peer: Weak<Inbox>,
    /// Unconnected senders that found no room; told once after a receive.
    blocked: Vec<Weak<Inbox>>,
}

#[derive(Debug)]
struct Segment {
    bytes: Vec<u8>,
    /// How many bytes at the front were read.
    read: usize,
    from: Option<Vec<u8>>,
    ancillary: Ancillary,
}

/// How a socket reads its inbox.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadMode {
    /// A byte stream rather than messages.
    pub(super) stream: bool,
    /// SO_PASSCRED: streams do not mix bytes of different senders, and credentials are reported.
    pub(super) pass_credentials: bool,
    /// Whether senders' addresses are reported.
    pub(super) names: bool,
    /// SO_PEEK_OFF: where MSG_PEEK begins.
    pub(super) peek_from: usize,
}

impl Inbox {
    pub(super) fn new(filter: &Arc<Filter>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), filter: Arc::clone(filter), queue: WaitQueue::new() })
    }

    /// Names the inbox whose owner sends here.
    pub(super) fn set_peer(&self, peer: Weak<Self>) {
        self.state.lock().peer = peer;
    }

    /// Appends stream bytes as far as `limit` allows. Files ride on the first segment.
    pub(super) fn push_stream(&self, src: &mut IoSrc<'_>, ancillary: &mut Ancillary, limit: usize) -> Result<usize> {
        let mut state = self.state.lock();
        if state.refused {
            return err(Errno::EPIPE);
        }
        let room = limit.saturating_sub(state.bytes).min(src.remaining());
        if room == 0 && src.remaining() > 0 {
            return err(Errno::EAGAIN);
        }
        let mut sent = 0;
        while sent < room {
            let want = (room - sent).min(SEGMENT);
            let joins = !ancillary.has_files()
                && state.segments.back().is_some_and(|last| {
                    !last.ancillary.has_files()
                        && last.ancillary.credentials == ancillary.credentials
                        && last.bytes.len() + want <= SEGMENT
                });
            if !joins {
                let credentials = ancillary.credentials.clone();
                let carried = std::mem::replace(
                    ancillary,
                    Ancillary { files: InFlight::default(), credentials, control: Vec::new() },
                );
                state.segments.push_back(Segment { bytes: Vec::new(), read: 0, from: None, ancillary: carried });
            }
            let Some(last) = state.segments.back_mut() else { break };
            let start = last.bytes.len();
            last.bytes.resize(start + want, 0);
            let taken = src.take(&mut last.bytes[start..]);
            let n = *taken.as_ref().unwrap_or(&0);
            last.bytes.truncate(start + n);
            if n == 0 && start == 0 {
                state.segments.pop_back();
            }
            state.bytes += n;
            sent += n;
            match taken {
                Ok(n) if n == want => {}
                Err(e) if sent == 0 => return Err(e),
                _ => break,
            }
        }
        drop(state);
        if sent > 0 {
            self.queue.notify(POLLIN | POLLRDNORM);
        }
        Ok(sent)
    }

    /// Appends one message. EMSGSIZE if it could never fit, EAGAIN if it does not fit now.
    pub(super) fn push_message(
        &self,
        src: &mut IoSrc<'_>,
        from: Option<Vec<u8>>,
        ancillary: &mut Ancillary,
        limit: usize,
        sender: &Arc<Self>,
    ) -> Result<usize> {
        let len = src.remaining();
        if len > limit {
            return err(Errno::EMSGSIZE);
        }
        let mut state = self.state.lock();
        if state.refused {
            return err(Errno::EPIPE);
        }
        if state.segments.len() >= MAX_DATAGRAMS || (state.bytes + len > limit && !state.segments.is_empty()) {
            state.blocked.retain(|other| other.strong_count() > 0 && other.as_ptr() != Arc::as_ptr(sender));
            state.blocked.push(Arc::downgrade(sender));
            return err(Errno::EAGAIN);
        }
        let mut bytes = vec![0; len];
        src.take_exact(&mut bytes)?;
        // Who sends does not hear that it was thrown away.
        let Some(most) = self.filter.verdict(|run| run(View { whole: &bytes, ..View::default() })) else {
            return Ok(len);
        };
        bytes.truncate(most);
        state.bytes += bytes.len();
        state.segments.push_back(Segment { bytes, read: 0, from, ancillary: std::mem::take(ancillary) });
        drop(state);
        self.queue.notify(POLLIN | POLLRDNORM);
        Ok(len)
    }

    /// Receives. `Ok` with `len == 0` and no segment is the end of the stream.
    pub(super) fn pop(&self, message: &mut RecvMsg<'_, '_>, mode: ReadMode) -> Result<Received> {
        let mut state = self.state.lock();
        if let Some(errno) = state.error.take() {
            return err(errno);
        }
        if state.segments.is_empty() {
            return if state.ended || state.refused { Ok(Received::default()) } else { err(Errno::EAGAIN) };
        }
        let peek = message.flags.contains(MsgFlags::MSG_PEEK);
        let received = if mode.stream {
            state.pop_stream(message, mode, peek)?
        } else {
            state.pop_message(message, mode, peek)?
        };
        let Some(received) = received else {
            return if state.ended || state.refused { Ok(Received::default()) } else { err(Errno::EAGAIN) };
        };
        let peer = state.peer.clone();
        let blocked = if peek { Vec::new() } else { std::mem::take(&mut state.blocked) };
        drop(state);
        if !peek {
            for sender in std::iter::once(peer).chain(blocked) {
                if let Some(sender) = sender.upgrade() {
                    sender.queue.notify(POLLOUT | POLLWRNORM);
                }
            }
        }
        Ok(received)
    }

    /// No more will come; what is queued can still be received.
    pub(super) fn end(&self, error: Option<Errno>) {
        let mut state = self.state.lock();
        state.ended = true;
        if error.is_some() {
            state.error = error;
        }
        drop(state);
        self.queue.notify(POLLIN | POLLRDNORM | POLLHUP | POLLRDHUP | POLLOUT | POLLWRNORM);
    }

    /// The owner takes no more; returns whether something was still queued.
    pub(super) fn refuse(&self, discard: bool) -> bool {
        let mut state = self.state.lock();
        state.refused = true;
        let unread = !state.segments.is_empty();
        // Files in it are closed outside of the lock.
        let dropped = if discard { std::mem::take(&mut state.segments) } else { VecDeque::new() };
        if discard {
            state.bytes = 0;
        }
        let peer = state.peer.clone();
        let blocked = std::mem::take(&mut state.blocked);
        drop(state);
        drop(dropped);
        for sender in std::iter::once(peer).chain(blocked) {
            if let Some(sender) = sender.upgrade() {
                sender.queue.notify(POLLOUT | POLLWRNORM | POLLHUP);
            }
        }
        self.queue.notify(POLLIN | POLLRDNORM | POLLHUP | POLLRDHUP | POLLOUT);
        unread
    }

    /// Whether a receive would not block.
    pub(super) fn readable(&self) -> bool {
        let state = self.state.lock();
        !state.segments.is_empty() || state.ended || state.refused || state.error.is_some()
    }

    /// Whether the peer has ended.
    pub(super) fn ended(&self) -> bool {
        self.state.lock().ended
    }

    /// Whether the owner refuses.
    pub(super) fn refused(&self) -> bool {
        self.state.lock().refused
    }

    /// Whether a send could put something in.
    pub(super) fn writable(&self, limit: usize) -> bool {
        let state = self.state.lock();
        state.refused || (state.bytes < limit / 2 + 1 && state.segments.len() < MAX_DATAGRAMS)
    }

    /// What FIONREAD says: all bytes of a stream, those of the next message otherwise.
    pub(super) fn readable_bytes(&self, stream: bool) -> usize {
        let state = self.state.lock();
        if stream { state.bytes } else { state.segments.front().map_or(0, |s| s.bytes.len()) }
    }

    /// What SO_ERROR says; it is forgotten.
    pub(super) fn take_error(&self) -> Option<Errno> {
        self.state.lock().error.take()
    }
}

impl Segment {
    /// How many bytes have not been read.
    fn left(&self) -> usize {
        self.bytes.len() - self.read
    }
}

impl State {
    /// `None` if there is nothing behind what was peeked at before.
    fn pop_stream(&mut self, message: &mut RecvMsg<'_, '_>, mode: ReadMode, peek: bool) -> Result<Option<Received>> {
        let mut received = Received::default();
        let (mut at, mut skip) = (0, 0);
        if peek {
            skip = mode.peek_from;
            while let Some(segment) = self.segments.get(at).filter(|segment| segment.left() <= skip) {
                skip -= segment.left();
                at += 1;
            }
            if at == self.segments.len() {
                return Ok(None);
            }
        }
        let first = at;
        while message.dst.remaining() > 0 {
            let Some(segment) = self.segments.get_mut(at) else { break };
            if at > first || received.len > 0 {
                // Bytes behind files, or of another sender when that is asked for, wait for the next call.
                let same_sender =
                    !mode.pass_credentials || received.ancillary.credentials == segment.ancillary.credentials;
                if received.ancillary.has_files() || !same_sender {
                    break;
                }
            } else {
                received.ancillary.credentials.clone_from(&segment.ancillary.credentials);
            }
            let from = segment.read + std::mem::take(&mut skip);
            let n = match message.dst.put(&segment.bytes[from..]) {
                Ok(n) => n,
                Err(e) if received.len == 0 => return Err(e),
                Err(_) => break,
            };
            received.len += n;
            if segment.ancillary.has_files() {
                received.ancillary.files =
                    if peek { segment.ancillary.files.peek() } else { std::mem::take(&mut segment.ancillary.files) };
            }
            let whole = from + n == segment.bytes.len();
            if peek {
                at += 1;
            } else {
                segment.read += n;
                self.bytes -= n;
                if whole {
                    self.segments.pop_front();
                }
            }
            if !whole {
                break;
            }
        }
        Ok(Some(received))
    }

    /// `None` if there is no message behind those that were peeked at before.
    fn pop_message(&mut self, message: &mut RecvMsg<'_, '_>, mode: ReadMode, peek: bool) -> Result<Option<Received>> {
        let (mut at, mut skip) = (0, 0);
        if peek {
            skip = mode.peek_from;
            while let Some(segment) = self.segments.get(at).filter(|segment| skip > 0 && segment.bytes.len() <= skip) {
                skip -= segment.bytes.len();
                at += 1;
            }
        }
        let Some(segment) = self.segments.get_mut(at) else { return Ok(None) };
        let bytes = segment.bytes.get(skip..).unwrap_or_default();
        let n = if bytes.is_empty() { 0 } else { message.dst.put(bytes)? };
        let truncated = n < bytes.len();
        let mut received = Received {
            len: if message.flags.contains(MsgFlags::MSG_TRUNC) { bytes.len() } else { n },
            from: if mode.names { segment.from.clone() } else { None },
            flags: if truncated { MsgFlags::MSG_TRUNC } else { MsgFlags::empty() },
            ..Received::default()
        };
        if peek {
            received.ancillary = segment.ancillary.peek();
        } else if let Some(segment) = self.segments.pop_front() {
            self.bytes -= segment.bytes.len();
            received.ancillary = segment.ancillary;
        }
        Ok(Some(received))
    }
}
