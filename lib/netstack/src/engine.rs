//! One Ethernet device with its addresses and routes, and the connections over it.
//!
//! smoltcp looks at every socket of a set for every packet. Here each connection is a set of its own, and a table says which
//! one a packet is for, which ones have something to do, and when the others will: what a packet costs does not depend on how
//! many connections there are.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use smoltcp::iface::{Config as InterfaceConfig, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::raw;
use smoltcp::socket::tcp::State;
use smoltcp::storage::PacketMetadata;
use smoltcp::time::Instant as Time;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, IpProtocol, IpVersion};

use crate::device::{Incoming, Queues};
use crate::offload::{self, Offload};
use crate::packet;
use crate::stream::{self, Handle, Stream, StreamError, StreamOptions};

/// The most connections, established or not.
const MAX_STREAMS: usize = 16384;
/// The most that are asked for and not established: a flood of them costs no more memory than this.
const MAX_OPENING: usize = 256;
/// How long a connection that was asked for may take to be established.
const OPENING: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(10);
/// How long a connection that nobody uses waits for its peer to end (tcp_fin_timeout).
const ORPHAN: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(60);
/// How long what is sent with MSG_MORE waits for more.
const CORKED: smoltcp::time::Duration = smoltcp::time::Duration::from_millis(200);
/// A pause where one is needed and nothing says how long.
const MOMENT: smoltcp::time::Duration = smoltcp::time::Duration::from_millis(1);
/// From how many connections on, and from how many that are asked for, new ones have smaller buffers.
const CROWD: usize = 1024;
const RUSH: usize = 32;
/// How many connections have memory that is worth giving back.
const MANY: usize = 256;
const CROWDED_BUFFER: usize = 64 << 10;
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

/// What becomes of somebody who asks for a connection.
#[derive(Clone, Copy, Debug)]
pub enum Listening {
    /// Nobody accepts there: reset.
    Nobody,
    /// The backlog is full: not answered, so that it is asked for again.
    Full,
    /// It is made, with these options.
    Accepts(StreamOptions),
}

/// Both addresses of a connection, ours first.
pub(crate) type Ends = (SocketAddr, SocketAddr);

