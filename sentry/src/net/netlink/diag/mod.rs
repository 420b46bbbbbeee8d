//! NETLINK_SOCK_DIAG, sock_diag(7): the sockets of the namespace, for `ss`.

mod netlinks;
mod unix;

use std::net::{IpAddr, SocketAddr};

use abi::Errno;
use abi::netlink::{
    INET_DIAG_MEMINFO, INET_DIAG_SHUTDOWN, INET_DIAG_SKV6ONLY, InetDiagMsg, InetDiagReqV2, InetDiagSockid,
    SOCK_DIAG_BY_FAMILY,
};
use abi::socket::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, IPPROTO_TCP, IPPROTO_UDP};

use super::message::{Reply, Request};
use crate::error::{Result, err};
use crate::net::inet::datagram::Protocol;
use crate::net::inet::stack::NetStack;
use crate::net::owner::Owner;

/// The state of a TCP connection that was closed a moment ago.
const TIME_WAIT: u8 = 6;

/// One socket, of whatever protocol.
struct Found {
    v6: bool,
    state: u8,
    local: SocketAddr,
    remote: SocketAddr,
    queues: (u32, u32),
    owner: Owner,
}

pub(super) fn answer(net: &NetStack, request: &Request<'_>, reply: &mut Reply) -> Result<()> {
    if request.header.nlmsg_type != SOCK_DIAG_BY_FAMILY {
        return err(Errno::EINVAL);
    }
    let family = request.payload.first().copied().ok_or(Errno::EINVAL)?;
    match u16::from(family) {
        AF_INET | AF_INET6 => {}
        AF_UNIX => return unix::answer(net, request, reply),
        AF_NETLINK => return netlinks::answer(net, request, reply),
        _ => return err(Errno::ENOENT),
    }
    let (wanted, _) = request.split::<InetDiagReqV2>()?;
    let v6 = u16::from(family) == AF_INET6;
    let found = match i32::from(wanted.sdiag_protocol) {
        IPPROTO_TCP => tcp(net),
        IPPROTO_UDP => udp(net),
        _ => return err(Errno::ENOENT),
    };
    if !request.is_dump() {
        let one = found.iter().find(|found| {
            found.v6 == v6
                && found.local.port() == u16::from_be_bytes(wanted.id.idiag_sport)
                && found.remote.port() == u16::from_be_bytes(wanted.id.idiag_dport)
        });
        describe(one.ok_or(Errno::ENOENT)?, family, reply);
        return Ok(());
    }
    for one in found.iter().filter(|one| one.v6 == v6 && wanted.idiag_states >> one.state & 1 != 0) {
        describe(one, family, reply);
    }
    Ok(())
}

fn tcp(net: &NetStack) -> Vec<Found> {
    let mut found: Vec<Found> = net
        .tcp_listings()
        .into_iter()
        .map(|one| Found {
            v6: one.v6,
            state: one.state,
            local: one.local,
            remote: one.remote,
            queues: (one.receive_queue, one.send_queue),
            owner: one.owner,
        })
        .collect();
    found.extend(net.time_wait().into_iter().map(|one| Found {
        v6: one.local.is_ipv6(),
        state: TIME_WAIT,
        local: one.local,
        remote: one.remote,
        queues: (0, 0),
        owner: Owner::default(),
    }));
    found
}

fn udp(net: &NetStack) -> Vec<Found> {
    let sockets = net.datagram_listings(Some(Protocol::Udp));
    sockets
        .into_iter()
        .map(|one| Found {
            v6: one.v6,
            state: if one.connected { 1 } else { 7 },
            local: one.local,
            remote: one.remote,
            queues: (one.waiting, 0),
            owner: one.owner,
        })
        .collect()
}

fn describe(found: &Found, family: u8, reply: &mut Reply) {
    let cookie = |shift: u32| u32::try_from(found.owner.ino >> shift & u64::from(u32::MAX)).unwrap_or(0);
    let body = InetDiagMsg {
        idiag_family: family,
        idiag_state: found.state,
        id: InetDiagSockid {
            idiag_sport: found.local.port().to_be_bytes(),
            idiag_dport: found.remote.port().to_be_bytes(),
            idiag_src: bytes(found.local.ip(), found.v6),
            idiag_dst: bytes(found.remote.ip(), found.v6),
            idiag_if: 0,
            idiag_cookie: [cookie(0), cookie(32)],
        },
        idiag_rqueue: found.queues.0,
        idiag_wqueue: found.queues.1,
        idiag_uid: found.owner.uid,
        idiag_inode: cookie(0),
        ..InetDiagMsg::default()
    };
    reply.message(SOCK_DIAG_BY_FAMILY, &body, |reply| {
        reply.attr(INET_DIAG_SHUTDOWN, &[0]);
        reply.attr(INET_DIAG_MEMINFO, &[0; 16]);
        if found.v6 {
            reply.attr(INET_DIAG_SKV6ONLY, &[0]);
        }
    });
}

/// An address in the room for the longest; an AF_INET6 socket shows an IPv4 address mapped.
fn bytes(ip: IpAddr, v6: bool) -> [u8; 16] {
    match ip {
        IpAddr::V6(ip) => ip.octets(),
        IpAddr::V4(ip) if v6 && ip.is_unspecified() => [0; 16],
        IpAddr::V4(ip) if v6 => ip.to_ipv6_mapped().octets(),
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            bytes
        }
    }
}
