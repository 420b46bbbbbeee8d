//! Sending a packet: where it goes, who gets it, and what comes back if nobody does.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use abi::Errno;
use abi::socket::{
    IP_HDRINCL, IP_MULTICAST_LOOP, IP_MULTICAST_TTL, IP_TOS, IP_TTL, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP,
    IPV6_TCLASS, IPV6_UNICAST_HOPS, MsgFlags, SO_BROADCAST, SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6, SockExtendedErr,
};

use netstack::packet;

use super::control::{self, Steering};
use super::inbox::{Packet, QueuedError};
use super::{DatagramSocket, Protocol, State, icmp};
use crate::error::{Result, err};
use crate::net::inet::addr;
use crate::net::inet::gate;
use crate::net::inet::resolver;
use crate::net::inet::route::{self, Way};
use crate::net::inet::stack::{Counters, NetStack};
use crate::net::message::SendMsg;
use crate::task::CurrentTask;

/// The longest payload of a UDP packet.
const MAX_UDP: usize = 65507;
/// The longest packet.
const MAX_PACKET: usize = 65535;

/// A packet on its way.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) ttl: u8,
    pub(super) tos: u8,
    pub(super) device: u32,
}

pub(super) fn send(socket: &DatagramSocket, task: &CurrentTask, message: &mut SendMsg<'_, '_>) -> Result<usize> {
    if message.flags.contains(MsgFlags::MSG_OOB) {
        return err(Errno::EOPNOTSUPP);
    }
    let len = message.src.remaining();
    if len > if socket.protocol.has_ports() { MAX_UDP } else { MAX_PACKET } {
        return err(Errno::EMSGSIZE);
    }
    let steering = control::steering(&message.ancillary.control)?;
    let mut state = socket.state.lock();
    socket.autobind(task, &mut state)?;
    let to = match message.to {
        Some(bytes) => {
            let to = addr::parse_datagram_peer(socket.family, socket.ip.v6_only(), bytes)?;
            if to.port() == 0 && socket.protocol.has_ports() {
                return err(Errno::EINVAL);
            }
            addr::plain(super::super::tcp::named(to))
        }
        None => match (&state.corked, state.remote) {
            (Some((to, _)), _) => *to,
            (None, Some(to)) => to,
            (None, None) => return err(Errno::EDESTADDRREQ),
        },
    };
    if state.shut.write {
        return err(Errno::EPIPE);
    }
    let way = find_way(socket, &state, to, steering)?;
    if let Some(errno) = socket.take_error() {
        return err(errno);
    }
    let mut bytes = vec![0; len];
    message.src.take_exact(&mut bytes)?;
    let more = message.flags.contains(MsgFlags::MSG_MORE) || socket.is_corked();
    let bytes = match (state.corked.take(), more) {
        (None, false) => bytes,
        (None, true) => {
            state.corked = Some((to, bytes));
            return Ok(len);
        }
        (Some((to, mut collected)), more) => {
            if collected.len() + len > MAX_UDP {
                state.corked = Some((to, collected));
                return err(Errno::EMSGSIZE);
            }
            collected.extend(bytes);
            if more {
                state.corked = Some((to, collected));
                return Ok(len);
            }
            collected
        }
    };
    let outgoing = outgoing(socket, &state, to, way, steering);
    drop(state);
    let segment = steering.segment.unwrap_or_else(|| socket.segment_size());
    if socket.protocol == Protocol::Udp && segment > 0 && bytes.len() > segment {
        if bytes.len().div_ceil(segment) > 128 {
            return err(Errno::EINVAL);
        }
        for piece in bytes.chunks(segment) {
            transmit(socket, &outgoing, way, piece.to_vec())?;
        }
    } else {
        transmit(socket, &outgoing, way, bytes)?;
    }
    Ok(len)
}

/// What was corked is sent (UDP_CORK taken off).
pub(super) fn uncork(socket: &DatagramSocket) -> Result<()> {
    let mut state = socket.state.lock();
    let Some((to, bytes)) = state.corked.take() else { return Ok(()) };
    let way = find_way(socket, &state, to, Steering::default())?;
    let outgoing = outgoing(socket, &state, to, way, Steering::default());
    drop(state);
    transmit(socket, &outgoing, way, bytes)
}

fn find_way(socket: &DatagramSocket, state: &State, to: SocketAddr, steering: Steering) -> Result<Way> {
    let bound = steering.source.or(state.source).unwrap_or(state.bound);
    if let Some(source) = steering.source
        && !socket.net.is_local(source)
        && !socket.ip.binds_freely()
    {
        return err(Errno::EINVAL);
    }
    let from = if bound.is_ipv4() == to.is_ipv4() { bound } else { any_like(to) };
    let device = if steering.device != 0 { steering.device } else { socket.device_for(to.ip()) };
    let way = socket.net.way(to.ip(), from, device)?;
    if way.kind == route::BROADCAST && !socket.options.flag(SO_BROADCAST) {
        return err(Errno::EACCES);
    }
    Ok(way)
}

