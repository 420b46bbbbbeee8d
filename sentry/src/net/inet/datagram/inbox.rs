//! What waits to be received on a datagram socket, and its queue of errors. Bounded by SO_RCVBUF.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use abi::Errno;
use abi::poll::{POLLERR, POLLIN, POLLRDNORM};
use abi::socket::{ETH_P_IP, ETH_P_IPV6, MsgFlags, SockExtendedErr};

use super::{DatagramSocket, Protocol, control};
use crate::error::{Result, err};
use crate::net::filter::View;
use crate::net::inet::addr::Family;
use crate::net::inet::gate;
use crate::net::inet::stack::Counters;
use crate::net::message::{Received, RecvMsg};
use crate::net::socket::Socket;

/// What a packet costs beside its bytes, as Linux's buffers have a head.
const OVERHEAD: usize = 768;
/// Bytes of a UDP header.
const UDP_HEADER: usize = 8;
/// The most errors that wait.
const MAX_ERRORS: usize = 64;

/// A packet as a socket receives it.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    /// The bytes, shared by all who get it.
    pub(super) bytes: Arc<Vec<u8>>,
    /// Who sent it.
    pub(super) from: SocketAddr,
    /// Where it was sent to.
    pub(super) to: SocketAddr,
    /// The device it came in by.
    pub(super) device: u32,
    /// Time to live, hop limit.
    pub(super) ttl: u8,
    /// Type of service, traffic class.
    pub(super) tos: u8,
    /// When.
    pub(super) at: SystemTime,
}

/// An entry of the error queue.
#[derive(Clone, Debug)]
pub(super) struct QueuedError {
    /// Where the packet was sent to that led to it.
    pub(super) to: SocketAddr,
    /// The packet's payload.
    pub(super) bytes: Vec<u8>,
    /// What and why.
    pub(super) error: SockExtendedErr,
    /// Who says so.
    pub(super) offender: IpAddr,
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    packets: VecDeque<Packet>,
    charged: usize,
    errors: VecDeque<QueuedError>,
    /// Packets that found no room (SO_RXQ_OVFL).
    pub(super) dropped: u32,
}

impl DatagramSocket {
    /// Hands a packet over. Without room it is lost, as it would be on Linux.
    pub(super) fn deliver(&self, mut packet: Packet) {
        match self.filtered(&packet) {
            None => return,
            Some(most) if most < packet.bytes.len() => packet.bytes = Arc::new(packet.bytes[..most].to_vec()),
            Some(_) => {}
        }
        let limit = self.options.receive_buffer();
        let mut inbox = self.inbox.lock();
        let cost = packet.bytes.len() + OVERHEAD;
        if inbox.charged.saturating_add(cost) > limit && !inbox.packets.is_empty() {
            inbox.dropped = inbox.dropped.wrapping_add(1);
            drop(inbox);
            Counters::count(&self.net.counters.udp_dropped);
            return;
        }
        inbox.charged += cost;
        inbox.packets.push_back(packet);
        drop(inbox);
        self.queue.notify(POLLIN | POLLRDNORM);
    }

    /// How many bytes of the payload the socket's filter lets through; `None` for a packet that it throws away. Filters of
    /// UDP begin at its header, those of raw IPv4 sockets at the IP header.
    fn filtered(&self, packet: &Packet) -> Option<usize> {
        if self.options.filter().program().is_none() {
            return Some(usize::MAX);
        }
        let (from, to) = (packet.from, packet.to);
        let (whole, data, hidden) = match self.protocol {
            Protocol::Raw(_) if from.is_ipv4() => (packet.bytes.to_vec(), 0, 0),
            Protocol::Udp | Protocol::UdpLite => {
                let whole = gate::build_udp(from, to, packet.ttl, packet.tos, &packet.bytes)?;
                let header = whole.len() - packet.bytes.len() - UDP_HEADER;
                (whole, header, UDP_HEADER)
            }
            Protocol::Ping | Protocol::Raw(_) => {
                let number = u8::try_from(self.protocol()).unwrap_or(0);
                let whole = gate::build(from.ip(), to.ip(), number, packet.ttl, packet.tos, &packet.bytes)?;
                let header = whole.len() - packet.bytes.len();
                (whole, header, 0)
            }
        };
        let protocol = if to.is_ipv6() { ETH_P_IPV6 } else { ETH_P_IP };
        let view = View { whole: &whole, data, protocol, device: packet.device, ..View::default() };
        let most = self.options.filter().verdict(|run| run(view))?;
        Some(most.max(hidden) - hidden)
    }

    /// Queues an error.
    pub(super) fn queue_error(&self, error: QueuedError) {
        let mut inbox = self.inbox.lock();
        if inbox.errors.len() < MAX_ERRORS {
            inbox.errors.push_back(error);
        }
        drop(inbox);
        self.queue.notify(POLLERR);
    }
}

impl Inbox {
    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    pub(super) const fn charged(&self) -> usize {
        self.charged
    }

    pub(super) fn next_len(&self) -> usize {
        self.packets.front().map_or(0, |packet| packet.bytes.len())
    }

    /// Receives the next packet, or the one behind `from` bytes for who only looks. `None` if there is none.
    pub(super) fn pop(
        &mut self,
        socket: &DatagramSocket,
        message: &mut RecvMsg<'_, '_>,
        from: usize,
    ) -> Result<Option<Received>> {
        let peek = message.flags.contains(MsgFlags::MSG_PEEK);
        let (mut at, mut skip) = (0, if peek { from } else { 0 });
        while let Some(packet) = self.packets.get(at).filter(|packet| skip > 0 && packet.bytes.len() <= skip) {
            skip -= packet.bytes.len();
            at += 1;
        }
        let Some(packet) = self.packets.get(at) else { return Ok(None) };
        let bytes = packet.bytes.get(skip..).unwrap_or_default();
        let n = if bytes.is_empty() { 0 } else { message.dst.put(bytes)? };
        let mut received = Received {
            len: if message.flags.contains(MsgFlags::MSG_TRUNC) { bytes.len() } else { n },
            from: Some(socket.family.show(packet.from)),
            flags: if n < bytes.len() { MsgFlags::MSG_TRUNC } else { MsgFlags::empty() },
            ..Received::default()
        };
        if message.wants_ancillary {
            received.control = control::received(socket, packet, self.dropped);
        }
        if !peek && let Some(packet) = self.packets.pop_front() {
            self.charged = self.charged.saturating_sub(packet.bytes.len() + OVERHEAD);
        }
        Ok(Some(received))
    }

    /// MSG_ERRQUEUE.
    pub(super) fn pop_error(&mut self, family: Family, message: &mut RecvMsg<'_, '_>) -> Result<Received> {
        let Some(error) = self.errors.pop_front() else { return err(Errno::EAGAIN) };
        let n = if error.bytes.is_empty() { 0 } else { message.dst.put(&error.bytes)? };
        let mut flags = MsgFlags::MSG_ERRQUEUE;
        flags.set(MsgFlags::MSG_TRUNC, n < error.bytes.len());
        Ok(Received {
            len: n,
            from: Some(family.show(error.to)),
            flags,
            control: vec![control::error(family, &error)],
            ..Received::default()
        })
    }
}