/// A device and everything over it.
pub struct Engine {
    pub(crate) queues: Queues,
    pub(crate) interface: Interface,
    /// Sockets for packets: UDP, ICMP; version by version.
    packets: SocketSet<'static>,
    packet_sockets: [SocketHandle; 4],
    /// Bytes of TCP in a frame that is not several.
    segment: usize,
    /// For packets that are for no connection we know.
    strangers: SocketSet<'static>,
    begun: Instant,
    pub(crate) streams: HashMap<Handle, Stream>,
    by_ends: HashMap<Ends, Handle>,
    next: u64,
    /// When connections have something to do by themselves.
    timers: BTreeSet<(Time, Handle)>,
    /// Connections that have something to do now.
    touched: Vec<Handle>,
    /// Those that had when this was looked at last.
    stepping: Vec<Handle>,
    /// Those of which there may be news, some perhaps more than once.
    changed: Vec<Handle>,
    /// The most connections since memory was given back.
    peak: usize,
    /// Connections that are asked for and not established, the oldest first; some of them are no more.
    opening: VecDeque<Handle>,
    /// Connections that somebody asked for and that are established.
    accepted: VecDeque<(Handle, SocketAddr, SocketAddr)>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("streams", &self.streams.len()).finish_non_exhaustive()
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
        let mut packets = SocketSet::new(Vec::new());
        let buffer = || raw::PacketBuffer::new(vec![PacketMetadata::EMPTY; PACKETS], vec![0; PACKET_BYTES]);
        let packet_sockets = [
            (IpVersion::Ipv4, IpProtocol::Udp),
            (IpVersion::Ipv4, IpProtocol::Icmp),
            (IpVersion::Ipv6, IpProtocol::Udp),
            (IpVersion::Ipv6, IpProtocol::Icmpv6),
        ]
        .map(|(version, protocol)| packets.add(raw::Socket::new(Some(version), Some(protocol), buffer(), buffer())));
        Self {
            queues,
            interface,
            packets,
            packet_sockets,
            segment: config.mtu.saturating_sub(20),
            strangers: SocketSet::new(Vec::new()),
            begun: Instant::now(),
            streams: HashMap::new(),
            by_ends: HashMap::new(),
            next: 0,
            timers: BTreeSet::new(),
            touched: Vec::new(),
            stepping: Vec::new(),
            changed: Vec::new(),
            peak: 0,
            opening: VecDeque::new(),
            accepted: VecDeque::new(),
        }
    }

    /// A frame came in. `listens` says whether somebody accepts connections to the first address from the second.
    pub fn receive(
        &mut self,
        frame: &[u8],
        offload: Offload,
        listens: impl FnOnce(SocketAddr, SocketAddr) -> Listening,
    ) {
        let now = self.now();
        let found = packet::in_frame(frame).and_then(packet::parse);
        if let Some(found) = &found
            && !offload.trusted
            && !offload::is_intact(found)
        {
            return;
        }
        let segment = found.as_ref().and_then(|found| Some((found, packet::ports(found)?)));
        let Some((found, (to, from))) = segment else {
            // Pieces of segments: nobody sends them since segments are made to fit.
            if packet::in_frame(frame).is_none_or(|bytes| !packet::is_tcp_fragment(bytes)) {
                match offload.datagrams {
                    Some(size) => offload::datagrams(frame, size).iter().for_each(|one| self.receive_packets(one, now)),
                    None => self.receive_packets(frame, now),
                }
                if found.is_none_or(|found| found.protocol == packet::ICMPV6) {
                    self.wake_soon(now);
                }
            }
            return;
        };
        let ends = (SocketAddr::new(found.to, to), SocketAddr::new(found.from, from));
        let known = match self.by_ends.get(&ends) {
            Some(handle) => Some(*handle),
            None if packet::opening(found).is_some() && self.interface.has_ip_addr(IpAddress::from(found.to)) => {
                match listens(ends.0, ends.1) {
                    Listening::Nobody => None,
                    Listening::Full => return,
                    Listening::Accepts(_) if self.streams.len() >= MAX_STREAMS => return,
                    Listening::Accepts(options) => self.listen(ends, &options),
                }
            }
            None => None,
        };
        let mut device = Incoming { frame: Some(frame), queues: &mut self.queues };
        match known.and_then(|handle| Some((handle, self.streams.get_mut(&handle)?))) {
            Some((handle, stream)) => {
                stream.expects_answer(found.payload.len() > self.segment);
                for step in stream.ramp.steps(found.payload) {
                    let less = packet::with_acknowledgement(frame, step);
                    let mut device = Incoming { frame: less.as_deref(), queues: device.queues };
                    self.interface.poll_ingress_single(now, &mut device, &mut stream.set);
                }
                self.interface.poll_ingress_single(now, &mut device, &mut stream.set);
                stream::touch(stream, handle, &mut self.touched);
            }
            None => {
                self.interface.poll_ingress_single(now, &mut device, &mut self.strangers);
            }
        }
    }

    /// A frame with something other than TCP came in.
    fn receive_packets(&mut self, frame: &[u8], now: Time) {
        let mut device = Incoming { frame: Some(frame), queues: &mut self.queues };
        self.interface.poll_ingress_single(now, &mut device, &mut self.packets);
    }

    /// Makes a connection that somebody asks for. The oldest that is not established gives way if there are many.
    fn listen(&mut self, ends: Ends, options: &StreamOptions) -> Option<Handle> {
        if self.opening.len() >= RUSH {
            let streams = &self.streams;
            self.opening.retain(|handle| streams.get(handle).is_some_and(|stream| stream.asked));
        }
        if self.opening.len() >= MAX_OPENING
            && let Some(oldest) = self.opening.pop_front()
        {
            self.forget(oldest);
        }
        let rush = self.opening.len() >= RUSH;
        let options = if rush { options.at_most(CROWDED_BUFFER) } else { self.crowded(options) };
        let mut socket = stream::make(&options);
        socket.set_timeout(Some(OPENING));
        socket.listen(stream::endpoint(ends.0)).ok()?;
        let handle = self.add(Stream::new(socket, ends, true));
        self.opening.push_back(handle);
        Some(handle)
    }

    fn crowded(&self, options: &StreamOptions) -> StreamOptions {
        options.at_most(if self.streams.len() >= CROWD { CROWDED_BUFFER } else { usize::MAX })
    }

    fn add(&mut self, stream: Stream) -> Handle {
        let handle = Handle(self.next);
        self.next += 1;
        self.by_ends.insert(stream.ends, handle);
        self.streams.insert(handle, stream);
        self.peak = self.peak.max(self.streams.len());
        self.touch(handle);
        handle
    }

    /// Somebody's hardware address may be known now: whoever waits for one looks again.
    fn wake_soon(&mut self, now: Time) {
        let until = now + smoltcp::time::Duration::from_secs(1);
        for (_, handle) in self.timers.iter().take_while(|(at, _)| *at <= until) {
            if let Some(stream) = self.streams.get_mut(handle) {
                stream::touch(stream, *handle, &mut self.touched);
            }
        }
    }

    /// Does all that is due; returns when something will be, if nothing comes in before.
    pub fn poll(&mut self) -> Option<Duration> {
        let now = self.now();
        self.interface.poll_maintenance(now);
        while let Some((at, handle)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(stream) = self.streams.get_mut(&handle) {
                stream.due = None;
                stream::touch(stream, handle, &mut self.touched);
            }
        }
        while self.queues.has_room()
            && self.interface.poll_egress(now, &mut self.queues, &mut self.packets) != PollResult::None
        {}
        let mut stepping = std::mem::replace(&mut self.touched, std::mem::take(&mut self.stepping));
        for handle in stepping.drain(..) {
            self.step(handle, now);
        }
        self.stepping = stepping;
        let next = self.timers.first().map(|(at, _)| *at);
        let packets = self.interface.poll_at(now, &self.packets);
        // What did not fit goes on when frames were taken away.
        let full = (!self.queues.has_room() || self.queues.is_held_up()).then_some(now);
        let next = [next, packets, full].into_iter().flatten().min()?;
        Some(if next > now { (next - now).into() } else { Duration::from(MOMENT) })
    }

    /// Lets one connection do what it has to.
    fn step(&mut self, handle: Handle, now: Time) {
        let Some(stream) = self.streams.get_mut(&handle) else { return };
        stream.touched = false;
        if let Some(due) = stream.due.take() {
            self.timers.remove(&(due, handle));
        }
        while self.queues.has_room()
            && self.interface.poll_egress(now, &mut self.queues, &mut stream.set) != PollResult::None
        {}
        if !self.queues.has_room() {
            stream::touch(stream, handle, &mut self.touched);
        }
        let mut due = self.interface.poll_at(now, &stream.set).map(|at| at.max(now + MOMENT));
        let state = stream.socket().state();
        if stream.asked {
            match state {
                State::SynReceived => {}
                // A SYN that came to nothing, or somebody who went away before the end.
                State::Listen | State::Closed => return self.forget(handle),
                _ => {
                    stream.asked = false;
                    stream.socket_mut().set_timeout(Some(stream::PATIENCE));
                    self.accepted.push_back((handle, stream.ends.0, stream.ends.1));
                }
            }
        }
        if let Some(since) = stream.released {
            // What could not be sent any more is of no use to anybody; a reset has gone out if there was room.
            if state == State::TimeWait || (state == State::Closed && self.queues.has_room()) {
                return self.forget(handle);
            }
            if state == State::FinWait2 {
                if now >= since + ORPHAN {
                    stream.socket_mut().abort();
                    stream::touch(stream, handle, &mut self.touched);
                }
                due = Some(due.map_or(since + ORPHAN, |due| due.min(since + ORPHAN)).max(now + MOMENT));
            }
        }
        stream.due = due;
        self.timers.extend(due.map(|due| (due, handle)));
        self.changed.push(handle);
    }

    /// The next frame to send, with the header of [`crate::offload`] in front of it.
    pub fn transmit(&mut self) -> Option<Vec<u8>> {
        self.queues.next()
    }

    /// A frame was sent, or is lost: its buffer is used again.
    pub fn sent(&mut self, frame: Vec<u8>) {
        self.queues.sent(frame);
    }

    /// A frame could not be sent yet: it is the next one again.
    pub fn put_back(&mut self, frame: Vec<u8>) {
        self.queues.put_back(frame);
    }

    /// The next connection of which there may be news.
    pub fn changed(&mut self) -> Option<Handle> {
        self.changed.pop()
    }

    /// Whether many connections have gone since this was said last: there is memory to be given back.
    pub fn has_shrunk(&mut self) -> bool {
        let shrunk = self.peak >= MANY && self.streams.len() < self.peak / 4;
        if shrunk {
            self.peak = self.streams.len();
            self.streams.shrink_to_fit();
            self.by_ends.shrink_to_fit();
            self.opening.shrink_to_fit();
            self.touched.shrink_to_fit();
            self.stepping.shrink_to_fit();
            self.changed.shrink_to_fit();
        }
        shrunk
    }

    /// Opens a connection.
    pub fn connect(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        options: &StreamOptions,
    ) -> Result<Handle, StreamError> {
        if self.streams.len() >= MAX_STREAMS {
            return Err(StreamError::Full);
        }
        if self.by_ends.contains_key(&(local, remote)) {
            return Err(StreamError::Address);
        }
        let mut socket = stream::make(&self.crowded(options));
        socket
            .connect(self.interface.context(), stream::endpoint(remote), stream::endpoint(local))
            .map_err(|_| StreamError::Address)?;
        Ok(self.add(Stream::new(socket, (local, remote), false)))
    }

    /// The next connection that somebody asked for: its own address and the peer's.
    pub fn accept(&mut self) -> Option<(Handle, SocketAddr, SocketAddr)> {
        self.accepted.pop_front()
    }

    /// Sends an IP packet with UDP or ICMP in it. `false` if there is no room.
    pub fn send_packet(&mut self, bytes: &[u8]) -> bool {
        let Some(packet) = packet::parse(bytes) else { return false };
        let at = usize::from(packet.to.is_ipv6()) * 2 + usize::from(packet.protocol != packet::UDP);
        self.packets.get_mut::<raw::Socket<'_>>(self.packet_sockets[at]).send_slice(bytes).is_ok()
    }

    /// The next IP packet with UDP or ICMP in it that came in.
    pub fn receive_packet(&mut self) -> Option<Vec<u8>> {
        for handle in self.packet_sockets {
            if let Ok(bytes) = self.packets.get_mut::<raw::Socket<'_>>(handle).recv() {
                return Some(bytes.to_vec());
            }
        }
        None
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_micros(i64::try_from(self.begun.elapsed().as_micros()).unwrap_or(i64::MAX))
    }

    /// The connection has something to do.
    pub(crate) fn touch(&mut self, handle: Handle) {
        if let Some(stream) = self.streams.get_mut(&handle) {
            stream::touch(stream, handle, &mut self.touched);
        }
    }

    /// It has something to do in a while, if nothing comes before.
    pub(crate) fn touch_later(&mut self, handle: Handle) {
        let at = self.now() + CORKED;
        if let Some(stream) = self.streams.get_mut(&handle)
            && stream.due.is_none_or(|due| due > at)
        {
            self.timers.extend([(at, handle)]);
            if let Some(due) = stream.due.replace(at) {
                self.timers.remove(&(due, handle));
            }
        }
    }

    fn forget(&mut self, handle: Handle) {
        if let Some(stream) = self.streams.remove(&handle) {
            if let Some(due) = stream.due {
                self.timers.remove(&(due, handle));
            }
            self.by_ends.remove(&stream.ends);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::offload::HEADER;
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

    /// What one engine sends comes to another as from a packet socket.
    fn take(to: &mut Engine, bytes: &[u8], listening: Listening) {
        if let Some((offload, frame)) = Offload::split(bytes) {
            to.receive(frame, offload, |_, _| listening);
        }
    }

    /// Carries frames until there are none.
    fn carry(a: &mut Engine, b: &mut Engine, listens: bool) {
        for _ in 0..64 {
            let mut moved = false;
            for turn in 0..2 {
                let (from, to) = if turn == 0 { (&mut *a, &mut *b) } else { (&mut *b, &mut *a) };
                from.poll();
                while let Some(frame) = from.transmit() {
                    moved = true;
                    take(to, &frame, if listens { Listening::Accepts(OPTIONS) } else { Listening::Nobody });
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
        let sent = a.send::<()>(handle, false, |room| {
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

    #[test]
    fn a_flood_of_requests_makes_no_more_than_so_many_connections() {
        let (mut a, mut b) = (engine(1), engine(2));
        let mut forged = 0_u32;
        for port in 1..2000 {
            let local = SocketAddr::new(IpAddr::from([10, 0, 0, 1]), 1024 + port);
            let _ = a.connect(local, "10.0.0.2:80".parse().expect("an address"), &OPTIONS).expect("it is free");
            a.poll();
            while let Some(frame) = a.transmit() {
                forged += 1;
                take(&mut b, &frame, Listening::Accepts(OPTIONS));
                b.poll();
                // Only hardware addresses are told: nothing else is ever answered.
                while let Some(answer) = b.transmit() {
                    if answer[HEADER + 12..HEADER + 14] == [8, 6] {
                        take(&mut a, &answer, Listening::Nobody);
                    }
                }
            }
        }
        assert!(forged > 1000);
        assert!(b.streams.len() <= MAX_OPENING && b.by_ends.len() == b.streams.len(), "{}", b.streams.len());
    }

    #[test]
    fn a_full_backlog_is_not_answered() {
        let (mut a, mut b) = (engine(1), engine(2));
        let (local, remote) =
            ("10.0.0.1:4000".parse().expect("an address"), "10.0.0.2:80".parse().expect("an address"));
        let handle = a.connect(local, remote, &OPTIONS).expect("it is free");
        for _ in 0..4 {
            a.poll();
            while let Some(frame) = a.transmit() {
                take(&mut b, &frame, Listening::Full);
            }
            b.poll();
            while let Some(frame) = b.transmit() {
                take(&mut a, &frame, Listening::Nobody);
            }
        }
        assert_eq!(a.state(handle), StreamState::Opening);
        assert!(b.streams.is_empty());
    }

    #[test]
    fn what_is_followed_by_more_waits() {
        let (mut a, mut b) = (engine(1), engine(2));
        let (local, remote) =
            ("10.0.0.1:4000".parse().expect("an address"), "10.0.0.2:80".parse().expect("an address"));
        let handle = a.connect(local, remote, &OPTIONS).expect("it is free");
        carry(&mut a, &mut b, true);
        let (server, ..) = b.accept().expect("it was asked for");
        let put = |bytes: &'static [u8]| {
            move |room: &mut [u8]| -> Result<usize, ()> {
                room[..bytes.len()].copy_from_slice(bytes);
                Ok(bytes.len())
            }
        };
        a.send(handle, true, put(b"head")).expect("there is room");
        carry(&mut a, &mut b, true);
        assert_eq!(b.readable(server), 0);
        a.send(handle, false, put(b"body")).expect("there is room");
        carry(&mut a, &mut b, true);
        assert_eq!(b.peek(server, 9), b"headbody");
    }

    #[test]
    fn thousands_of_connections_are_told_apart() {
        let (mut a, mut b) = (engine(1), engine(2));
        let small = StreamOptions { send_buffer: 2048, receive_buffer: 2048, ..OPTIONS };
        let mut handles = Vec::new();
        for port in 1..3000 {
            let local = SocketAddr::new(IpAddr::from([10, 0, 0, 1]), 1024 + port);
            handles.push(a.connect(local, "10.0.0.2:80".parse().expect("an address"), &small).expect("it is free"));
            carry(&mut a, &mut b, true);
        }
        let servers: HashMap<_, _> = std::iter::from_fn(|| b.accept()).map(|(h, _, peer)| (peer.port(), h)).collect();
        assert_eq!(servers.len(), handles.len());
        for (handle, port) in handles.iter().zip(1..3000_u16) {
            let sent = a.send::<()>(*handle, false, |room| {
                room[..2].copy_from_slice(&port.to_be_bytes());
                Ok(2)
            });
            assert_eq!(sent, Ok(2));
        }
        for _ in 0..20 {
            carry(&mut a, &mut b, true);
        }
        for port in 1..3000_u16 {
            assert_eq!(b.peek(servers[&(1024 + port)], 2), port.to_be_bytes());
        }
        handles.into_iter().for_each(|handle| a.release(handle, true));
        carry(&mut a, &mut b, true);
        assert!(a.streams.is_empty() && a.timers.is_empty());
    }

    /// Sends so many bytes from one engine to the other, with packets of that size at most; returns the frames' sizes.
    fn bulk(mtu: usize, v6: bool, bytes: usize) -> Vec<usize> {
        let ip = |last: u8| {
            if v6 { IpAddr::from([0xfd77, 0, 0, 0, 0, 0, 0, last.into()]) } else { IpAddr::from([10, 0, 0, last]) }
        };
        let make = |last: u8| {
            Engine::new(&Config {
                mac: [2, 0, 0, 0, 0, last],
                mtu,
                addresses: vec![(ip(last), if v6 { 64 } else { 24 })],
                routes: Vec::new(),
                seed: last.into(),
            })
        };
        let options = StreamOptions { send_buffer: 1 << 20, receive_buffer: 1 << 20, ..OPTIONS };
        let (mut a, mut b) = (make(1), make(2));
        let handle = a.connect(SocketAddr::new(ip(1), 4000), SocketAddr::new(ip(2), 80), &options).expect("it is free");
        let (mut sent, mut got, mut sizes, mut server) = (0, 0, Vec::new(), None);
        for _ in 0..5000 {
            a.send::<()>(handle, false, |room| {
                let n = room.len().min(bytes - sent);
                room[..n].iter_mut().enumerate().for_each(|(i, byte)| *byte = ((sent + i) % 251) as u8);
                sent += n;
                Ok(n)
            })
            .expect("there is room");
            a.poll();
            while let Some(frame) = a.transmit() {
                let (offload, inner) = Offload::split(&frame).expect("it is ours");
                assert!(
                    offload.trusted
                        || packet::in_frame(inner).and_then(packet::parse).is_none_or(|p| p.protocol != packet::TCP)
                );
                // Either it fits, or it says into what it is to be cut.
                let head = if v6 { 60 } else { 40 };
                let segment = usize::from(u16::from_ne_bytes([frame[4], frame[5]]));
                assert!(
                    inner.len() <= mtu + 14 || (frame[1] != 0 && segment + head <= mtu),
                    "{} {segment}",
                    inner.len()
                );
                assert!(inner.len() < 65536 || inner.len() <= mtu + 14);
                sizes.push(inner.len());
                b.receive(inner, offload, |_, _| Listening::Accepts(options));
                a.sent(frame);
            }
            b.poll();
            server = server.or_else(|| b.accept().map(|(handle, ..)| handle));
            if let Some(server) = server {
                while b.readable(server) > 0 {
                    b.receive_stream::<()>(server, |piece| {
                        assert!(piece.iter().enumerate().all(|(i, byte)| usize::from(*byte) == (got + i) % 251));
                        got += piece.len();
                        Ok(piece.len())
                    })
                    .expect("nothing fails");
                }
            }
            b.poll();
            while let Some(frame) = b.transmit() {
                take(&mut a, &frame, Listening::Nobody);
                b.sent(frame);
            }
            if got == bytes {
                return sizes;
            }
        }
        panic!("{got} of {bytes} arrived");
    }

    #[test]
    fn bulk_leaves_in_frames_of_many_segments() {
        for mtu in [1280, 1400, 1500, 9000, 65535] {
            for v6 in [false, true] {
                let sizes = bulk(mtu, v6, 2 << 20);
                assert!(sizes.iter().any(|size| *size > 30_000), "MTU {mtu}, IPv6 {v6}: {sizes:?}");
            }
        }
    }

    #[test]
    fn a_wrong_checksum_is_lost_unless_it_is_not_there_yet() {
        let (mut a, mut b) = (engine(1), engine(2));
        let (from, to) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut inner = packet::udp((from, 5), (to, 6), b"hi").expect("it is short");
        inner[7] ^= 1;
        let bytes =
            packet::build(&packet::Packet { from, to, protocol: packet::UDP, ttl: 64, tos: 0, payload: &inner });
        let frame = [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0][..], &bytes.expect("one family")].concat();
        b.receive(&frame, Offload::NONE, |_, _| Listening::Nobody);
        assert!(b.receive_packet().is_none());
        b.receive(&frame, Offload { trusted: true, datagrams: None }, |_, _| Listening::Nobody);
        assert!(b.receive_packet().is_some());
        let _ = a.poll();
    }

    #[test]
    fn datagrams_that_came_together_are_several() {
        let mut b = engine(2);
        let (from, to) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let inner = packet::udp((from, 5), (to, 6), &[7; 2500]).expect("it is short");
        let bytes =
            packet::build(&packet::Packet { from, to, protocol: packet::UDP, ttl: 64, tos: 0, payload: &inner });
        let frame = [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0][..], &bytes.expect("one family")].concat();
        b.receive(&frame, Offload { trusted: true, datagrams: Some(1000) }, |_, _| Listening::Nobody);
        let sizes: Vec<_> = std::iter::from_fn(|| b.receive_packet())
            .filter_map(|bytes| packet::parse(&bytes).and_then(|p| packet::parse_udp(p.payload).map(|udp| udp.2.len())))
            .collect();
        assert_eq!(sizes, [1000, 1000, 500]);
    }

    /// What strangers may do to a frame: change bytes, cut it, repeat it.
    #[derive(Clone, Debug)]
    enum Harm {
        Byte(usize, u8),
        Cut(usize),
        Twice,
    }

    fn harm() -> impl Strategy<Value = Harm> {
        prop_oneof![
            (0..120_usize, any::<u8>()).prop_map(|(at, byte)| Harm::Byte(at, byte)),
            (0..120_usize).prop_map(Harm::Cut),
            Just(Harm::Twice),
        ]
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)) {
            let mut engine = engine(1);
            for frame in frames {
                engine.receive(&frame, Offload::NONE, |_, _| Listening::Accepts(OPTIONS));
                take(&mut engine, &frame, Listening::Accepts(OPTIONS));
                engine.poll();
                while engine.transmit().is_some() {}
            }
        }

        #[test]
        fn harmed_conversations_are_survived(
            harms in prop::collection::vec(prop::option::weighted(0.3, harm()), 0..60),
            words in prop::collection::vec(any::<u8>(), 1..3000),
        ) {
            let (mut a, mut b) = (engine(1), engine(2));
            let remote = "10.0.0.2:80".parse().expect("an address");
            let client = a.connect("10.0.0.1:4000".parse().expect("an address"), remote, &OPTIONS).expect("it is free");
            let mut harms = harms.into_iter().cycle();
            for turn in 0..60 {
                let (from, to) = if turn % 2 == 0 { (&mut a, &mut b) } else { (&mut b, &mut a) };
                from.poll();
                while let Some(mut frame) = from.transmit() {
                    match harms.next().flatten() {
                        Some(Harm::Byte(at, byte)) if at < frame.len() => frame[at] = byte,
                        Some(Harm::Cut(at)) => frame.truncate(at),
                        Some(Harm::Twice) => take(to, &frame, Listening::Accepts(OPTIONS)),
                        _ => {}
                    }
                    take(to, &frame, Listening::Accepts(OPTIONS));
                }
                let sent = a.send::<()>(client, turn % 3 == 0, |room| {
                    let n = words.len().min(room.len());
                    room[..n].copy_from_slice(&words[..n]);
                    Ok(n)
                });
                prop_assert!(sent.is_ok());
                while let Some((server, ..)) = b.accept() {
                    let _ = b.receive_stream::<()>(server, |bytes| Ok(bytes.len()));
                }
                let _ = (a.receive_packet(), b.receive_packet(), std::iter::from_fn(|| a.changed().or_else(|| b.changed())).count());
            }
            // All of it can be told to end, and does not come back.
            a.release(client, true);
            a.poll();
            prop_assert!(a.streams.is_empty());
        }
    }
}
