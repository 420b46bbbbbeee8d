//! Takes over a network device of the host's: its addresses and routes become ours, and the gate opens.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;

use control::{Failure, LinkSpec};
use netstack::{Config, Engine, Route as Way};

use super::device::{Address, Device, DeviceKind, SCOPE_LINK, SCOPE_UNIVERSE};
use super::gate::Gate;
use super::resolver::Resolver;
use super::route::{self, Route, TABLE_MAIN, UNICAST};
use super::stack::NetStack;
use crate::kernel::Kernel;

/// Attaches a device to the first network namespace.
/// `name_server` are sockets for the engine's name server, if it has one in there: one of UDP that is connected to it, and some of
/// TCP that are not.
pub fn attach(kernel: &Kernel, link: &LinkSpec, wire: OwnedFd, name_server: Vec<OwnedFd>) -> Result<(), Failure> {
    let net = NetStack::in_namespace(&kernel.root_namespaces.net);
    let mut seed = [0; 8];
    host::random::fill(&mut seed).map_err(|e| Failure::other(format!("no random numbers: {e}")))?;
    let ways = link.routes.iter().filter_map(|route| Some(Way { to: route.to, gateway: route.gateway? }));
    let engine = Engine::new(&Config {
        mac: link.mac,
        mtu: usize::try_from(link.mtu).unwrap_or(1500).clamp(576, 65535),
        addresses: link.addresses.clone(),
        routes: ways.collect(),
        seed: u64::from_ne_bytes(seed),
    });
    let device = device(link);
    net.change_links(|links| {
        links.devices.push(device.clone());
        links.routes.extend(link.routes.iter().map(|route| Route {
            destination: route.to.0,
            prefix: route.to.1,
            gateway: route.gateway,
            device: link.index,
            source: None,
            table: TABLE_MAIN,
            kind: UNICAST,
            scope: if route.gateway.is_some() { SCOPE_UNIVERSE } else { SCOPE_LINK },
            protocol: 3,
            metric: route.metric,
        }));
        Ok(())
    })
    .map_err(|_| Failure::other("the network is the host's"))?;
    let gate = Gate::open(&net, &device, wire, engine, &kernel.clocks);
    net.set_gate(gate.map_err(|e| Failure::other(format!("cannot start the network: {e}")))?);
    if !name_server.is_empty() {
        let resolver = Resolver::start(&net, name_server);
        net.set_resolver(resolver.map_err(|e| Failure::other(format!("cannot start the network: {e}")))?);
    }
    Ok(())
}

fn device(link: &LinkSpec) -> Device {
    let addresses = link.addresses.iter().map(|(ip, prefix)| {
        let broadcast = match ip {
            IpAddr::V4(v4) if *prefix < 31 => Some(route::last_of(*v4, *prefix)),
            _ => None::<Ipv4Addr>,
        };
        Address { broadcast, ..Address::new(*ip, *prefix, &link.name) }
    });
    Device {
        index: link.index,
        name: link.name.clone(),
        kind: DeviceKind::Ethernet,
        up: true,
        mtu: link.mtu,
        mac: link.mac,
        addresses: addresses.collect(),
        ..Device::loopback()
    }
}
