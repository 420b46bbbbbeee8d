//! Devices: RTM_GETLINK, RTM_NEWLINK, RTM_SETLINK, RTM_DELLINK.

use std::sync::atomic::Ordering;

use abi::Errno;
use abi::netlink::{
    IFLA_ADDRESS, IFLA_ALT_IFNAME, IFLA_BROADCAST, IFLA_CARRIER, IFLA_GROUP, IFLA_IFNAME, IFLA_INFO_KIND,
    IFLA_LINKINFO, IFLA_LINKMODE, IFLA_MAX_MTU, IFLA_MIN_MTU, IFLA_MTU, IFLA_NUM_RX_QUEUES, IFLA_NUM_TX_QUEUES,
    IFLA_OPERSTATE, IFLA_PROMISCUITY, IFLA_QDISC, IFLA_STATS, IFLA_STATS64, IFLA_TXQLEN, Ifinfomsg, NLM_F_CREATE,
    NLM_F_EXCL, RTM_DELLINK, RTM_NEWLINK, RTNLGRP_LINK,
};
use abi::sockaddr::{IFF_ALLMULTI, IFF_PROMISC, IFF_UP, IFNAMSIZ};

use crate::error::{Result, err};
use crate::net::inet::device::{Device, DeviceKind};
use crate::net::inet::stack::NetStack;
use crate::net::netlink::message::{Attributes, Reply, Request};
use crate::net::netlink::tell;

/// The most devices of a namespace.
const MOST: usize = 256;

pub(super) fn get(net: &NetStack, request: &Request<'_>, reply: &mut Reply) -> Result<()> {
    // Old programs send a family alone.
    let (body, attributes) = match request.split::<Ifinfomsg>() {
        Ok(split) => split,
        Err(_) if request.is_dump() => (Ifinfomsg::default(), Attributes(&[])),
        Err(e) => return Err(e),
    };
    if request.is_dump() {
        net.with_links(|links| links.devices.iter().for_each(|device| describe(RTM_NEWLINK, device, reply)));
        return Ok(());
    }
    let index = find(net, &body, attributes)?;
    net.with_links(|links| {
        describe(RTM_NEWLINK, links.device(index).ok_or(Errno::ENODEV)?, reply);
        Ok(())
    })
}

/// The number of the device that a request is about, by number or by name.
fn find(net: &NetStack, body: &Ifinfomsg, attributes: Attributes<'_>) -> Result<u32> {
    let name = attributes.text(IFLA_IFNAME).or_else(|| attributes.text(IFLA_ALT_IFNAME));
    net.with_links(|links| {
        let device = match (u32::try_from(body.ifi_index), name) {
            (Ok(0), None) => return err(Errno::EINVAL),
            (Ok(0), Some(name)) => links.by_name(name),
            (Ok(index), _) => links.device(index),
            (Err(_), _) => return err(Errno::EINVAL),
        };
        device.map(|device| device.index).ok_or_else(|| Errno::ENODEV.into())
    })
}

pub(super) fn change(net: &NetStack, request: &Request<'_>) -> Result<()> {
    let (body, attributes) = request.split::<Ifinfomsg>()?;
    let index = match find(net, &body, attributes) {
        Err(e) if e.is(Errno::ENODEV) && request.has(NLM_F_CREATE) => create(net, attributes)?,
        // Who asks whether there is such a request hears that there is.
        Err(_) if request.header.nlmsg_type == RTM_NEWLINK && body.ifi_index == 0 && !has_name(attributes) => {
            if !request.has(NLM_F_CREATE) {
                return err(Errno::ENODEV);
            }
            create(net, attributes)?
        }
        Err(e) => return Err(e),
        Ok(_) if request.has(NLM_F_CREATE) && request.has(NLM_F_EXCL) => return err(Errno::EEXIST),
        Ok(index) => index,
    };
    let (mtu, queue_len) = (attributes.u32(IFLA_MTU)?, attributes.u32(IFLA_TXQLEN)?);
    let name = attributes.text(IFLA_IFNAME).filter(|_| body.ifi_index != 0);
    if name.is_some_and(|name| !is_name(name)) {
        return err(Errno::EINVAL);
    }
    let datagrams = net.change_links(|links| {
        let taken = |name: &str| links.by_name(name).is_some_and(|other| other.index != index);
        if name.is_some_and(taken) {
            return err(Errno::EEXIST);
        }
        let device = links.device_mut(index).ok_or(Errno::ENODEV)?;
        if let Some(mtu) = mtu {
            device.mtu = Some(mtu).filter(|mtu| *mtu >= 68 && *mtu <= 1 << 30).ok_or(Errno::EINVAL)?;
        }
        if let Some(queue_len) = queue_len {
            device.queue_len = queue_len;
        }
        if let Some(name) = name {
            name.clone_into(&mut device.name);
        }
        let low = |flags: u32| u16::try_from(flags & 0xffff).unwrap_or(0);
        let (flags, changed) = (low(body.ifi_flags), low(body.ifi_change));
        if changed & IFF_UP != 0 {
            device.set_up(flags & IFF_UP != 0);
        }
        let kept = (IFF_PROMISC | IFF_ALLMULTI) & changed;
        device.extra_flags = device.extra_flags & !kept | flags & kept;
        let mut reply = Reply::notification();
        describe(RTM_NEWLINK, device, &mut reply);
        Ok(reply.into_datagrams())
    })?;
    tell(net, RTNLGRP_LINK, &datagrams);
    Ok(())
}

