//! The host's network (`--network=host`): every socket of the first network namespace is one of the host's.
//!
//! [`HostSocket`] is a socket of the host behind our own file; [`options`] says which of its options programs may touch.
//! Devices, addresses and routes are the host's, read when somebody asks and not changed from here. Listings show the sockets
//! of the sandbox. Locks: `Leaf` over the members, and over what was read last.

mod options;
mod socket;

pub use options::{READABLE, SETTABLE};
pub use socket::HostSocket;

use std::sync::Arc;
use std::time::{Duration, Instant};

use abi::sockaddr::{IFF_ALLMULTI, IFF_PROMISC, IFF_UP};
use control::Failure;
use host::rtnetlink::{self, Netlink};
use sync::Mutex;

use super::device::{Address, Device, DeviceKind, LOOPBACK_INDEX};
use super::route::{LOCAL, Links, MULTICAST, Route, TABLE_LOCAL};
use super::stack::NetStack;
use crate::kernel::Kernel;
use crate::lock_order::Leaf;
use crate::net::members::Members;

/// How long what the host said counts as true.
const FRESH: Duration = Duration::from_millis(100);

/// The host's network.
#[derive(Debug)]
pub struct HostNet {
    netlink: Mutex<Asked, Leaf>,
    /// All sockets.
    pub(super) sockets: Members<HostSocket>,
}

#[derive(Debug)]
struct Asked {
    netlink: Netlink,
    last: Option<Instant>,
}

/// Gives the first network namespace the host's network: that of the namespace this process is in.
pub fn attach(kernel: &Kernel) -> Result<(), Failure> {
    let netlink = Netlink::open().map_err(|e| Failure::other(format!("cannot ask for network devices: {e}")))?;
    let asked = Mutex::new(Asked { netlink, last: None });
    let net = NetStack::in_namespace(&kernel.root_namespaces.net);
    net.set_host(Arc::new(HostNet { netlink: asked, sockets: Members::default() }));
    Ok(())
}

impl HostNet {
    /// What the host's kernel says now; `None` if it was asked a moment ago, or does not answer.
    pub(super) fn links(&self) -> Option<Links> {
        let mut asked = self.netlink.lock();
        if asked.last.is_some_and(|last| last.elapsed() < FRESH) {
            return None;
        }
        let read = read(&asked.netlink).ok()?;
        asked.last = Some(Instant::now());
        Some(read)
    }
}

fn read(netlink: &Netlink) -> std::io::Result<Links> {
    let addresses = netlink.addresses()?;
    let mut devices: Vec<Device> = netlink.links()?.into_iter().map(|link| device(link, &addresses)).collect();
    // Elsewhere the first one is taken for the loopback device.
    devices.sort_by_key(|device| (device.index != LOOPBACK_INDEX, device.index));
    let routes = netlink.routes()?.into_iter().filter(|route| {
        // Those are made up from addresses.
        u32::from(route.table) != TABLE_LOCAL
            && route.kind != LOCAL
            && route.kind != MULTICAST
            && route.protocol != super::route::BY_KERNEL
    });
    let routes = routes.map(|route| Route {
        destination: route.to.0,
        prefix: route.to.1,
        gateway: route.gateway,
        device: route.device,
        source: route.source,
        table: route.table.into(),
        kind: route.kind,
        scope: route.scope,
        protocol: route.protocol,
        metric: route.metric,
    });
    Ok(Links { routes: routes.collect(), devices })
}

fn device(link: rtnetlink::Link, addresses: &[rtnetlink::Address]) -> Device {
    let flags = u16::try_from(link.flags & 0xffff).unwrap_or(0);
    let addresses = addresses.iter().filter(|address| address.device == link.index).map(|address| Address {
        ip: address.ip,
        prefix: address.prefix,
        broadcast: address.broadcast,
        scope: address.scope,
        label: link.name.clone(),
    });
    Device {
        index: link.index,
        kind: if link.index == LOOPBACK_INDEX { DeviceKind::Loopback } else { DeviceKind::Ethernet },
        up: flags & IFF_UP != 0,
        extra_flags: flags & (IFF_PROMISC | IFF_ALLMULTI),
        mtu: link.mtu,
        queue_len: 1000,
        mac: link.mac.unwrap_or_default(),
        addresses: addresses.collect(),
        counters: Arc::default(),
        name: link.name,
    }
}
