//! NETLINK_ROUTE, rtnetlink(7): devices ([`link`]), addresses ([`address`]), routes and rules ([`routes`]).

mod address;
mod link;
mod routes;

use std::net::IpAddr;

use abi::Errno;
use abi::capability::Cap;
use abi::netlink::{
    RTM_DELADDR, RTM_DELLINK, RTM_DELROUTE, RTM_GETADDR, RTM_GETADDRLABEL, RTM_GETANYCAST, RTM_GETLINK,
    RTM_GETMULTICAST, RTM_GETNEIGH, RTM_GETNEIGHTBL, RTM_GETNETCONF, RTM_GETNEXTHOP, RTM_GETQDISC, RTM_GETROUTE,
    RTM_GETRULE, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE, RTM_SETLINK,
};
use abi::socket::{AF_INET, AF_INET6};

use super::message::{Reply, Request};
use crate::error::{Result, err};
use crate::net::inet::stack::NetStack;
use crate::task::CurrentTask;

/// Answers a request. What only looks is for everybody, what changes for the namespace's administrator.
pub(super) fn answer(task: &CurrentTask, net: &NetStack, request: &Request<'_>, reply: &mut Reply) -> Result<()> {
    let kind = request.header.nlmsg_type;
    // The messages of an object come in fours: new, delete, get, set.
    let looks = kind & 3 == 2;
    if !looks && !task.creds().has_in(Cap::CAP_NET_ADMIN, &task.namespaces().net.user_ns) {
        return err(Errno::EPERM);
    }
    match kind {
        RTM_GETLINK => link::get(net, request, reply),
        RTM_NEWLINK | RTM_SETLINK => link::change(net, request),
        RTM_DELLINK => link::delete(net, request),
        RTM_GETADDR => address::get(net, request, reply),
        RTM_NEWADDR => address::add(net, request),
        RTM_DELADDR => address::delete(net, request),
        RTM_GETROUTE => routes::get(net, request, reply),
        RTM_NEWROUTE => routes::add(net, request),
        RTM_DELROUTE => routes::delete(net, request),
        RTM_GETRULE => routes::rules(request, reply),
        // There are none.
        RTM_GETNEIGH | RTM_GETNEIGHTBL | RTM_GETQDISC | RTM_GETMULTICAST | RTM_GETANYCAST | RTM_GETADDRLABEL
        | RTM_GETNETCONF | RTM_GETNEXTHOP
            if request.is_dump() =>
        {
            Ok(())
        }
        RTM_GETNEIGH => err(Errno::ENOENT),
        _ => err(Errno::EOPNOTSUPP),
    }
}

/// AF_INET or AF_INET6, as the headers carry it.
fn family_of(ip: IpAddr) -> u8 {
    u8::try_from(if ip.is_ipv4() { AF_INET } else { AF_INET6 }).unwrap_or(0)
}

/// Whether a header's family includes an address's; 0 is both.
fn fits(family: u8, ip: IpAddr) -> bool {
    family == 0 || family == family_of(ip)
}

/// An address of a family, from an attribute.
fn ip_from(family: u8, data: &[u8]) -> Result<IpAddr> {
    match (u16::from(family), data.first_chunk::<4>(), data.first_chunk::<16>()) {
        (AF_INET, Some(bytes), _) => Ok(IpAddr::from(*bytes)),
        (AF_INET6, _, Some(bytes)) => Ok(IpAddr::from(*bytes)),
        (AF_INET | AF_INET6, ..) => err(Errno::EINVAL),
        _ => err(Errno::EAFNOSUPPORT),
    }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
