//! A connection between two sockets of the sandbox: two flows, and what is left of them when one side has closed.
//!
//! What programs see of TCP's states follows from which direction has ended first. Lock: `Leaf` over the places in the table
//! of ports.

use std::net::SocketAddr;
use std::sync::Arc;

use abi::Errno;
use sync::Mutex;

use super::TcpSocket;
use super::end::End;
use super::flow::Flow;
use crate::lock_order::Leaf;
use crate::net::inet::ports::Lease;
use crate::net::inet::stack::{Counters, NetStack};

/// TCP's states, as `tcp_info` and /proc/net/tcp number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpState {
    /// Both directions are open.
    Established = 1,
    /// connect(2) was called.
    SynSent = 2,
    /// We have ended.
    FinWait2 = 5,
    /// Neither connected nor listening.
    Close = 7,
    /// The peer has ended.
    CloseWait = 8,
    /// listen(2) was called.
    Listen = 10,
}

/// Both directions. Side 0 connected, side 1 accepted.
#[derive(Debug)]
struct Pair {
    /// By who writes.
    flows: [Flow; 2],
    ends: [Arc<End>; 2],
    net: Arc<NetStack>,
    places: Mutex<[Place; 2], Leaf>,
}

/// The place of one side in the table of ports, kept until the connection is over.
#[derive(Debug, Default)]
struct Place {
    lease: Option<Lease<TcpSocket>>,
    shares: bool,
}

/// One side of a connection.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pair: Arc<Pair>,
    side: usize,
    /// Connected to itself: there is one flow, and it comes back.
    to_self: bool,
    /// Our address.
    pub(super) local: SocketAddr,
    /// The peer's.
    pub(super) remote: SocketAddr,
}

/// A side when the connection is made.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) end: Arc<End>,
    pub(super) addr: SocketAddr,
    pub(super) lease: Option<Lease<TcpSocket>>,
    /// SO_REUSEADDR.
    pub(super) shares: bool,
}

/// Joins two sides.
pub(super) fn join(net: &Arc<NetStack>, client: Side, server: Side) -> [Link; 2] {
    let flows = [Flow::new(&server.end, &client.end), Flow::new(&client.end, &server.end)];
    let places =
        [Place { lease: client.lease, shares: client.shares }, Place { lease: server.lease, shares: server.shares }];
    let to_self = client.addr == server.addr;
    let pair =
        Arc::new(Pair { flows, ends: [client.end, server.end], net: Arc::clone(net), places: Mutex::new(places) });
    [
        Link { pair: Arc::clone(&pair), side: 0, to_self, local: client.addr, remote: server.addr },
        Link { pair, side: 1, to_self, local: server.addr, remote: client.addr },
    ]
}

impl Link {
    /// Where our bytes go.
    pub(super) fn outgoing(&self) -> &Flow {
        &self.pair.flows[self.side]
    }

    /// Where they come from.
    pub(super) fn incoming(&self) -> &Flow {
        &self.pair.flows[if self.to_self { self.side } else { 1 - self.side }]
    }

    fn peer(&self) -> &Arc<End> {
        &self.pair.ends[1 - self.side]
    }

    fn own(&self) -> &Arc<End> {
        &self.pair.ends[self.side]
    }

    /// How much may be under way to the peer.
    pub(super) fn send_limit(&self, send_room: usize) -> usize {
        send_room.saturating_add(self.peer().receive_room())
    }

    /// The state that programs see.
    pub(super) fn state(&self) -> TcpState {
        let incoming = self.incoming().readiness(true);
        if incoming.reset {
            return TcpState::Close;
        }
        match (self.outgoing().finished(), incoming.fin) {
            (false, false) => TcpState::Established,
            (true, false) => TcpState::FinWait2,
            (false, true) => TcpState::CloseWait,
            (true, true) => TcpState::Close,
        }
    }

    /// We write no more.
    pub(super) fn finish(&self) {
        let peer_first = self.incoming().finished();
        if self.outgoing().finish() && (peer_first || self.to_self) {
            self.end(1 - self.side);
        }
    }

    /// Our socket is closed. Unread bytes, or `abort`, make it a reset.
    pub(super) fn close(&self, abort: bool) {
        if self.to_self {
            self.finish();
            let _ = self.incoming().abandon();
            return;
        }
        let unread = self.incoming().abandon();
        if self.state() == TcpState::Close {
            self.end(self.side);
        } else if unread || abort {
            self.reset_peer();
        } else {
            self.finish();
        }
    }

    /// The peer hears of a reset: from us, or because it wrote to nobody.
    pub(super) fn reset_peer(&self) {
        Self::reset(self.peer(), self.outgoing().finished());
        self.abolish();
    }

    /// We wrote to a socket that is closed: the reset is ours.
    pub(super) fn reset_self(&self) {
        Self::reset(self.own(), self.incoming().finished());
        self.abolish();
    }

    fn reset(end: &End, half_closed: bool) {
        end.set_error(if half_closed { Errno::EPIPE } else { Errno::ECONNRESET });
    }

    fn abolish(&self) {
        Counters::count(&self.pair.net.counters.tcp_resets);
        drop(self.take_places());
        for flow in &self.pair.flows {
            flow.reset();
        }
    }

    /// Both directions have ended; `first` ended first and waits.
    fn end(&self, first: usize) {
        let places = self.take_places();
        if places[first].lease.is_some() {
            let (local, remote) =
                if first == self.side { (self.local, self.remote) } else { (self.remote, self.local) };
            self.pair.net.time_wait.lock().add(local, remote, places[first].shares);
        }
        // The other direction's writer may wait for a hang-up that is one only now.
        for end in &self.pair.ends {
            end.queue.notify(abi::poll::POLLHUP | abi::poll::POLLIN | abi::poll::POLLOUT | abi::poll::POLLRDHUP);
        }
    }

    fn take_places(&self) -> [Place; 2] {
        std::mem::take(&mut *self.pair.places.lock())
    }
}
