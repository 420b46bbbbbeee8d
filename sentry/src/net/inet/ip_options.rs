//! Options of SOL_IP and SOL_IPV6, ip(7) and ipv6(7).
//!
//! Lock: `Leaf` over group memberships; the others are single words.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use abi::Errno;
use abi::capability::Cap;
use abi::socket::{
    IP_ADD_MEMBERSHIP, IP_BIND_ADDRESS_NO_PORT, IP_CHECKSUM, IP_DROP_MEMBERSHIP, IP_FREEBIND, IP_HDRINCL,
    IP_LOCAL_PORT_RANGE, IP_MINTTL, IP_MTU, IP_MTU_DISCOVER, IP_MULTICAST_ALL, IP_MULTICAST_IF, IP_MULTICAST_LOOP,
    IP_MULTICAST_TTL, IP_NODEFRAG, IP_OPTIONS, IP_PKTINFO, IP_RECVERR, IP_RECVERR_RFC4884, IP_RECVFRAGSIZE,
    IP_RECVOPTS, IP_RECVORIGDSTADDR, IP_RECVTOS, IP_RECVTTL, IP_RETOPTS, IP_TOS, IP_TRANSPARENT, IP_TTL, IP_UNICAST_IF,
    IPV6_ADD_MEMBERSHIP, IPV6_ADDR_PREFERENCES, IPV6_AUTOFLOWLABEL, IPV6_DONTFRAG, IPV6_DROP_MEMBERSHIP,
    IPV6_FLOWINFO_SEND, IPV6_FREEBIND, IPV6_MTU, IPV6_MTU_DISCOVER, IPV6_MULTICAST_ALL, IPV6_MULTICAST_HOPS,
    IPV6_MULTICAST_IF, IPV6_MULTICAST_LOOP, IPV6_RECVERR, IPV6_RECVHOPLIMIT, IPV6_RECVPKTINFO, IPV6_RECVTCLASS,
    IPV6_TCLASS, IPV6_TRANSPARENT, IPV6_UNICAST_HOPS, IPV6_UNICAST_IF, IPV6_V6ONLY, MCAST_JOIN_GROUP,
    MCAST_LEAVE_GROUP, SOL_IP,
};
use sync::Mutex;

use super::addr::{self, Family};
use super::stack::NetStack;
use crate::error::{Result, err};
use crate::lock_order::Leaf;
use crate::task::CurrentTask;

/// The most groups one socket may be in (net.ipv4.igmp_max_memberships).
const MAX_GROUPS: usize = 20;

/// An option that is a number within bounds.
struct Number {
    v6: bool,
    name: i32,
    first: i32,
    least: i32,
    most: i32,
}

const fn flag(v6: bool, name: i32) -> Number {
    Number { v6, name, first: 0, least: i32::MIN, most: i32::MAX }
}

const fn ranged(v6: bool, name: i32, first: i32, least: i32, most: i32) -> Number {
    Number { v6, name, first, least, most }
}

