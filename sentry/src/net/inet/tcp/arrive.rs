//! Connections from outside: what the engine asks about a listener, and what it hands over.

use std::net::SocketAddr;
use std::sync::Arc;

use abi::poll::{POLLIN, POLLRDNORM};
use abi::socket::SO_KEEPALIVE;
use netstack::{Handle, StreamOptions};

use super::conn::Conn;
use super::connect::TABLE;
use super::outside::Outside;
use super::{AUTO_BUFFER, Role, TcpSocket};
use crate::net::inet::gate::Gate;
use crate::net::inet::ports;
use crate::net::inet::stack::{Counters, NetStack};

impl TcpSocket {
    /// Whether it accepts, and has room.
    pub(in crate::net::inet) fn has_room(&self) -> bool {
        matches!(&self.state.lock().role, Role::Listening(listener) if listener.has_room())
    }

    /// How a connection of this socket to the outside behaves.
    pub(in crate::net::inet) fn stream_options(&self) -> StreamOptions {
        let keep_alive = self.options.flag(SO_KEEPALIVE).then(|| self.tcp.keep_idle());
        let receive_buffer =
            if self.options.has_receive_buffer() { self.options.receive_buffer() } else { AUTO_BUFFER };
        let send_buffer = if self.options.has_send_buffer() { self.options.send_buffer() } else { AUTO_BUFFER };
        StreamOptions { send_buffer, receive_buffer, nagle: self.tcp.nagle(), keep_alive }
    }
}

/// A connection is established that somebody outside asked for: it waits in the backlog, or is reset.
pub(in crate::net::inet) fn arrive(
    net: &Arc<NetStack>,
    gate: &Arc<Gate>,
    handle: Handle,
    local: SocketAddr,
    remote: SocketAddr,
) {
    let Some(listener) = net.tcp.listener(local, remote) else {
        gate.drive().engine().release(handle, true);
        return;
    };
    let child = TcpSocket::with(
        Arc::clone(net),
        listener.family,
        listener.options.inherited(),
        listener.ip.inherited(),
        listener.tcp.inherited(),
    );
    let sharing = match &listener.state.lock().role {
        Role::Listening(accepting) => accepting.sharing(),
        _ => ports::Sharing::default(),
    };
    let lease = ports::connect(net, TABLE, local, remote, sharing, &child.this).ok().map(|(lease, _)| lease);
    let outside = Outside::new(gate, handle, &child.end, lease, (local, remote));
    child.state.lock().role = Role::Connected(Conn::Outside(outside));
    child.apply_receive_buffer();
    let mut state = listener.state.lock();
    if let Role::Listening(accepting) = &mut state.role {
        accepting.add(child);
        drop(state);
        Counters::count(&net.counters.tcp_passive);
        listener.end.queue.notify(POLLIN | POLLRDNORM);
    } else {
        // It was closed meanwhile: the child goes, and resets its peer.
        drop(state);
        drop(child);
    }
}
