//! Addresses: RTM_GETADDR, RTM_NEWADDR, RTM_DELADDR.

use std::net::{IpAddr, Ipv4Addr};

use abi::Errno;
use abi::netlink::{
    IFA_ADDRESS, IFA_BROADCAST, IFA_CACHEINFO, IFA_F_PERMANENT, IFA_FLAGS, IFA_LABEL, IFA_LOCAL, Ifaddrmsg,
    NLM_F_REPLACE, RTM_DELADDR, RTM_NEWADDR, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
};

use super::{family_of, fits, ip_from, octets};
use crate::error::{Error, Result, err};
use crate::net::inet::device::{Address, Device};
use crate::net::inet::route::MAX_ENTRIES;
use crate::net::inet::stack::NetStack;
use crate::net::netlink::message::{Attributes, Reply, Request};
use crate::net::netlink::tell;

pub(super) fn get(net: &NetStack, request: &Request<'_>, reply: &mut Reply) -> Result<()> {
    if !request.is_dump() {
        return err(Errno::EOPNOTSUPP);
    }
    let family = request.payload.first().copied().unwrap_or(0);
    let index = request.split::<Ifaddrmsg>().map_or(0, |(body, _)| body.ifa_index);
    net.with_links(|links| {
        // IPv4 first, as Linux answers for all families.
        for v4 in [true, false] {
            for device in links.devices.iter().filter(|device| index == 0 || device.index == index) {
                for address in device.addresses.iter().filter(|a| a.ip.is_ipv4() == v4 && fits(family, a.ip)) {
                    describe(RTM_NEWADDR, device, address, reply);
                }
            }
        }
    });
    Ok(())
}

pub(super) fn add(net: &NetStack, request: &Request<'_>) -> Result<()> {
    let (body, attributes) = request.split::<Ifaddrmsg>()?;
    let ip = own_address(&body, attributes)?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    if body.ifa_prefixlen > most {
        return err(Errno::EINVAL);
    }
    let broadcast = match attributes.find(IFA_BROADCAST) {
        Some(data) => Some(Ipv4Addr::from(*data.first_chunk().ok_or(Errno::EINVAL)?)),
        None => None,
    };
    let replaces = request.has(NLM_F_REPLACE);
    let datagrams = net.change_links(|links| {
        let device = links.device_mut(body.ifa_index).ok_or(Errno::ENODEV)?;
        let label = attributes.text(IFA_LABEL).unwrap_or(&device.name).to_owned();
        if label.len() >= abi::sockaddr::IFNAMSIZ {
            return err(Errno::ERANGE);
        }
        let fresh = Address { broadcast, scope: body.ifa_scope, ..Address::new(ip, body.ifa_prefixlen, &label) };
        let known = device.addresses.iter().position(|a| a.ip == ip && a.prefix == body.ifa_prefixlen);
        match known {
            Some(at) if replaces => device.addresses[at] = fresh.clone(),
            Some(_) => return err(Errno::EEXIST),
            None if device.addresses.len() >= MAX_ENTRIES => return err(Errno::ENOBUFS),
            None => device.addresses.push(fresh.clone()),
        }
        let mut reply = Reply::notification();
        describe(RTM_NEWADDR, device, &fresh, &mut reply);
        Ok(reply.into_datagrams())
    })?;
    tell(net, group(ip), &datagrams);
    Ok(())
}

pub(super) fn delete(net: &NetStack, request: &Request<'_>) -> Result<()> {
    let (body, attributes) = request.split::<Ifaddrmsg>()?;
    let ip = own_address(&body, attributes)?;
    let datagrams = net.change_links(|links| {
        let device = links.device_mut(body.ifa_index).ok_or(Errno::ENODEV)?;
        let at = device.addresses.iter().position(|a| a.ip == ip && a.prefix == body.ifa_prefixlen);
        let gone = device.addresses.remove(at.ok_or(Errno::EADDRNOTAVAIL)?);
        let mut reply = Reply::notification();
        describe(RTM_DELADDR, device, &gone, &mut reply);
        Ok::<_, Error>(reply.into_datagrams())
    })?;
    tell(net, group(ip), &datagrams);
    Ok(())
}

fn own_address(body: &Ifaddrmsg, attributes: Attributes<'_>) -> Result<IpAddr> {
    let data = attributes.find(IFA_LOCAL).or_else(|| attributes.find(IFA_ADDRESS)).ok_or(Errno::EINVAL)?;
    ip_from(body.ifa_family, data)
}

const fn group(ip: IpAddr) -> u32 {
    if ip.is_ipv4() { RTNLGRP_IPV4_IFADDR } else { RTNLGRP_IPV6_IFADDR }
}

fn describe(kind: u16, device: &Device, address: &Address, reply: &mut Reply) {
    let body = Ifaddrmsg {
        ifa_family: family_of(address.ip),
        ifa_prefixlen: address.prefix,
        ifa_flags: IFA_F_PERMANENT,
        ifa_scope: address.scope,
        ifa_index: device.index,
    };
    reply.message(kind, &body, |reply| {
        let bytes = octets(address.ip);
        reply.attr(IFA_ADDRESS, &bytes);
        if address.ip.is_ipv4() {
            reply.attr(IFA_LOCAL, &bytes);
            if let Some(broadcast) = address.broadcast {
                reply.attr(IFA_BROADCAST, &broadcast.octets());
            }
            reply.attr_text(IFA_LABEL, &address.label);
        }
        // Preferred and valid forever.
        let mut lifetime = [0xff; 16];
        lifetime[8..].fill(0);
        reply.attr(IFA_CACHEINFO, &lifetime);
        reply.attr_u32(IFA_FLAGS, IFA_F_PERMANENT.into());
    });
}