/// All of them. What is unbounded is true or false.
const NUMBERS: [Number; 35] = [
    ranged(false, IP_TOS, 0, 0, 255),
    ranged(false, IP_TTL, 64, -1, 255),
    ranged(false, IP_MTU_DISCOVER, 1, 0, 5),
    ranged(false, IP_MULTICAST_TTL, 1, -1, 255),
    ranged(false, IP_MINTTL, 0, 0, 255),
    flag(false, IP_HDRINCL),
    flag(false, IP_RECVOPTS),
    flag(false, IP_RETOPTS),
    flag(false, IP_PKTINFO),
    flag(false, IP_RECVERR),
    flag(false, IP_RECVTTL),
    flag(false, IP_RECVTOS),
    flag(false, IP_FREEBIND),
    flag(false, IP_TRANSPARENT),
    flag(false, IP_RECVORIGDSTADDR),
    flag(false, IP_NODEFRAG),
    flag(false, IP_CHECKSUM),
    flag(false, IP_BIND_ADDRESS_NO_PORT),
    flag(false, IP_RECVFRAGSIZE),
    flag(false, IP_RECVERR_RFC4884),
    ranged(false, IP_MULTICAST_LOOP, 1, i32::MIN, i32::MAX),
    ranged(false, IP_MULTICAST_ALL, 1, i32::MIN, i32::MAX),
    ranged(true, IPV6_UNICAST_HOPS, 64, -1, 255),
    ranged(true, IPV6_MULTICAST_HOPS, 1, -1, 255),
    ranged(true, IPV6_TCLASS, 0, -1, 255),
    ranged(true, IPV6_MTU_DISCOVER, 1, 0, 5),
    ranged(true, IPV6_MULTICAST_LOOP, 1, i32::MIN, i32::MAX),
    ranged(true, IPV6_MULTICAST_ALL, 1, i32::MIN, i32::MAX),
    flag(true, IPV6_RECVERR),
    flag(true, IPV6_RECVPKTINFO),
    flag(true, IPV6_RECVHOPLIMIT),
    flag(true, IPV6_RECVTCLASS),
    flag(true, IPV6_DONTFRAG),
    flag(true, IPV6_FREEBIND),
    flag(true, IPV6_TRANSPARENT),
];

/// A group that a socket has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Membership {
    group: IpAddr,
    device: u32,
}

/// The options of one socket.
#[derive(Debug)]
pub(super) struct IpOptions {
    numbers: [AtomicI32; NUMBERS.len()],
    v6_only: AtomicBool,
    /// IP_MULTICAST_IF and IPV6_MULTICAST_IF.
    multicast_device: AtomicU32,
    multicast_source: AtomicU32,
    /// IP_UNICAST_IF and IPV6_UNICAST_IF.
    unicast_device: AtomicU32,
    /// SO_BINDTODEVICE.
    bound_device: AtomicU32,
    groups: Mutex<Vec<Membership>, Leaf>,
}

impl Default for IpOptions {
    fn default() -> Self {
        Self {
            numbers: NUMBERS.map(|number| AtomicI32::new(number.first)),
            v6_only: AtomicBool::new(false),
            multicast_device: AtomicU32::new(0),
            multicast_source: AtomicU32::new(0),
            unicast_device: AtomicU32::new(0),
            bound_device: AtomicU32::new(0),
            groups: Mutex::default(),
        }
    }
}

impl IpOptions {
    /// What an accepted connection takes over from its listener.
    #[must_use]
    pub(super) fn inherited(&self) -> Self {
        let fresh = Self::default();
        for (to, from) in fresh.numbers.iter().zip(&self.numbers) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        fresh.v6_only.store(self.v6_only(), Ordering::Relaxed);
        fresh
    }

    /// SO_BINDTODEVICE; 0 for any.
    #[must_use]
    pub(super) fn bound_device(&self) -> u32 {
        self.bound_device.load(Ordering::Relaxed)
    }

    /// Sets SO_BINDTODEVICE.
    pub(super) fn set_bound_device(&self, device: u32) {
        self.bound_device.store(device, Ordering::Relaxed);
    }

    /// IPV6_V6ONLY.
    #[must_use]
    pub(super) fn v6_only(&self) -> bool {
        self.v6_only.load(Ordering::Relaxed)
    }

    /// A number of SOL_IP.
    #[must_use]
    pub(super) fn v4(&self, name: i32) -> i32 {
        self.number(false, name).map_or(0, |number| number.load(Ordering::Relaxed))
    }

    /// A number of SOL_IPV6.
    #[must_use]
    pub(super) fn v6(&self, name: i32) -> i32 {
        self.number(true, name).map_or(0, |number| number.load(Ordering::Relaxed))
    }

