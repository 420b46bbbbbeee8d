//! Devices, addresses and routes of a network namespace, and the way a packet takes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use abi::Errno;

use super::device::{Device, DeviceKind, LOOPBACK_INDEX, SCOPE_HOST, SCOPE_LINK, SCOPE_UNIVERSE, in_prefix};
use crate::error::{Result, err};

/// RT_TABLE_MAIN.
pub const TABLE_MAIN: u32 = 254;
/// RT_TABLE_LOCAL.
pub const TABLE_LOCAL: u32 = 255;
/// RTN_UNICAST.
pub const UNICAST: u8 = 1;
/// RTN_LOCAL.
pub const LOCAL: u8 = 2;
/// RTN_BROADCAST.
pub const BROADCAST: u8 = 3;
/// RTN_MULTICAST.
pub const MULTICAST: u8 = 5;
/// RTN_BLACKHOLE: dropped silently.
pub const BLACKHOLE: u8 = 6;
/// RTN_UNREACHABLE: EHOSTUNREACH.
pub const UNREACHABLE: u8 = 7;
/// RTN_PROHIBIT: EACCES.
pub const PROHIBIT: u8 = 8;
/// RTPROT_KERNEL.
pub const BY_KERNEL: u8 = 2;
/// The most routes, and addresses of one device, a namespace may have.
pub const MAX_ENTRIES: usize = 4096;

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub destination: IpAddr,
    /// How many bits of it count.
    pub prefix: u8,
    /// The next hop; `None` if the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The device; 0 for routes that lead nowhere.
    pub device: u32,
    /// The address to send from.
    pub source: Option<IpAddr>,
    /// RT_TABLE_*.
    pub table: u32,
    /// RTN_*.
    pub kind: u8,
    /// RT_SCOPE_*.
    pub scope: u8,
    /// RTPROT_*.
    pub protocol: u8,
    /// The lower, the better.
    pub metric: u32,
}

/// Where packets to a destination go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// RTN_LOCAL, RTN_UNICAST, RTN_BROADCAST or RTN_MULTICAST.
    pub kind: u8,
    /// The device.
    pub device: u32,
    /// The address to send from, unless the socket has one.
    pub source: IpAddr,
    /// The next hop, if it is not the destination.
    pub gateway: Option<IpAddr>,
}

impl Way {
    /// Whether packets do not leave the sandbox.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.kind == LOCAL || self.device == LOOPBACK_INDEX
    }
}

/// Devices, addresses and routes.
#[derive(Debug)]
pub struct Links {
    /// The devices, in the order of their numbers.
    pub devices: Vec<Device>,
    /// Routes that were added; those of addresses are made up when asked for.
    pub routes: Vec<Route>,
}

impl Links {
    /// Just the loopback device.
    #[must_use]
    pub fn new(up: bool) -> Self {
        let mut lo = Device::loopback();
        lo.set_up(up);
        Self { devices: vec![lo], routes: Vec::new() }
    }

    /// The device with this number.
    #[must_use]
    pub fn device(&self, index: u32) -> Option<&Device> {
        self.devices.iter().find(|device| device.index == index)
    }

    /// The device with this number, to change it.
    pub fn device_mut(&mut self, index: u32) -> Option<&mut Device> {
        self.devices.iter_mut().find(|device| device.index == index)
    }

    /// The device with this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Device> {
        self.devices.iter().find(|device| device.name == name)
    }

    /// The device that has an address of the machine's.
    #[must_use]
    pub fn owner(&self, ip: IpAddr) -> Option<&Device> {
        // Without a working loopback device even one's own addresses cannot be reached, but they can be bound to.
        self.devices.iter().find(|device| device.owns(ip))
    }

    /// All routes: those of addresses (local and connected ones) and those that were added.
    #[must_use]
    pub fn all_routes(&self) -> Vec<Route> {
        let mut routes = Vec::new();
        for device in &self.devices {
            routes_of(device, &mut routes);
        }
        routes.extend(self.routes.iter().cloned());
        routes
    }

    /// The way to `to` from `from` (unspecified: any), through `device` if that is not 0.
    pub fn find(&self, to: IpAddr, from: IpAddr, device: u32) -> Result<Way> {
        let lo_up = self.device(LOOPBACK_INDEX).is_some_and(|lo| lo.up);
        if let Some(owner) = self.owner(to)
            && (lo_up || owner.index != LOOPBACK_INDEX)
            && (device == 0 || device == owner.index || device == LOOPBACK_INDEX)
        {
            if !lo_up {
                return err(Errno::ENETUNREACH);
            }
            let source = match to {
                // Whatever of 127.0.0.0/8 is asked, 127.0.0.1 asks.
                IpAddr::V4(v4) if v4.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
                other => other,
            };
            return Ok(Way { kind: LOCAL, device: LOOPBACK_INDEX, source: chosen(from, source), gateway: None });
        }
        if let IpAddr::V4(v4) = to
            && v4.is_broadcast()
            && device != 0
        {
            return self.on_device(device, from, to, BROADCAST);
        }
        if to.is_multicast() && device != 0 {
            return self.on_device(device, from, to, MULTICAST);
        }
        let route = self
            .all_routes()
            .into_iter()
            .filter(|route| route.table != TABLE_LOCAL || route.kind == BROADCAST || route.kind == MULTICAST)
            .filter(|route| in_prefix(to, route.destination, route.prefix))
            .filter(|route| device == 0 || route.device == device)
            .filter(|route| route.device == 0 || self.device(route.device).is_some_and(|device| device.up))
            .max_by_key(|route| (route.prefix, u32::MAX - route.metric));
        let Some(route) = route else { return err(Errno::ENETUNREACH) };
        match route.kind {
            BLACKHOLE => return err(Errno::EINVAL),
            UNREACHABLE => return err(Errno::EHOSTUNREACH),
            PROHIBIT => return err(Errno::EACCES),
            _ => {}
        }
        let kind = if to.is_multicast() { MULTICAST } else { route.kind };
        let source = match route.source {
            Some(source) => source,
            None => self.source_on(route.device, route.gateway.unwrap_or(to))?,
        };
        Ok(Way { kind, device: route.device, source: chosen(from, source), gateway: route.gateway })
    }

    fn on_device(&self, device: u32, from: IpAddr, to: IpAddr, kind: u8) -> Result<Way> {
        if !self.device(device).is_some_and(|device| device.up) {
            return err(Errno::ENETUNREACH);
        }
        Ok(Way { kind, device, source: chosen(from, self.source_on(device, to)?), gateway: None })
    }

    /// The address of a device that packets to `to` are sent from.
    fn source_on(&self, device: u32, to: IpAddr) -> Result<IpAddr> {
        let all = || self.devices.iter().filter(|candidate| device == 0 || candidate.index == device);
        let same = |ip: &IpAddr| ip.is_ipv4() == to.is_ipv4();
        let near = all().flat_map(|device| &device.addresses).find(|a| same(&a.ip) && a.contains(to));
        let any = || {
            let wide = self.devices.iter().flat_map(|device| &device.addresses).map(|a| (a.ip, a.scope));
            let own = all().flat_map(|device| &device.addresses).map(|a| (a.ip, a.scope));
            own.chain(wide).filter(|(ip, _)| same(ip)).min_by_key(|(_, scope)| *scope).map(|(ip, _)| ip)
        };
        match near.map(|address| address.ip).or_else(any) {
            Some(ip) => Ok(ip),
            None if to.is_ipv6() => Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
            None => Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        }
    }
}

