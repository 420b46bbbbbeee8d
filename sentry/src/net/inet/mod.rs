//! AF_INET and AF_INET6.
//!
//! A network namespace has a [`stack`]: devices and addresses ([`device`]), routes ([`route`]) and tables of ports
//! ([`ports`]), and a [`gate`] if packets may leave the sandbox. [`tcp`] are streams, [`datagram`] is all that sends packets. Between sockets of the sandbox no packets are
//! built: streams are joined in memory, datagrams are handed over. [`host`] is the host's network instead of all that.

pub mod addr;
pub mod attach;
mod bind;
pub mod datagram;
pub mod device;
pub mod gate;
pub mod host;
pub mod ioctl;
mod ip_options;
pub mod ports;
mod rare;
pub mod resolver;
pub mod route;
pub mod stack;
pub mod tcp;

pub use addr::Family;

use std::sync::Arc;

use abi::Errno;
use abi::socket::{IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE};

use self::datagram::{DatagramSocket, Protocol};
use self::stack::NetStack;
use self::tcp::TcpSocket;
use super::socket::{Kind, Socket};
use crate::error::{Result, err};
use crate::task::CurrentTask;

/// socket(2).
pub(super) fn create(task: &CurrentTask, family: Family, kind: Kind, protocol: i32) -> Result<Arc<dyn Socket>> {
    let net = NetStack::of(task);
    if net.host().is_some() {
        return host::HostSocket::create(task, &net, family, kind, protocol);
    }
    let number = u8::try_from(protocol).map_err(|_| Errno::EINVAL)?;
    let echo = if family == Family::V4 { IPPROTO_ICMP } else { IPPROTO_ICMPV6 };
    let protocol = match (kind, protocol) {
        (Kind::Stream, IPPROTO_IP | IPPROTO_TCP) => return Ok(TcpSocket::create(net, family)),
        (Kind::Datagram, IPPROTO_IP | IPPROTO_UDP) => Protocol::Udp,
        (Kind::Datagram, IPPROTO_UDPLITE) => Protocol::UdpLite,
        (Kind::Datagram, number) if number == echo => Protocol::Ping,
        (Kind::Raw, IPPROTO_IP) => return err(Errno::EPROTONOSUPPORT),
        (Kind::Raw, _) => Protocol::Raw(number),
        (Kind::SeqPacket, _) => return err(Errno::ESOCKTNOSUPPORT),
        _ => return err(Errno::EPROTONOSUPPORT),
    };
    Ok(DatagramSocket::create(task, net, family, protocol)?)
}
