//! TCP connections to the outside, as the kernel above uses them.

use std::net::SocketAddr;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{CongestionControl, RecvError, Socket, SocketBuffer, State};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpAddress, IpEndpoint};

use crate::engine::{Ends, Engine};
use crate::ramp::Ramp;

/// Names a connection of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub(crate) u64);

/// A connection of an engine.
pub(crate) struct Stream {
    /// Its socket alone.
    pub(crate) set: SocketSet<'static>,
    socket: SocketHandle,
    pub(crate) ends: Ends,
    /// Somebody else asked for it, and it is not established yet.
    pub(crate) asked: bool,
    /// We have ended it.
    ended: bool,
    /// Since when nobody uses it.
    pub(crate) released: Option<Instant>,
    /// When it has something to do by itself.
    pub(crate) due: Option<Instant>,
    /// Its acknowledgements wait for company.
    delays: bool,
    /// It is in the list of those that have something to do.
    pub(crate) touched: bool,
    pub(crate) ramp: Ramp,
}

impl Stream {
    pub(crate) fn new(socket: Socket<'static>, ends: Ends, asked: bool) -> Self {
        let mut set = SocketSet::new(Vec::new());
        let socket = set.add(socket);
        Self {
            set,
            socket,
            ends,
            asked,
            ended: false,
            released: None,
            due: None,
            delays: true,
            touched: false,
            ramp: Ramp::default(),
        }
    }

    /// What comes in now is to be acknowledged at once: it is several segments, and Linux's peers wait for that.
    pub(crate) fn expects_answer(&mut self, at_once: bool) {
        if at_once == self.delays {
            self.delays = !at_once;
            self.socket_mut().set_ack_delay((!at_once).then_some(DELAY));
        }
    }

    pub(crate) fn socket(&self) -> &Socket<'static> {
        self.set.get(self.socket)
    }

    pub(crate) fn socket_mut(&mut self) -> &mut Socket<'static> {
        self.set.get_mut(self.socket)
    }
}

/// The connection has something to do.
pub(crate) fn touch(stream: &mut Stream, handle: Handle, touched: &mut Vec<Handle>) {
    if !std::mem::replace(&mut stream.touched, true) {
        touched.push(handle);
    }
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// Not established yet.
    Opening,
    /// Both directions are open.
    Established,
    /// We have ended, the peer has not.
    FinWait,
    /// The peer has ended, we have not.
    CloseWait,
    /// Both have ended in order.
    Closed,
    /// It was reset, refused or timed out.
    Reset,
}

/// Why something cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// There are as many connections as may be.
    Full,
    /// There is such a connection already, or the address is none.
    Address,
}

/// How a connection behaves.
#[derive(Clone, Copy, Debug)]
pub struct StreamOptions {
    /// Bytes that wait to be sent or acknowledged.
    pub send_buffer: usize,
    /// Bytes that wait to be read.
    pub receive_buffer: usize,
    /// Whether small segments wait for acknowledgements (not TCP_NODELAY).
    pub nagle: bool,
    /// Seconds between probes, if the connection is kept alive.
    pub keep_alive: Option<u64>,
}

impl StreamOptions {
    /// With buffers no larger than that.
    pub(crate) fn at_most(&self, most: usize) -> Self {
        let (send_buffer, receive_buffer) = (self.send_buffer.min(most), self.receive_buffer.min(most));
        Self { send_buffer, receive_buffer, ..*self }
    }
}

/// How long an acknowledgement waits for bytes to go with.
const DELAY: Duration = Duration::from_millis(10);

/// How long a peer may be silent while we wait for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn make(options: &StreamOptions) -> Socket<'static> {
    let buffer = |size: usize| SocketBuffer::new(vec![0; size.clamp(2048, 4 << 20)]);
    let mut socket = Socket::new(buffer(options.receive_buffer), buffer(options.send_buffer));
    socket.set_congestion_control(CongestionControl::Cubic);
    socket.set_nagle_enabled(options.nagle);
    socket.set_keep_alive(options.keep_alive.map(Duration::from_secs));
    socket.set_timeout(Some(PATIENCE));
    socket.set_ack_delay(Some(DELAY));
    socket
}

/// An endpoint as smoltcp has it.
pub(crate) fn endpoint(addr: SocketAddr) -> IpEndpoint {
    IpEndpoint { addr: IpAddress::from(addr.ip()), port: addr.port() }
}