fn chosen(wanted: IpAddr, otherwise: IpAddr) -> IpAddr {
    if wanted.is_unspecified() { otherwise } else { wanted }
}

/// The routes that the addresses of a device bring along, in Linux's order.
fn routes_of(device: &Device, routes: &mut Vec<Route>) {
    if !device.up {
        return;
    }
    let blank = |destination: IpAddr, prefix: u8| Route {
        destination,
        prefix,
        gateway: None,
        device: device.index,
        source: None,
        table: TABLE_LOCAL,
        kind: LOCAL,
        scope: SCOPE_HOST,
        protocol: BY_KERNEL,
        metric: 0,
    };
    for address in &device.addresses {
        let network = network(address.ip, address.prefix);
        match address.ip {
            IpAddr::V4(ip) => {
                let source = Some(address.ip);
                if device.kind == DeviceKind::Loopback && ip.is_loopback() {
                    routes.push(Route { source, ..blank(network, address.prefix) });
                } else if address.prefix < 32 {
                    let (scope, table, kind) = (SCOPE_LINK, TABLE_MAIN, UNICAST);
                    routes.push(Route { source, scope, table, kind, ..blank(network, address.prefix) });
                }
                routes.push(Route { source, ..blank(address.ip, 32) });
                if address.prefix < 31 {
                    let last = IpAddr::V4(last_of(ip, address.prefix));
                    routes.push(Route { source, kind: BROADCAST, scope: SCOPE_LINK, ..blank(last, 32) });
                }
            }
            IpAddr::V6(ip) => {
                let scope = SCOPE_UNIVERSE;
                routes.push(Route { scope, ..blank(address.ip, 128) });
                let (table, kind, metric) = (TABLE_MAIN, UNICAST, 256);
                routes.push(Route { scope, table, kind, metric, ..blank(network, address.prefix) });
                if device.kind == DeviceKind::Ethernet && ip.is_unicast_link_local() {
                    let all = IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0));
                    routes.push(Route { scope, kind: MULTICAST, metric, ..blank(all, 8) });
                }
            }
        }
    }
}

/// The first address of a network.
#[must_use]
pub fn network(ip: IpAddr, prefix: u8) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

/// The last address of a network, its broadcast address.
#[must_use]
pub fn last_of(ip: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(ip.to_bits() | u32::MAX.checked_shr(u32::from(prefix.min(32))).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_new_namespace_reaches_nothing() {
        let links = Links::new(false);
        let any = ip("0.0.0.0");
        assert!(links.find(ip("127.0.0.1"), any, 0).expect_err("lo is down").is(Errno::ENETUNREACH));
    }

    #[test]
    fn loopback_answers_for_its_whole_network() {
        let links = Links::new(true);
        let way = links.find(ip("127.1.2.3"), ip("0.0.0.0"), 0).expect("it is local");
        assert_eq!((way.kind, way.source), (LOCAL, ip("127.0.0.1")));
        assert!(links.find(ip("10.0.0.1"), ip("0.0.0.0"), 0).is_err());
        assert_eq!(links.find(ip("::1"), ip("::"), 0).expect("it is local").source, ip("::1"));
        assert_eq!(network(ip("10.1.2.3"), 8), ip("10.0.0.0"));
        assert_eq!(network(ip("10.1.2.3"), 0), ip("0.0.0.0"));
    }
}
