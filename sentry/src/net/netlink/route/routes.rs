//! Routes and the rules that choose a table: RTM_GETROUTE, RTM_NEWROUTE, RTM_DELROUTE, RTM_GETRULE.

use std::net::IpAddr;

use abi::Errno;
use abi::netlink::{
    FRA_PRIORITY, FRA_PROTOCOL, FRA_SUPPRESS_PREFIXLEN, FRA_TABLE, FibRuleHdr, NLM_F_APPEND, NLM_F_REPLACE,
    RTA_CACHEINFO, RTA_DST, RTA_GATEWAY, RTA_OIF, RTA_PREF, RTA_PREFSRC, RTA_PRIORITY, RTA_SRC, RTA_TABLE, RTA_UID,
    RTM_DELROUTE, RTM_NEWROUTE, RTM_NEWRULE, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, Rtmsg,
};
use abi::socket::{AF_INET, AF_INET6};

use super::{family_of, fits, ip_from, octets};
use crate::error::{Result, err};
use crate::net::inet::Family;
use crate::net::inet::route::{self, LOCAL, MAX_ENTRIES, Route, TABLE_LOCAL, TABLE_MAIN, UNICAST};
use crate::net::inet::stack::NetStack;
use crate::net::netlink::message::{Attributes, Reply, Request};
use crate::net::netlink::tell;

pub(super) fn get(net: &NetStack, request: &Request<'_>, reply: &mut Reply) -> Result<()> {
    if !request.is_dump() {
        return look_up(net, request, reply);
    }
    let family = request.payload.first().copied().unwrap_or(0);
    let table = match request.split::<Rtmsg>() {
        Ok((body, attributes)) => attributes.u32(RTA_TABLE)?.unwrap_or_else(|| body.rtm_table.into()),
        Err(_) => 0,
    };
    let mut routes = net.with_links(route::Links::all_routes);
    // The tables in the order of their numbers, but the local one first, as the rules have it.
    routes.sort_by_key(|route| (route.table == TABLE_LOCAL, route.destination.is_ipv6()));
    for route in routes.iter().filter(|r| fits(family, r.destination) && (table == 0 || r.table == table)) {
        describe(RTM_NEWROUTE, route, reply);
    }
    Ok(())
}

/// `ip route get`: the way to one address.
fn look_up(net: &NetStack, request: &Request<'_>, reply: &mut Reply) -> Result<()> {
    let (body, attributes) = request.split::<Rtmsg>()?;
    let family = if u16::from(body.rtm_family) == AF_INET6 { Family::V6 } else { Family::V4 };
    let to = match attributes.find(RTA_DST) {
        Some(data) => ip_from(body.rtm_family, data)?,
        None => family.any(),
    };
    let from = match attributes.find(RTA_SRC) {
        Some(data) => ip_from(body.rtm_family, data)?,
        None => family.any(),
    };
    let way = net.way(to, from, attributes.u32(RTA_OIF)?.unwrap_or(0))?;
    let full = if to.is_ipv4() { 32 } else { 128 };
    let table = if way.kind == LOCAL { TABLE_LOCAL } else { TABLE_MAIN };
    let answer = Rtmsg {
        rtm_family: family_of(to),
        rtm_dst_len: full,
        rtm_table: u8::try_from(table).unwrap_or(0),
        rtm_type: way.kind,
        // RTM_F_CLONED
        rtm_flags: 0x200,
        ..Rtmsg::default()
    };
    reply.message(RTM_NEWROUTE, &answer, |reply| {
        reply.attr_u32(RTA_TABLE, table);
        reply.attr(RTA_DST, &octets(to));
        reply.attr_u32(RTA_OIF, way.device);
        reply.attr(RTA_PREFSRC, &octets(way.source));
        if let Some(gateway) = way.gateway {
            reply.attr(RTA_GATEWAY, &octets(gateway));
        }
        reply.attr_u32(RTA_UID, 0);
        reply.attr(RTA_CACHEINFO, &[0; 32]);
    });
    Ok(())
}

/// The route that a request describes.
fn parse(net: &NetStack, body: &Rtmsg, attributes: Attributes<'_>) -> Result<Route> {
    let ip = |kind| attributes.find(kind).map(|data| ip_from(body.rtm_family, data)).transpose();
    let v4 = u16::from(body.rtm_family) == AF_INET;
    if !v4 && u16::from(body.rtm_family) != AF_INET6 {
        return err(Errno::EAFNOSUPPORT);
    }
    if body.rtm_dst_len > if v4 { 32 } else { 128 } {
        return err(Errno::EINVAL);
    }
    let any = if v4 { Family::V4.any() } else { Family::V6.any() };
    let destination = ip(RTA_DST)?.unwrap_or(any);
    if route::network(destination, body.rtm_dst_len) != destination {
        return err(Errno::EINVAL);
    }
    let gateway = ip(RTA_GATEWAY)?.filter(|ip| !ip.is_unspecified());
    let mut device = attributes.u32(RTA_OIF)?.unwrap_or(0);
    if device == 0
        && let Some(gateway) = gateway
    {
        device = net.way(gateway, any, 0)?.device;
    }
    Ok(Route {
        destination,
        prefix: body.rtm_dst_len,
        gateway,
        device,
        source: ip(RTA_PREFSRC)?,
        table: attributes.u32(RTA_TABLE)?.unwrap_or_else(|| body.rtm_table.into()),
        kind: body.rtm_type,
        scope: body.rtm_scope,
        protocol: body.rtm_protocol,
        metric: attributes.u32(RTA_PRIORITY)?.unwrap_or(if v4 { 0 } else { 1024 }),
    })
}