fn any_like(to: SocketAddr) -> IpAddr {
    if to.is_ipv4() { super::Family::V4.any() } else { super::Family::V6.any() }
}

fn outgoing(socket: &DatagramSocket, state: &State, to: SocketAddr, way: Way, steering: Steering) -> Outgoing {
    let many = to.ip().is_multicast();
    let (ttl, tos) = match (to.is_ipv4(), many) {
        (true, true) => (socket.ip.v4(IP_MULTICAST_TTL), socket.ip.v4(IP_TOS)),
        (true, false) => (socket.ip.v4(IP_TTL), socket.ip.v4(IP_TOS)),
        (false, true) => (socket.ip.v6(IPV6_MULTICAST_HOPS), socket.ip.v6(IPV6_TCLASS)),
        (false, false) => (socket.ip.v6(IPV6_UNICAST_HOPS), socket.ip.v6(IPV6_TCLASS)),
    };
    let small = |value: i32, otherwise: u8| u8::try_from(value).unwrap_or(otherwise);
    Outgoing {
        from: SocketAddr::new(way.source, socket.own_port(state)),
        to,
        ttl: steering.ttl.unwrap_or_else(|| small(ttl, 64)),
        tos: steering.tos.unwrap_or_else(|| small(tos, 0)),
        device: way.device,
    }
}

/// Hands the packet to whoever gets it.
fn transmit(socket: &DatagramSocket, out: &Outgoing, way: Way, bytes: Vec<u8>) -> Result<()> {
    let many = way.kind == route::MULTICAST || way.kind == route::BROADCAST;
    if !way.is_loopback() {
        if !socket.net.leads_nowhere(way.device, bytes.len()) {
            send_outside(socket, out, &bytes)?;
        }
        if !many {
            return Ok(());
        }
    }
    if way.kind == route::MULTICAST {
        let name_loop =
            if out.to.is_ipv4() { socket.ip.v4(IP_MULTICAST_LOOP) } else { socket.ip.v6(IPV6_MULTICAST_LOOP) };
        if name_loop == 0 {
            return Ok(());
        }
    }
    socket.net.count_loopback(bytes.len() + 28);
    if socket.net.packets.is_watched()
        && let Ok(packet) = assemble(socket, out, &bytes)
    {
        socket.net.show_on_loopback(&packet);
    }
    match socket.protocol {
        Protocol::Udp => udp(socket, out, bytes, many),
        Protocol::UdpLite => lite(socket, out, bytes, many),
        Protocol::Ping => icmp::ping(socket, out, bytes),
        Protocol::Raw(number) => {
            let included = socket.ip.v4(IP_HDRINCL) != 0 && out.to.is_ipv4();
            icmp::raw(&socket.net, out, number, bytes, included)
        }
    }
}

/// Hands the packet to the wire.
fn send_outside(socket: &DatagramSocket, out: &Outgoing, bytes: &[u8]) -> Result<()> {
    let gate = socket.net.gate().ok_or(Errno::ENETUNREACH)?;
    let packet = assemble(socket, out, bytes)?;
    if socket.protocol == Protocol::Udp {
        Counters::count(&socket.net.counters.udp_out);
    }
    // Without room it is lost, as on a full wire.
    let _ = gate.send_packet(&packet);
    Ok(())
}

/// The packet with its headers.
fn assemble(socket: &DatagramSocket, out: &Outgoing, bytes: &[u8]) -> Result<Vec<u8>> {
    let (from, to) = (out.from.ip(), out.to.ip());
    let included = socket.ip.v4(IP_HDRINCL) != 0 && out.to.is_ipv4();
    let packet = match socket.protocol {
        Protocol::Udp => gate::build_udp(out.from, out.to, out.ttl, out.tos, bytes),
        Protocol::UdpLite => {
            let (from, to) = ((from, out.from.port()), (to, out.to.port()));
            packet::udplite(from, to, bytes, socket.coverage[0].load(Ordering::Relaxed))
                .and_then(|inner| gate::build(from.0, to.0, packet::UDPLITE, out.ttl, out.tos, &inner))
        }
        Protocol::Raw(_) if included => Some(bytes.to_vec()),
        Protocol::Raw(number) => {
            let mut bytes = bytes.to_vec();
            if number == packet::ICMPV6 {
                packet::finish_icmp(from, to, &mut bytes);
            }
            gate::build(from, to, number, out.ttl, out.tos, &bytes)
        }
        Protocol::Ping => {
            let mut bytes = bytes.to_vec();
            let request = if to.is_ipv6() { 128 } else { 8 };
            if bytes.len() < 8 || bytes[0] != request || bytes[1] != 0 {
                return err(Errno::EINVAL);
            }
            bytes[4..6].copy_from_slice(&out.from.port().to_be_bytes());
            packet::finish_icmp(from, to, &mut bytes);
            let number = if to.is_ipv6() { packet::ICMPV6 } else { packet::ICMP };
            gate::build(from, to, number, out.ttl, out.tos, &bytes)
        }
    };
    packet.ok_or_else(|| Errno::EMSGSIZE.into())
}

