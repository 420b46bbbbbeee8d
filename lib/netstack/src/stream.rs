//! TCP connections to the outside, as the kernel above uses them.

use std::net::SocketAddr;
use std::time::Instant;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{CongestionControl, RecvError, Socket, SocketBuffer, State};
use smoltcp::time::Duration;
use smoltcp::wire::{IpAddress, IpEndpoint};

use crate::engine::Engine;

/// Names a connection of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(pub(crate) SocketHandle);

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

/// How long a peer may be silent while we wait for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn make(options: &StreamOptions) -> Socket<'static> {
    let buffer = |size: usize| SocketBuffer::new(vec![0; size.clamp(2048, 4 << 20)]);
    let mut socket = Socket::new(buffer(options.receive_buffer), buffer(options.send_buffer));
    socket.set_congestion_control(CongestionControl::Cubic);
    socket.set_nagle_enabled(options.nagle);
    socket.set_keep_alive(options.keep_alive.map(Duration::from_secs));
    socket.set_timeout(Some(PATIENCE));
    socket
}

/// An endpoint as smoltcp has it.
pub(crate) fn endpoint(addr: SocketAddr) -> IpEndpoint {
    IpEndpoint { addr: IpAddress::from(addr.ip()), port: addr.port() }
}

impl Engine {
    fn socket(&self, handle: Handle) -> &Socket<'static> {
        self.sockets.get(handle.0)
    }

    fn socket_mut(&mut self, handle: Handle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle.0)
    }

    /// Where a connection stands.
    #[must_use]
    pub fn state(&self, handle: Handle) -> StreamState {
        let ended = self.ended.contains(&handle.0);
        match self.socket(handle).state() {
            State::Listen | State::SynSent | State::SynReceived => StreamState::Opening,
            State::Established => StreamState::Established,
            State::FinWait1 | State::FinWait2 => StreamState::FinWait,
            State::CloseWait => StreamState::CloseWait,
            State::Closing | State::LastAck | State::TimeWait => StreamState::Closed,
            // smoltcp forgets how it came to be closed.
            State::Closed if ended => StreamState::Closed,
            State::Closed => StreamState::Reset,
        }
    }

    /// How many bytes can be sent now, and how many fit in all.
    #[must_use]
    pub fn send_room(&self, handle: Handle) -> (usize, usize) {
        let socket = self.socket(handle);
        (socket.send_capacity() - socket.send_queue(), socket.send_capacity())
    }

    /// How many bytes can be read.
    #[must_use]
    pub fn readable(&self, handle: Handle) -> usize {
        self.socket(handle).recv_queue()
    }

    /// How many sent bytes the peer has not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self, handle: Handle) -> usize {
        self.socket(handle).send_queue()
    }

    /// Lets `fill` write into free room, a contiguous piece of it; it returns how many bytes it wrote. 0 if there is no room
    /// or the direction has ended.
    pub fn send<E>(&mut self, handle: Handle, fill: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<usize, E> {
        let sent = self.socket_mut(handle).send(|room| {
            let result = fill(room);
            (result.as_ref().map_or(0, |n| (*n).min(room.len())), result)
        });
        sent.unwrap_or(Ok(0))
    }

    /// Lets `take` look at what came in, a contiguous piece of it, and drops what it says it took.
    pub fn receive_stream<E>(
        &mut self,
        handle: Handle,
        take: impl FnOnce(&[u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let received = self.socket_mut(handle).recv(|bytes| {
            let result = take(bytes);
            (result.as_ref().map_or(0, |n| (*n).min(bytes.len())), result)
        });
        match received {
            Ok(result) => result,
            Err(RecvError::Finished | RecvError::InvalidState) => Ok(0),
        }
    }

    /// Looks at up to `len` bytes that came in.
    pub fn peek(&mut self, handle: Handle, len: usize) -> &[u8] {
        self.socket_mut(handle).peek(len).unwrap_or_default()
    }

    /// We send no more.
    pub fn finish(&mut self, handle: Handle) {
        self.ended.insert(handle.0);
        self.socket_mut(handle).close();
    }

    /// Whether small segments wait.
    pub fn set_nagle(&mut self, handle: Handle, on: bool) {
        self.socket_mut(handle).set_nagle_enabled(on);
    }

    /// Nobody uses the connection any more: it ends by itself, at once if `reset`.
    pub fn release(&mut self, handle: Handle, reset: bool) {
        if reset {
            self.socket_mut(handle).abort();
        } else {
            self.socket_mut(handle).close();
        }
        self.released.push((handle.0, Instant::now()));
    }
}