pub(super) fn add(net: &NetStack, request: &Request<'_>) -> Result<()> {
    let (body, attributes) = request.split::<Rtmsg>()?;
    let mut route = parse(net, &body, attributes)?;
    if route.table == 0 {
        route.table = TABLE_MAIN;
    }
    let leads = matches!(route.kind, UNICAST | LOCAL);
    if leads && route.device == 0 {
        return err(Errno::ENODEV);
    }
    if let Some(gateway) = route.gateway {
        // The next hop must be on a link.
        let reachable = net.way(gateway, if gateway.is_ipv4() { Family::V4.any() } else { Family::V6.any() }, 0);
        if reachable.is_err() {
            return err(Errno::ENETUNREACH);
        }
    }
    net.change_links(|links| {
        if leads {
            let device = links.device(route.device).ok_or(Errno::ENODEV)?;
            if !device.up {
                return err(Errno::ENETDOWN);
            }
        }
        let same = |other: &Route| {
            (other.destination, other.prefix, other.table, other.metric)
                == (route.destination, route.prefix, route.table, route.metric)
        };
        let known = links.routes.iter().position(same);
        match known {
            Some(at) if request.has(NLM_F_REPLACE) => links.routes[at] = route.clone(),
            Some(_) if !request.has(NLM_F_APPEND) => return err(Errno::EEXIST),
            _ if links.routes.len() >= MAX_ENTRIES => return err(Errno::ENOBUFS),
            _ => links.routes.push(route.clone()),
        }
        Ok(())
    })?;
    announce(net, RTM_NEWROUTE, &route);
    Ok(())
}

pub(super) fn delete(net: &NetStack, request: &Request<'_>) -> Result<()> {
    let (body, attributes) = request.split::<Rtmsg>()?;
    let wanted = parse(net, &body, attributes)?;
    let has_metric = attributes.find(RTA_PRIORITY).is_some();
    let gone = net.change_links(|links| {
        let at = links.routes.iter().position(|route| {
            (route.destination, route.prefix) == (wanted.destination, wanted.prefix)
                && (wanted.table == 0 || route.table == wanted.table)
                && (wanted.device == 0 || route.device == wanted.device)
                && (wanted.gateway.is_none() || route.gateway == wanted.gateway)
                && (!has_metric || route.metric == wanted.metric)
        });
        Ok(at.map(|at| links.routes.remove(at)))
    })?;
    match gone {
        Some(route) => {
            announce(net, RTM_DELROUTE, &route);
            Ok(())
        }
        None => err(Errno::ESRCH),
    }
}

fn announce(net: &NetStack, kind: u16, route: &Route) {
    let mut reply = Reply::notification();
    describe(kind, route, &mut reply);
    let group = if route.destination.is_ipv4() { RTNLGRP_IPV4_ROUTE } else { RTNLGRP_IPV6_ROUTE };
    tell(net, group, &reply.into_datagrams());
}

fn describe(kind: u16, route: &Route, reply: &mut Reply) {
    let v6 = route.destination.is_ipv6();
    let body = Rtmsg {
        rtm_family: family_of(route.destination),
        rtm_dst_len: route.prefix,
        // RT_TABLE_COMPAT stands for what does not fit.
        rtm_table: u8::try_from(route.table).unwrap_or(252),
        rtm_protocol: route.protocol,
        rtm_scope: route.scope,
        rtm_type: route.kind,
        ..Rtmsg::default()
    };
    reply.message(kind, &body, |reply| {
        reply.attr_u32(RTA_TABLE, route.table);
        if route.prefix > 0 {
            reply.attr(RTA_DST, &octets(route.destination));
        }
        if v6 || route.metric > 0 {
            reply.attr_u32(RTA_PRIORITY, route.metric);
        }
        if let Some(source) = route.source {
            reply.attr(RTA_PREFSRC, &octets(source));
        }
        if let Some(gateway) = route.gateway {
            reply.attr(RTA_GATEWAY, &octets(gateway));
        }
        if route.device != 0 {
            reply.attr_u32(RTA_OIF, route.device);
        }
        if v6 {
            reply.attr(RTA_CACHEINFO, &[0; 32]);
            reply.attr(RTA_PREF, &[0]);
        }
    });
}

/// The rules that every namespace has: the local table, the main one, and for IPv4 the default one.
pub(super) fn rules(request: &Request<'_>, reply: &mut Reply) -> Result<()> {
    if !request.is_dump() {
        return err(Errno::EOPNOTSUPP);
    }
    let family = request.payload.first().copied().unwrap_or(0);
    for any in [Family::V4.any(), Family::V6.any()] {
        if !fits(family, any) {
            continue;
        }
        let last = if matches!(any, IpAddr::V4(_)) { 3 } else { 2 };
        for (table, priority) in [(TABLE_LOCAL, 0), (TABLE_MAIN, 32766), (253, 32767)].into_iter().take(last) {
            let body = FibRuleHdr {
                family: family_of(any),
                table: u8::try_from(table).unwrap_or(0),
                action: 1,
                ..FibRuleHdr::default()
            };
            reply.message(RTM_NEWRULE, &body, |reply| {
                reply.attr_u32(FRA_TABLE, table);
                reply.attr_u32(FRA_SUPPRESS_PREFIXLEN, u32::MAX);
                reply.attr(FRA_PROTOCOL, &[route::BY_KERNEL]);
                if priority > 0 {
                    reply.attr_u32(FRA_PRIORITY, priority);
                }
            });
        }
    }
    Ok(())
}