fn udp(socket: &DatagramSocket, out: &Outgoing, bytes: Vec<u8>, many: bool) -> Result<()> {
    let net = &socket.net;
    Counters::count(&net.counters.udp_out);
    let packet = make_packet(out, bytes);
    if many {
        for receiver in net.udp.receivers(out.to, out.from, out.device) {
            let group = out.to.ip();
            if !group.is_multicast() || receiver.ip.hears_group(group, out.device) {
                Counters::count(&net.counters.udp_in);
                receiver.deliver(packet.clone());
            }
        }
        return Ok(());
    }
    match net.udp.receiver(out.to, out.from, out.device) {
        Some(receiver) => {
            Counters::count(&net.counters.udp_in);
            receiver.deliver(packet);
        }
        None if out.to == resolver::ADDRESS
            && let Some(resolver) = net.resolver() =>
        {
            resolver.ask(out.from, out.device, &packet.bytes);
        }
        None => {
            Counters::count(&net.counters.udp_no_port);
            unreachable(socket, out, &packet.bytes);
        }
    }
    Ok(())
}

/// As [`udp`], among other sockets and uncounted.
fn lite(socket: &DatagramSocket, out: &Outgoing, bytes: Vec<u8>, many: bool) -> Result<()> {
    let packet = make_packet(out, bytes);
    if many {
        let group = out.to.ip();
        for receiver in socket.net.udplite.receivers(out.to, out.from, out.device) {
            if !group.is_multicast() || receiver.ip.hears_group(group, out.device) {
                receiver.deliver(packet.clone());
            }
        }
    } else {
        match socket.net.udplite.receiver(out.to, out.from, out.device) {
            Some(receiver) => receiver.deliver(packet),
            None => unreachable(socket, out, &packet.bytes),
        }
    }
    Ok(())
}

pub(super) fn make_packet(out: &Outgoing, bytes: Vec<u8>) -> Packet {
    Packet {
        bytes: Arc::new(bytes),
        from: out.from,
        to: out.to,
        device: out.device,
        ttl: out.ttl,
        tos: out.tos,
        at: SystemTime::now(),
    }
}

/// Nobody hears at that port: the machine says so by ICMP. Raw sockets are not shown that message.
fn unreachable(socket: &DatagramSocket, out: &Outgoing, bytes: &[u8]) {
    let v6 = out.to.is_ipv6();
    if socket.net.packets.is_watched()
        && let Some(answer) = assemble(socket, out, bytes)
            .ok()
            .and_then(|packet| icmp::port_unreachable(out.to.ip(), out.from.ip(), &packet))
    {
        socket.net.show_on_loopback(&answer);
    }
    let queues = socket.ip.queues_errors(v6);
    if queues {
        let (origin, kind, code) = if v6 { (SO_EE_ORIGIN_ICMP6, 1, 4) } else { (SO_EE_ORIGIN_ICMP, 3, 3) };
        let error = SockExtendedErr {
            ee_errno: Errno::ECONNREFUSED.raw().cast_unsigned(),
            ee_origin: origin,
            ee_type: kind,
            ee_code: code,
            ..SockExtendedErr::default()
        };
        socket.queue_error(QueuedError { to: out.to, bytes: bytes.to_vec(), error, offender: out.to.ip() });
    }
    if queues || socket.state.lock().remote.is_some() {
        socket.set_error(Errno::ECONNREFUSED);
    }
}

impl DatagramSocket {
    /// The device that packets to an address must take; 0 for what the routes say.
    pub(super) fn device_for(&self, to: IpAddr) -> u32 {
        let bound = self.ip.bound_device();
        if bound != 0 || !to.is_multicast() {
            return bound;
        }
        self.ip.multicast_device().0
    }

    /// The stack it belongs to.
    pub(super) fn stack(&self) -> &Arc<NetStack> {
        &self.net
    }
}