    /// Whether errors are queued (IP_RECVERR, IPV6_RECVERR).
    #[must_use]
    pub(super) fn queues_errors(&self, v6: bool) -> bool {
        if v6 { self.v6(IPV6_RECVERR) != 0 } else { self.v4(IP_RECVERR) != 0 }
    }

    /// Whether addresses may be bound to that are not the machine's.
    #[must_use]
    pub(super) fn binds_freely(&self) -> bool {
        [self.v4(IP_FREEBIND), self.v4(IP_TRANSPARENT), self.v6(IPV6_FREEBIND), self.v6(IPV6_TRANSPARENT)]
            .iter()
            .any(|value| *value != 0)
    }

    /// The device packets to a group leave by; 0 for what the routes say. And the address they are sent from.
    #[must_use]
    pub(super) fn multicast_device(&self) -> (u32, Ipv4Addr) {
        let source = Ipv4Addr::from_bits(self.multicast_source.load(Ordering::Relaxed));
        (self.multicast_device.load(Ordering::Relaxed), source)
    }

    /// Whether packets to a group, come in through a device, are wanted.
    #[must_use]
    pub(super) fn hears_group(&self, group: IpAddr, device: u32) -> bool {
        let groups = self.groups.lock();
        let member = groups.iter().any(|m| m.group == group && (m.device == device || m.device == 0));
        let all = if group.is_ipv6() { self.v6(IPV6_MULTICAST_ALL) } else { self.v4(IP_MULTICAST_ALL) };
        // Without any membership of its own a socket hears what others have joined.
        member || (all != 0 && !groups.iter().any(|m| m.group == group))
    }

    fn number(&self, v6: bool, name: i32) -> Option<&AtomicI32> {
        let at = NUMBERS.iter().position(|number| number.v6 == v6 && number.name == name)?;
        self.numbers.get(at)
    }

    /// getsockopt(2) for SOL_IP or SOL_IPV6. `peer` is where the socket is connected to.
    pub(super) fn get(&self, level: i32, name: i32, room: usize, mtu: Option<u32>) -> Result<Vec<u8>> {
        let v6 = level != SOL_IP;
        let value = match (v6, name) {
            (true, IPV6_V6ONLY) => i32::from(self.v6_only()),
            (false, IP_MULTICAST_IF) => {
                return Ok(self.multicast_source.load(Ordering::Relaxed).to_be_bytes().to_vec());
            }
            (true, IPV6_MULTICAST_IF) => self.multicast_device.load(Ordering::Relaxed).cast_signed(),
            (false, IP_UNICAST_IF) | (true, IPV6_UNICAST_IF) => {
                self.unicast_device.load(Ordering::Relaxed).to_be().cast_signed()
            }
            (false, IP_MTU) | (true, IPV6_MTU) => match mtu {
                Some(mtu) => mtu.cast_signed(),
                None => return err(Errno::ENOTCONN),
            },
            (false, IP_OPTIONS) => return Ok(Vec::new()),
            (false, IP_LOCAL_PORT_RANGE) | (true, IPV6_FLOWINFO_SEND | IPV6_ADDR_PREFERENCES) => 0,
            (true, IPV6_AUTOFLOWLABEL) => 1,
            _ => match self.number(v6, name) {
                Some(number) => number.load(Ordering::Relaxed),
                None => return err(Errno::ENOPROTOOPT),
            },
        };
        // A small value may be asked for as a byte, if it is one of IPv4.
        if !v6 && (1..4).contains(&room) && (0..=255).contains(&value) {
            return Ok(value.to_ne_bytes()[..1].to_vec());
        }
        Ok(value.to_ne_bytes().to_vec())
    }

