//! Control messages of datagram sockets: what the receiver asked to know, and how the sender steers one packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use abi::Errno;
use abi::socket::{
    IP_PKTINFO, IP_RECVERR, IP_RECVORIGDSTADDR, IP_RECVTOS, IP_RECVTTL, IP_TOS, IP_TTL, IPV6_HOPLIMIT, IPV6_PKTINFO,
    IPV6_RECVERR, IPV6_RECVHOPLIMIT, IPV6_RECVPKTINFO, IPV6_RECVTCLASS, IPV6_TCLASS, In6Pktinfo, InPktinfo,
    SO_RXQ_OVFL, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_UDP, UDP_SEGMENT,
};
use zerocopy::{FromBytes, IntoBytes};

use super::DatagramSocket;
use super::inbox::{Packet, QueuedError};
use crate::error::{Result, err};
use crate::net::inet::addr::Family;
use crate::net::stamp;

/// Level, type and data of a control message.
pub(super) type Control = (i32, i32, Vec<u8>);

/// What comes along with a packet.
pub(super) fn received(socket: &DatagramSocket, packet: &Packet, dropped: u32) -> Vec<Control> {
    let mut out = Vec::new();
    let options = &socket.options;
    stamp::received(options, packet.at, &mut out);
    if options.flag(SO_RXQ_OVFL) && dropped > 0 {
        out.push((SOL_SOCKET, SO_RXQ_OVFL, dropped.to_ne_bytes().to_vec()));
    }
    let index = packet.device.cast_signed();
    let (ttl, tos) = (i32::from(packet.ttl).to_ne_bytes().to_vec(), packet.tos);
    if let IpAddr::V4(to) = packet.to.ip() {
        let ip = &socket.ip;
        if ip.v4(IP_PKTINFO) != 0 {
            let spec = if to.is_multicast() || to.is_broadcast() { Ipv4Addr::UNSPECIFIED } else { to };
            let info = InPktinfo { ipi_ifindex: index, ipi_spec_dst: spec.octets(), ipi_addr: to.octets() };
            out.push((SOL_IP, IP_PKTINFO, info.as_bytes().to_vec()));
        }
        if ip.v4(IP_RECVTTL) != 0 {
            out.push((SOL_IP, IP_TTL, ttl.clone()));
        }
        if ip.v4(IP_RECVTOS) != 0 {
            out.push((SOL_IP, IP_TOS, vec![tos]));
        }
        if ip.v4(IP_RECVORIGDSTADDR) != 0 {
            out.push((SOL_IP, IP_RECVORIGDSTADDR, Family::V4.show(packet.to)));
        }
    }
    if socket.family == Family::V6 {
        let to = match packet.to.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let ip = &socket.ip;
        if ip.v6(IPV6_RECVPKTINFO) != 0 {
            let info = In6Pktinfo { ipi6_addr: to.octets(), ipi6_ifindex: packet.device };
            out.push((SOL_IPV6, IPV6_PKTINFO, info.as_bytes().to_vec()));
        }
        if ip.v6(IPV6_RECVHOPLIMIT) != 0 {
            out.push((SOL_IPV6, IPV6_HOPLIMIT, ttl));
        }
        if ip.v6(IPV6_RECVTCLASS) != 0 {
            out.push((SOL_IPV6, IPV6_TCLASS, i32::from(tos).to_ne_bytes().to_vec()));
        }
    }
    out
}

/// IP_RECVERR: the error and who reported it.
pub(super) fn error(family: Family, error: &QueuedError) -> Control {
    let mut data = error.error.as_bytes().to_vec();
    data.extend(match error.offender {
        IpAddr::V4(_) => Family::V4.show(SocketAddr::new(error.offender, 0)),
        IpAddr::V6(_) => Family::V6.show(SocketAddr::new(error.offender, 0)),
    });
    match (family, error.offender) {
        (Family::V6, IpAddr::V6(_)) => (SOL_IPV6, IPV6_RECVERR, data),
        _ => (SOL_IP, IP_RECVERR, data),
    }
}

/// How one packet is sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Steering {
    /// From this address.
    pub(super) source: Option<IpAddr>,
    /// By this device; 0 for any.
    pub(super) device: u32,
    /// With this time to live.
    pub(super) ttl: Option<u8>,
    /// And type of service.
    pub(super) tos: Option<u8>,
    /// Cut into packets of this size (UDP_SEGMENT).
    pub(super) segment: Option<usize>,
}

/// Reads the control messages of a send. EINVAL for what is not known.
pub(super) fn steering(control: &[Control]) -> Result<Steering> {
    let mut out = Steering::default();
    for (level, kind, data) in control {
        let int = || data.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)).ok_or(Errno::EINVAL);
        let byte = || match data.as_slice() {
            [one] => Ok(*one),
            _ => u8::try_from(int()?).map_err(|_| Errno::EINVAL),
        };
        match (*level, *kind) {
            (SOL_IP, IP_PKTINFO) => {
                let (info, _) = InPktinfo::read_from_prefix(data).map_err(|_| Errno::EINVAL)?;
                let source = Ipv4Addr::from(info.ipi_spec_dst);
                out.source = (!source.is_unspecified()).then_some(IpAddr::V4(source));
                out.device = u32::try_from(info.ipi_ifindex).map_err(|_| Errno::EINVAL)?;
            }
            (SOL_IPV6, IPV6_PKTINFO) => {
                let (info, _) = In6Pktinfo::read_from_prefix(data).map_err(|_| Errno::EINVAL)?;
                let source = Ipv6Addr::from(info.ipi6_addr);
                out.source = match source.to_ipv4_mapped() {
                    Some(v4) => Some(IpAddr::V4(v4)),
                    None => (!source.is_unspecified()).then_some(IpAddr::V6(source)),
                };
                out.device = info.ipi6_ifindex;
            }
            (SOL_IP, IP_TTL) => out.ttl = Some(byte()?).filter(|ttl| *ttl != 0),
            (SOL_IPV6, IPV6_HOPLIMIT) => out.ttl = u8::try_from(int()?).ok(),
            (SOL_IP, IP_TOS) => out.tos = Some(byte()?),
            (SOL_IPV6, IPV6_TCLASS) => out.tos = u8::try_from(int()?).ok(),
            (SOL_UDP, UDP_SEGMENT) => {
                let size = data.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes)).ok_or(Errno::EINVAL)?;
                out.segment = Some(usize::from(size)).filter(|size| *size > 0);
            }
            (SOL_IP | SOL_IPV6 | SOL_UDP | SOL_SOCKET, _) => return err(Errno::EINVAL),
            _ => {}
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_control_message_is_read_or_refused(
            messages in prop::collection::vec((0i32..300, 0i32..110, prop::collection::vec(any::<u8>(), 0..40)), 0..8)
        ) {
            let _ = steering(&messages);
        }
    }

    #[test]
    fn a_source_address_is_taken_over() {
        let info = InPktinfo { ipi_ifindex: 1, ipi_spec_dst: [127, 0, 0, 2], ipi_addr: [0; 4] };
        let steering = steering(&[(SOL_IP, IP_PKTINFO, info.as_bytes().to_vec())]).expect("valid");
        assert_eq!((steering.source, steering.device), ("127.0.0.2".parse().ok(), 1));
    }
}