fn has_name(attributes: Attributes<'_>) -> bool {
    attributes.find(IFLA_IFNAME).or_else(|| attributes.find(IFLA_ALT_IFNAME)).is_some()
}

/// Makes a device that leads nowhere. Those of other kinds cannot be made: the modules are not there.
fn create(net: &NetStack, attributes: Attributes<'_>) -> Result<u32> {
    let info = Attributes(attributes.find(IFLA_LINKINFO).ok_or(Errno::EOPNOTSUPP)?);
    if info.text(IFLA_INFO_KIND) != Some("dummy") {
        return err(Errno::EOPNOTSUPP);
    }
    let name = attributes.text(IFLA_IFNAME).filter(|name| !name.is_empty());
    if name.is_some_and(|name| !is_name(name)) {
        return err(Errno::EINVAL);
    }
    net.change_links(|links| {
        if links.devices.len() >= MOST {
            return err(Errno::ENOBUFS);
        }
        let index = links.devices.iter().map(|device| device.index).max().unwrap_or(0) + 1;
        let free = || (0..MOST).map(|n| format!("dummy{n}")).find(|name| links.by_name(name).is_none());
        let name = name.map(str::to_owned).or_else(free).ok_or(Errno::ENOBUFS)?;
        let mut device = Device::dummy(index, &name);
        if let Some(mac) = attributes.find(IFLA_ADDRESS).and_then(|mac| mac.first_chunk()) {
            device.mac = *mac;
        }
        links.devices.push(device);
        Ok(index)
    })
}

/// Whether a device may have that name.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() < IFNAMSIZ && !name.contains(['/', ' ', ':']) && name != "." && name != ".."
}

pub(super) fn delete(net: &NetStack, request: &Request<'_>) -> Result<()> {
    let (body, attributes) = request.split::<Ifinfomsg>()?;
    let index = find(net, &body, attributes)?;
    let datagrams = net.change_links(|links| {
        let at = links.devices.iter().position(|device| device.index == index).ok_or(Errno::ENODEV)?;
        if links.devices[at].kind != DeviceKind::Dummy {
            return err(Errno::EOPNOTSUPP);
        }
        let device = links.devices.remove(at);
        links.routes.retain(|route| route.device != index);
        let mut reply = Reply::notification();
        describe(RTM_DELLINK, &device, &mut reply);
        Ok(reply.into_datagrams())
    })?;
    tell(net, RTNLGRP_LINK, &datagrams);
    Ok(())
}

/// RTM_NEWLINK or RTM_DELLINK.
fn describe(kind: u16, device: &Device, reply: &mut Reply) {
    // IFF_LOWER_UP is beyond what `struct ifreq` has room for.
    let lower_up = if device.up { 1 << 16 } else { 0 };
    let body = Ifinfomsg {
        ifi_type: device.hardware(),
        ifi_index: device.index.cast_signed(),
        ifi_flags: u32::from(device.flags()) | lower_up,
        ..Ifinfomsg::default()
    };
    let ethernet = device.kind != DeviceKind::Loopback;
    let dummy = device.kind == DeviceKind::Dummy;
    let operating: u8 = match (ethernet, device.up) {
        (true, true) if !dummy => 6,
        (_, true) => 0,
        (_, false) => 2,
    };
    reply.message(kind, &body, |reply| {
        reply.attr_text(IFLA_IFNAME, &device.name);
        reply.attr_u32(IFLA_TXQLEN, device.queue_len);
        reply.attr(IFLA_OPERSTATE, &[operating]);
        reply.attr(IFLA_LINKMODE, &[0]);
        reply.attr_u32(IFLA_MTU, device.mtu);
        reply.attr_u32(IFLA_MIN_MTU, if ethernet { 68 } else { 0 });
        reply.attr_u32(IFLA_MAX_MTU, if ethernet { 65535 } else { 0 });
        reply.attr_u32(IFLA_GROUP, 0);
        reply.attr_u32(IFLA_PROMISCUITY, u32::from(device.extra_flags & IFF_PROMISC != 0));
        reply.attr_u32(IFLA_NUM_TX_QUEUES, 1);
        reply.attr_u32(IFLA_NUM_RX_QUEUES, 1);
        reply.attr(IFLA_CARRIER, &[u8::from(device.up || !ethernet)]);
        reply.attr_text(IFLA_QDISC, if device.up { "noqueue" } else { "noop" });
        if dummy {
            reply.attr(IFLA_LINKINFO, &[&[10, 0][..], &IFLA_INFO_KIND.to_ne_bytes(), b"dummy\0\0\0"].concat());
        }
        reply.attr(IFLA_ADDRESS, &device.mac);
        reply.attr(IFLA_BROADCAST, &[if ethernet { 0xff } else { 0 }; 6]);
        let counters = &device.counters;
        let values = [&counters.rx_packets, &counters.tx_packets, &counters.rx_bytes, &counters.tx_bytes]
            .map(|counter| counter.load(Ordering::Relaxed));
        let mut wide: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        wide.resize(25 * 8, 0);
        reply.attr(IFLA_STATS64, &wide);
        let low = |value: u64| u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0);
        let mut narrow: Vec<u8> = values.iter().flat_map(|value| low(*value).to_ne_bytes()).collect();
        narrow.resize(24 * 4, 0);
        reply.attr(IFLA_STATS, &narrow);
    });
}