/// A segment that is worth sending by itself.
const SEGMENT: usize = 1460;

/// What is asked of a connection that is gone is answered as if it had been reset.
impl Engine {
    /// Where a connection stands.
    #[must_use]
    pub fn state(&self, handle: Handle) -> StreamState {
        let Some(stream) = self.streams.get(&handle) else { return StreamState::Reset };
        match stream.socket().state() {
            State::Listen | State::SynSent | State::SynReceived => StreamState::Opening,
            State::Established => StreamState::Established,
            State::FinWait1 | State::FinWait2 => StreamState::FinWait,
            State::CloseWait => StreamState::CloseWait,
            State::Closing | State::LastAck | State::TimeWait => StreamState::Closed,
            // smoltcp forgets how it came to be closed.
            State::Closed if stream.ended => StreamState::Closed,
            State::Closed => StreamState::Reset,
        }
    }

    /// How many bytes can be sent now, and how many fit in all.
    #[must_use]
    pub fn send_room(&self, handle: Handle) -> (usize, usize) {
        let Some(stream) = self.streams.get(&handle) else { return (0, 0) };
        let socket = stream.socket();
        (socket.send_capacity() - socket.send_queue(), socket.send_capacity())
    }

    /// How many bytes can be read.
    #[must_use]
    pub fn readable(&self, handle: Handle) -> usize {
        self.streams.get(&handle).map_or(0, |stream| stream.socket().recv_queue())
    }

    /// How many sent bytes the peer has not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self, handle: Handle) -> usize {
        self.streams.get(&handle).map_or(0, |stream| stream.socket().send_queue())
    }

    /// Lets `fill` write into free room, a contiguous piece of it; it returns how many bytes it wrote. 0 if there is no room
    /// or the direction has ended. With `more` a small piece waits a moment for what comes next.
    pub fn send<E>(
        &mut self,
        handle: Handle,
        more: bool,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let Some(stream) = self.streams.get_mut(&handle) else { return Ok(0) };
        let sent = stream.socket_mut().send(|room| {
            let result = fill(room);
            (result.as_ref().map_or(0, |n| (*n).min(room.len())), result)
        });
        if more && stream.socket().send_queue() < SEGMENT {
            self.touch_later(handle);
        } else {
            self.touch(handle);
        }
        sent.unwrap_or(Ok(0))
    }

    /// Lets `take` look at what came in, a contiguous piece of it, and drops what it says it took.
    pub fn receive_stream<E>(
        &mut self,
        handle: Handle,
        take: impl FnOnce(&[u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let Some(stream) = self.streams.get_mut(&handle) else { return Ok(0) };
        let received = stream.socket_mut().recv(|bytes| {
            let result = take(bytes);
            (result.as_ref().map_or(0, |n| (*n).min(bytes.len())), result)
        });
        self.touch(handle);
        match received {
            Ok(result) => result,
            Err(RecvError::Finished | RecvError::InvalidState) => Ok(0),
        }
    }

    /// Looks at up to `len` bytes that came in.
    pub fn peek(&mut self, handle: Handle, len: usize) -> &[u8] {
        let stream = self.streams.get_mut(&handle);
        stream.and_then(|stream| stream.socket_mut().peek(len).ok()).unwrap_or_default()
    }

    /// We send no more.
    pub fn finish(&mut self, handle: Handle) {
        if let Some(stream) = self.streams.get_mut(&handle) {
            stream.ended = true;
            stream.socket_mut().close();
            self.touch(handle);
        }
    }

    /// Whether small segments wait.
    pub fn set_nagle(&mut self, handle: Handle, on: bool) {
        if let Some(stream) = self.streams.get_mut(&handle) {
            stream.socket_mut().set_nagle_enabled(on);
            self.touch(handle);
        }
    }

    /// Nobody uses the connection any more: it ends by itself, at once if `reset`.
    pub fn release(&mut self, handle: Handle, reset: bool) {
        let now = self.now();
        if let Some(stream) = self.streams.get_mut(&handle) {
            if reset {
                stream.socket_mut().abort();
            } else {
                stream.socket_mut().close();
            }
            stream.released = Some(now);
            self.touch(handle);
        }
    }
}