    /// setsockopt(2) for SOL_IP or SOL_IPV6.
    pub(super) fn set(
        &self,
        task: &CurrentTask,
        net: &NetStack,
        family: Family,
        (level, name): (i32, i32),
        value: &[u8],
    ) -> Result<()> {
        let v6 = level != SOL_IP;
        if v6 && family == Family::V4 {
            return err(Errno::ENOPROTOOPT);
        }
        match (v6, name) {
            (false, IP_ADD_MEMBERSHIP | IP_DROP_MEMBERSHIP) => {
                return self.change_group(net, v4_membership(net, value)?, name == IP_ADD_MEMBERSHIP);
            }
            (true, IPV6_ADD_MEMBERSHIP | IPV6_DROP_MEMBERSHIP) => {
                return self.change_group(net, v6_membership(value)?, name == IPV6_ADD_MEMBERSHIP);
            }
            (_, MCAST_JOIN_GROUP | MCAST_LEAVE_GROUP) => {
                return self.change_group(net, group_request(value)?, name == MCAST_JOIN_GROUP);
            }
            (false, IP_MULTICAST_IF) => return self.set_multicast_source(net, value),
            (false, IP_OPTIONS) => return if value.is_empty() { Ok(()) } else { err(Errno::EINVAL) },
            _ => {}
        }
        let int = match value {
            [] => return err(Errno::EINVAL),
            [byte, ..] if value.len() < 4 && !v6 => i32::from(*byte),
            _ => value.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)).ok_or(Errno::EINVAL)?,
        };
        let transparent = if v6 { name == IPV6_TRANSPARENT } else { name == IP_TRANSPARENT };
        if transparent && int != 0 && !task.creds().has(Cap::CAP_NET_RAW) && !task.creds().has(Cap::CAP_NET_ADMIN) {
            return err(Errno::EPERM);
        }
        match (v6, name) {
            (true, IPV6_V6ONLY) => self.v6_only.store(int != 0, Ordering::Relaxed),
            (true, IPV6_MULTICAST_IF) => {
                let device = u32::try_from(int).map_err(|_| Errno::EINVAL)?;
                if device != 0 && net.with_links(|links| links.device(device).is_none()) {
                    return err(Errno::ENODEV);
                }
                self.multicast_device.store(device, Ordering::Relaxed);
            }
            (false, IP_UNICAST_IF) | (true, IPV6_UNICAST_IF) => {
                let device = u32::from_be(int.cast_unsigned());
                if device != 0 && net.with_links(|links| links.device(device).is_none()) {
                    return err(Errno::EADDRNOTAVAIL);
                }
                self.unicast_device.store(device, Ordering::Relaxed);
            }
            (true, IPV6_MTU | IPV6_FLOWINFO_SEND | IPV6_AUTOFLOWLABEL | IPV6_ADDR_PREFERENCES)
            | (false, IP_LOCAL_PORT_RANGE) => {}
            _ => return self.set_number(v6, name, int),
        }
        Ok(())
    }

    fn set_number(&self, v6: bool, name: i32, value: i32) -> Result<()> {
        let Some(at) = NUMBERS.iter().position(|number| number.v6 == v6 && number.name == name) else {
            return err(Errno::ENOPROTOOPT);
        };
        let rule = &NUMBERS[at];
        let boolean = rule.least == i32::MIN;
        if !boolean && !(rule.least..=rule.most).contains(&value) || (name == IP_TTL && !v6 && value == 0) {
            return err(Errno::EINVAL);
        }
        let value = match value {
            _ if boolean => i32::from(value != 0),
            -1 => rule.first,
            other => other,
        };
        self.numbers[at].store(value, Ordering::Relaxed);
        Ok(())
    }

    fn set_multicast_source(&self, net: &NetStack, value: &[u8]) -> Result<()> {
        let (source, device) = match value.len() {
            // struct ip_mreqn, struct ip_mreq
            12.. => {
                let index = value[8..].first_chunk().map_or(0, |b| u32::from_ne_bytes(*b));
                (v4_at(value, 4), index)
            }
            8.. => (v4_at(value, 4), 0),
            4.. => (v4_at(value, 0), 0),
            _ => return err(Errno::EINVAL),
        };
        let device = match device {
            0 if source.is_unspecified() => 0,
            0 => net
                .with_links(|links| links.owner(IpAddr::V4(source)).map(|device| device.index))
                .ok_or(Errno::EADDRNOTAVAIL)?,
            known if net.with_links(|links| links.device(known).is_some()) => known,
            _ => return err(Errno::EADDRNOTAVAIL),
        };
        self.multicast_device.store(device, Ordering::Relaxed);
        self.multicast_source.store(source.to_bits(), Ordering::Relaxed);
        Ok(())
    }

    fn change_group(&self, net: &NetStack, mut member: Membership, join: bool) -> Result<()> {
        if !member.group.is_multicast() {
            return err(Errno::EINVAL);
        }
        if member.device == 0 {
            // The device that a packet to the group would leave by; an IPv6 group may always be joined.
            let from = if member.group.is_ipv6() { Family::V6.any() } else { Family::V4.any() };
            let found = net.way(member.group, from, 0).map(|way| way.device);
            match found {
                Ok(device) => member.device = device,
                Err(_) if !join => {}
                Err(_) => return err(Errno::ENODEV),
            }
        } else if net.with_links(|links| links.device(member.device).is_none()) {
            return err(Errno::ENODEV);
        }
        let mut groups = self.groups.lock();
        let at =
            groups.iter().position(|m| m.group == member.group && (m.device == member.device || member.device == 0));
        match (at, join) {
            (Some(_), true) => err(Errno::EADDRINUSE),
            (None, true) if groups.len() >= MAX_GROUPS => err(Errno::ENOBUFS),
            (None, true) => {
                groups.push(member);
                Ok(())
            }
            (Some(at), false) => {
                groups.remove(at);
                Ok(())
            }
            (None, false) => err(Errno::EADDRNOTAVAIL),
        }
    }
}

