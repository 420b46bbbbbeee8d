//! One Ethernet device with its addresses and routes, and the connections over it.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use smoltcp::iface::{Config as InterfaceConfig, Interface, SocketHandle, SocketSet};
use smoltcp::socket::raw;
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::storage::PacketMetadata;
use smoltcp::time::Instant as Time;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, IpProtocol, IpVersion};

use crate::device::Queues;
use crate::packet;
use crate::stream::{self, Handle, StreamError, StreamOptions};

/// The most connections, established or not.
const MAX_STREAMS: usize = 16384;
/// The most that are asked for and not established: a flood of them costs no more memory than this.
const MAX_OPENING: usize = 256;
/// How long a connection that was asked for may take to be established.
const OPENING: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(10);
/// How long a connection that nobody uses waits for its peer to end (tcp_fin_timeout).
const ORPHAN: Duration = Duration::from_secs(60);
/// Room for packets that wait in each direction, by protocol.
const PACKETS: usize = 256;
const PACKET_BYTES: usize = 256 << 10;

/// What a device is.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Its largest IP packet.
    pub mtu: usize,
    /// Its addresses, with the length of their network's prefix.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Ways to networks that are not on the link.
    pub routes: Vec<Route>,
    /// Where sequence numbers begin.
    pub seed: u64,
}

/// A way to a network.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The network.
    pub to: (IpAddr, u8),
    /// The next hop.
    pub gateway: IpAddr,
}

/// A device and everything over it.
pub struct Engine {
    queues: Queues,
    interface: Interface,
    pub(crate) sockets: SocketSet<'static>,
    /// Sockets for packets: UDP, ICMP; version by version.
    packets: [SocketHandle; 4],
    begun: Instant,
    streams: usize,
    opening: Vec<SocketHandle>,
    /// Connections that we ended.
    pub(crate) ended: HashSet<SocketHandle>,
    /// Connections that nobody uses.
    pub(crate) released: Vec<(SocketHandle, Instant)>,
    /// Connections that somebody asked for and that are established.
    accepted: VecDeque<(Handle, SocketAddr, SocketAddr)>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("streams", &self.streams).finish_non_exhaustive()
    }
}

