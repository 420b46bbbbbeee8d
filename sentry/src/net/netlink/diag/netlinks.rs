//! Netlink sockets, for `ss -a` and `ss -f netlink`.

use abi::Errno;
use abi::netlink::{
    NDIAG_PROTO_ALL, NDIAG_SHOW_GROUPS, NDIAG_SHOW_MEMINFO, NETLINK_DIAG_GROUPS, NETLINK_DIAG_MEMINFO, NetlinkDiagMsg,
    NetlinkDiagReq, SOCK_DIAG_BY_FAMILY,
};
use abi::socket::AF_NETLINK;

use super::super::message::{Reply, Request};
use crate::error::{Result, err};
use crate::net::inet::stack::NetStack;

/// SOCK_RAW; NETLINK_UNCONNECTED.
const RAW: u8 = 3;
const UNCONNECTED: u8 = 0;

pub(super) fn answer(net: &NetStack, request: &Request<'_>, reply: &mut Reply) -> Result<()> {
    let (wanted, _) = request.split::<NetlinkDiagReq>()?;
    // Linux answers with lists only.
    if !request.is_dump() {
        return err(Errno::EOPNOTSUPP);
    }
    for one in net.netlink.all().iter().map(|socket| socket.listing()) {
        let protocol = u8::try_from(one.protocol).unwrap_or(0);
        if wanted.sdiag_protocol != NDIAG_PROTO_ALL && wanted.sdiag_protocol != protocol {
            continue;
        }
        let half = |shift: u32| u32::try_from(one.owner.ino >> shift & u64::from(u32::MAX)).unwrap_or(0);
        let body = NetlinkDiagMsg {
            ndiag_family: AF_NETLINK.to_ne_bytes()[0],
            ndiag_type: RAW,
            ndiag_protocol: protocol,
            ndiag_state: UNCONNECTED,
            ndiag_portid: one.port,
            ndiag_ino: half(0),
            ndiag_cookie: [half(0), half(32)],
            ..NetlinkDiagMsg::default()
        };
        reply.message(SOCK_DIAG_BY_FAMILY, &body, |reply| {
            if wanted.ndiag_show & NDIAG_SHOW_MEMINFO != 0 {
                reply.attr(NETLINK_DIAG_MEMINFO, &[0; 36]);
            }
            if wanted.ndiag_show & NDIAG_SHOW_GROUPS != 0 {
                reply.attr(NETLINK_DIAG_GROUPS, &u64::from(one.groups).to_ne_bytes());
            }
        });
    }
    Ok(())
}