fn v4_at(value: &[u8], at: usize) -> Ipv4Addr {
    value.get(at..).and_then(<[u8]>::first_chunk).map_or(Ipv4Addr::UNSPECIFIED, |b: &[u8; 4]| (*b).into())
}

/// `struct ip_mreq` or `ip_mreqn`: the device by one of its addresses or by its number.
fn v4_membership(net: &NetStack, value: &[u8]) -> Result<Membership> {
    if value.len() < 8 {
        return err(Errno::EINVAL);
    }
    let index = value.get(8..).and_then(<[u8]>::first_chunk).map_or(0, |b| u32::from_ne_bytes(*b));
    let address = v4_at(value, 4);
    let device = match index {
        0 if address.is_unspecified() => 0,
        0 => net.with_links(|links| links.owner(IpAddr::V4(address)).map(|d| d.index)).ok_or(Errno::ENODEV)?,
        known => known,
    };
    Ok(Membership { group: IpAddr::V4(v4_at(value, 0)), device })
}

/// `struct ipv6_mreq`.
fn v6_membership(value: &[u8]) -> Result<Membership> {
    let Some((group, device)) = value.split_first_chunk::<16>() else { return err(Errno::EINVAL) };
    let device = device.first_chunk().map(|b| u32::from_ne_bytes(*b)).ok_or(Errno::EINVAL)?;
    Ok(Membership { group: IpAddr::V6(Ipv6Addr::from(*group)), device })
}

/// `struct group_req`: a device and, at eight, an address.
fn group_request(value: &[u8]) -> Result<Membership> {
    if value.len() < 136 {
        return err(Errno::EINVAL);
    }
    let device = value.first_chunk().map_or(0, |b| u32::from_ne_bytes(*b));
    let family = match addr::family_of(&value[8..]) {
        Some(abi::socket::AF_INET) => Family::V4,
        Some(abi::socket::AF_INET6) => Family::V6,
        _ => return err(Errno::EADDRNOTAVAIL),
    };
    Ok(Membership { group: addr::parse_peer(family, &value[8..])?.ip(), device })
}