impl Engine {
    /// A device without connections. Addresses and routes beyond what the engine has room for are left out.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut queues = Queues::new(config.mtu);
        let mut interface_config = InterfaceConfig::new(HardwareAddress::Ethernet(EthernetAddress(config.mac)));
        interface_config.random_seed = config.seed;
        let mut interface = Interface::new(interface_config, &mut queues, Time::ZERO);
        interface.update_ip_addrs(|list| {
            for (ip, prefix) in &config.addresses {
                let most = if ip.is_ipv4() { 32 } else { 128 };
                let _ = list.push(IpCidr::new(IpAddress::from(*ip), (*prefix).min(most)));
            }
        });
        interface.routes_mut().update(|list| {
            for route in &config.routes {
                let most = if route.to.0.is_ipv4() { 32 } else { 128 };
                let _ = list.push(smoltcp::iface::Route {
                    cidr: IpCidr::new(IpAddress::from(route.to.0), route.to.1.min(most)),
                    via_router: IpAddress::from(route.gateway),
                    preferred_until: None,
                    expires_at: None,
                });
            }
        });
        let mut sockets = SocketSet::new(Vec::new());
        let buffer = || raw::PacketBuffer::new(vec![PacketMetadata::EMPTY; PACKETS], vec![0; PACKET_BYTES]);
        let packets = [
            (IpVersion::Ipv4, IpProtocol::Udp),
            (IpVersion::Ipv4, IpProtocol::Icmp),
            (IpVersion::Ipv6, IpProtocol::Udp),
            (IpVersion::Ipv6, IpProtocol::Icmpv6),
        ]
        .map(|(version, protocol)| sockets.add(raw::Socket::new(Some(version), Some(protocol), buffer(), buffer())));
        Self {
            queues,
            interface,
            sockets,
            packets,
            begun: Instant::now(),
            streams: 0,
            opening: Vec::new(),
            ended: HashSet::new(),
            released: Vec::new(),
            accepted: VecDeque::new(),
        }
    }

    /// A frame came in. `listens` says whether somebody accepts connections to the first address from the second, and how
    /// they are to behave.
    pub fn receive(&mut self, frame: &[u8], listens: impl FnOnce(SocketAddr, SocketAddr) -> Option<StreamOptions>) {
        if let Some(found) = packet::in_frame(frame).and_then(packet::parse)
            && let Some((to, from)) = packet::opening(&found)
            && self.opening.len() < MAX_OPENING
            && self.streams < MAX_STREAMS
        {
            let (local, remote) = (SocketAddr::new(found.to, to), SocketAddr::new(found.from, from));
            let ours = self.interface.has_ip_addr(IpAddress::from(found.to));
            if ours
                && !self.is_known(local, remote)
                && let Some(options) = listens(local, remote)
            {
                let mut socket = stream::make(&options);
                socket.set_timeout(Some(OPENING));
                if socket.listen(stream::endpoint(local)).is_ok() {
                    self.opening.push(self.sockets.add(socket));
                    self.streams += 1;
                }
            }
        }
        self.queues.receive(frame);
    }

    fn is_known(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        let (local, remote) = (Some(stream::endpoint(local)), Some(stream::endpoint(remote)));
        self.sockets.iter().any(|(_, socket)| match socket {
            smoltcp::socket::Socket::Tcp(tcp) => {
                tcp.local_endpoint() == local && tcp.remote_endpoint() == remote && tcp.state() != State::Closed
            }
            smoltcp::socket::Socket::Raw(_) => false,
        })
    }

    /// Does all that is due; returns when something will be, if nothing comes in before.
    pub fn poll(&mut self) -> Option<Duration> {
        let now = self.now();
        self.interface.poll(now, &mut self.queues, &mut self.sockets);
        self.sort_out();
        self.interface.poll_delay(self.now(), &self.sockets).map(Duration::from)
    }

    /// The next frame to send.
    pub fn transmit(&mut self) -> Option<Vec<u8>> {
        self.queues.outgoing.pop_front()
    }

    /// Opens a connection.
    pub fn connect(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        options: &StreamOptions,
    ) -> Result<Handle, StreamError> {
        if self.streams >= MAX_STREAMS {
            return Err(StreamError::Full);
        }
        let mut socket = stream::make(options);
        socket
            .connect(self.interface.context(), stream::endpoint(remote), stream::endpoint(local))
            .map_err(|_| StreamError::Address)?;
        self.streams += 1;
        Ok(Handle(self.sockets.add(socket)))
    }

    /// The next connection that somebody asked for: its own address and the peer's.
    pub fn accept(&mut self) -> Option<(Handle, SocketAddr, SocketAddr)> {
        self.accepted.pop_front()
    }

    /// Sends an IP packet with UDP or ICMP in it. `false` if there is no room.
    pub fn send_packet(&mut self, bytes: &[u8]) -> bool {
        let Some(packet) = packet::parse(bytes) else { return false };
        let at = usize::from(packet.to.is_ipv6()) * 2 + usize::from(packet.protocol != packet::UDP);
        self.sockets.get_mut::<raw::Socket<'_>>(self.packets[at]).send_slice(bytes).is_ok()
    }

    /// The next IP packet with UDP or ICMP in it that came in.
    pub fn receive_packet(&mut self) -> Option<Vec<u8>> {
        for handle in self.packets {
            if let Ok(bytes) = self.sockets.get_mut::<raw::Socket<'_>>(handle).recv() {
                return Some(bytes.to_vec());
            }
        }
        None
    }

    fn now(&self) -> Time {
        Time::from_micros(i64::try_from(self.begun.elapsed().as_micros()).unwrap_or(i64::MAX))
    }

    /// Hands over what is established, and forgets what has ended.
    fn sort_out(&mut self) {
        let mut at = 0;
        while let Some(handle) = self.opening.get(at).copied() {
            let socket = self.sockets.get_mut::<Socket<'_>>(handle);
            let address = |end: Option<smoltcp::wire::IpEndpoint>| {
                end.map(|end| SocketAddr::new(IpAddr::from(end.addr), end.port))
            };
            let ends = (address(socket.local_endpoint()), address(socket.remote_endpoint()));
            match (socket.state(), ends) {
                (State::Listen | State::SynReceived, _) => {
                    at += 1;
                    continue;
                }
                (State::Closed, _) | (_, (None, _) | (_, None)) => self.forget(handle),
                (_, (Some(local), Some(remote))) => {
                    socket.set_timeout(Some(stream::PATIENCE));
                    self.accepted.push_back((Handle(handle), local, remote));
                }
            }
            self.opening.swap_remove(at);
        }
        // A SYN that came to nothing leaves a listener that nobody will reach.
        if self.queues.incoming.is_empty() {
            let stale: Vec<SocketHandle> = self
                .opening
                .iter()
                .copied()
                .filter(|handle| self.sockets.get::<Socket<'_>>(*handle).state() == State::Listen)
                .collect();
            self.opening.retain(|handle| !stale.contains(handle));
            stale.into_iter().for_each(|handle| self.forget(handle));
        }
        let mut released = std::mem::take(&mut self.released);
        released.retain(|(handle, since)| {
            let socket = self.sockets.get_mut::<Socket<'_>>(*handle);
            if socket.state() == State::FinWait2 && since.elapsed() > ORPHAN {
                socket.abort();
            }
            let over = matches!(self.sockets.get::<Socket<'_>>(*handle).state(), State::Closed | State::TimeWait)
                && self.sockets.get::<Socket<'_>>(*handle).send_queue() == 0;
            if over {
                self.forget(*handle);
            }
            !over
        });
        self.released.append(&mut released);
    }

    fn forget(&mut self, handle: SocketHandle) {
        self.sockets.remove(handle);
        self.ended.remove(&handle);
        self.streams = self.streams.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::StreamState;

    fn engine(last: u8) -> Engine {
        Engine::new(&Config {
            mac: [2, 0, 0, 0, 0, last],
            mtu: 1500,
            addresses: vec![(IpAddr::from([10, 0, 0, last]), 24)],
            routes: Vec::new(),
            seed: last.into(),
        })
    }

    const OPTIONS: StreamOptions =
        StreamOptions { send_buffer: 65536, receive_buffer: 65536, nagle: false, keep_alive: None };

    /// Carries frames until there are none.
    fn carry(a: &mut Engine, b: &mut Engine, listens: bool) {
        for _ in 0..64 {
            let mut moved = false;
            for turn in 0..2 {
                let (from, to) = if turn == 0 { (&mut *a, &mut *b) } else { (&mut *b, &mut *a) };
                from.poll();
                while let Some(frame) = from.transmit() {
                    moved = true;
                    to.receive(&frame, |_, _| listens.then_some(OPTIONS));
                }
                to.poll();
            }
            if !moved {
                break;
            }
        }
    }

    #[test]
    fn two_engines_talk() {
        let (mut a, mut b) = (engine(1), engine(2));
        let (local, remote) =
            ("10.0.0.1:4000".parse().expect("an address"), "10.0.0.2:80".parse().expect("an address"));
        let handle = a.connect(local, remote, &OPTIONS).expect("it is free");
        carry(&mut a, &mut b, true);
        assert_eq!(a.state(handle), StreamState::Established);
        let (server, own, peer) = b.accept().expect("it was asked for");
        assert_eq!((own, peer), (remote, local));
        let sent = a.send::<()>(handle, |room| {
            room[..5].copy_from_slice(b"hello");
            Ok(5)
        });
        assert_eq!(sent, Ok(5));
        a.finish(handle);
        carry(&mut a, &mut b, true);
        assert_eq!(b.peek(server, 9), b"hello");
        assert_eq!(b.receive_stream::<()>(server, |bytes| Ok(bytes.len())), Ok(5));
        assert_eq!(b.state(server), StreamState::CloseWait);
    }

    #[test]
    fn nobody_listens() {
        let (mut a, mut b) = (engine(1), engine(2));
        let (local, remote) =
            ("10.0.0.1:4000".parse().expect("an address"), "10.0.0.2:80".parse().expect("an address"));
        let handle = a.connect(local, remote, &OPTIONS).expect("it is free");
        carry(&mut a, &mut b, false);
        assert_eq!(a.state(handle), StreamState::Reset);
    }

    #[test]
    fn a_datagram_arrives_as_a_packet() {
        let (mut a, mut b) = (engine(1), engine(2));
        let (from, to) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let inner = packet::udp((from, 5), (to, 6), b"hi").expect("it is short");
        let bytes =
            packet::build(&packet::Packet { from, to, protocol: packet::UDP, ttl: 64, tos: 0, payload: &inner });
        assert!(a.send_packet(&bytes.expect("one family")));
        carry(&mut a, &mut b, false);
        let got = b.receive_packet().expect("it arrived");
        assert_eq!(
            packet::parse(&got).and_then(|p| packet::parse_udp(p.payload).map(|u| u.2.to_vec())),
            Some(b"hi".to_vec())
        );
    }
}
