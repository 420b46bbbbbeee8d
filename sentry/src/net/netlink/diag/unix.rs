//! Unix sockets, for `ss -x`.

use std::collections::HashMap;

use abi::Errno;
use abi::netlink::{
    SOCK_DIAG_BY_FAMILY, UDIAG_SHOW_MEMINFO, UDIAG_SHOW_NAME, UDIAG_SHOW_PEER, UDIAG_SHOW_RQLEN, UDIAG_SHOW_UID,
    UNIX_DIAG_MEMINFO, UNIX_DIAG_NAME, UNIX_DIAG_PEER, UNIX_DIAG_RQLEN, UNIX_DIAG_SHUTDOWN, UNIX_DIAG_UID, UnixDiagMsg,
    UnixDiagReq,
};
use abi::socket::AF_UNIX;

use super::super::message::{Reply, Request};
use crate::error::{Result, err};
use crate::net::inet::stack::NetStack;
use crate::net::unix::UnixListing;

/// TCP_ESTABLISHED, TCP_CLOSE and TCP_LISTEN: unix sockets borrow the numbers.
const ESTABLISHED: u8 = 1;
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;

pub(super) fn answer(net: &NetStack, request: &Request<'_>, reply: &mut Reply) -> Result<()> {
    let (wanted, _) = request.split::<UnixDiagReq>()?;
    if wanted.sdiag_protocol != 0 {
        return err(Errno::EINVAL);
    }
    let all: Vec<UnixListing> = net.unix.all().iter().map(|socket| socket.listing()).collect();
    let numbers: HashMap<usize, u32> = all.iter().map(|one| (one.end, number(one))).collect();
    if !request.is_dump() {
        if wanted.udiag_ino == 0 {
            return err(Errno::EINVAL);
        }
        let one = all.iter().find(|one| number(one) == wanted.udiag_ino).ok_or(Errno::ENOENT)?;
        if wanted.udiag_cookie != [u32::MAX; 2] && wanted.udiag_cookie != cookie(one) {
            return err(Errno::ESTALE);
        }
        describe(one, &wanted, &numbers, reply);
        return Ok(());
    }
    for one in all.iter().filter(|one| wanted.udiag_states >> state(one) & 1 != 0) {
        describe(one, &wanted, &numbers, reply);
    }
    Ok(())
}

fn number(one: &UnixListing) -> u32 {
    cookie(one)[0]
}

fn cookie(one: &UnixListing) -> [u32; 2] {
    let half = |shift: u32| u32::try_from(one.owner.ino >> shift & u64::from(u32::MAX)).unwrap_or(0);
    [half(0), half(32)]
}

fn state(one: &UnixListing) -> u8 {
    match one {
        one if one.listening => LISTEN,
        one if one.connected => ESTABLISHED,
        _ => CLOSE,
    }
}

fn describe(one: &UnixListing, wanted: &UnixDiagReq, numbers: &HashMap<usize, u32>, reply: &mut Reply) {
    let body = UnixDiagMsg {
        udiag_family: AF_UNIX.to_ne_bytes()[0],
        udiag_type: u8::try_from(one.kind).unwrap_or(0),
        udiag_state: state(one),
        pad: 0,
        udiag_ino: number(one),
        udiag_cookie: cookie(one),
    };
    let shows = |bit: u32| wanted.udiag_show & bit != 0;
    reply.message(SOCK_DIAG_BY_FAMILY, &body, |reply| {
        if shows(UDIAG_SHOW_NAME) && !one.name.is_empty() {
            reply.attr(UNIX_DIAG_NAME, &one.name);
        }
        if shows(UDIAG_SHOW_PEER)
            && let Some(peer) = one.peer.and_then(|peer| numbers.get(&peer))
        {
            reply.attr(UNIX_DIAG_PEER, &peer.to_ne_bytes());
        }
        if shows(UDIAG_SHOW_RQLEN) {
            reply.attr(UNIX_DIAG_RQLEN, &[one.waiting.to_ne_bytes(), one.limit.to_ne_bytes()].concat());
        }
        if shows(UDIAG_SHOW_MEMINFO) {
            reply.attr(UNIX_DIAG_MEMINFO, &[0; 36]);
        }
        if shows(UDIAG_SHOW_UID) {
            reply.attr(UNIX_DIAG_UID, &one.owner.uid.to_ne_bytes());
        }
        reply.attr(UNIX_DIAG_SHUTDOWN, &[0]);
    });
}
