//! The network device that the sandbox takes over: read by netlink in the container's network namespace.
//!
//! The first Ethernet device that is up is taken, with its addresses and routes. Its addresses are then removed from the
//! host's side, so that the host's own stack does not answer for the container.

use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use abi::sockaddr::{ARPHRD_ETHER, IFF_UP};
use anyhow::{Context, Result};
use control::{LinkSpec, RouteSpec};
use host::rtnetlink::{Link, Netlink};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType};
use oci_spec::runtime::Spec;

use super::launch::Joined;
use crate::log;

/// Where Docker's name server answers in networks that users have made.
const ENGINE_NAME_SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 11), 53);
/// How many programs of a container may ask it over TCP at once, and how many seconds it may take for an answer.
const STREAMS: usize = 2;
const PATIENCE: u64 = 10;
/// RT_TABLE_MAIN, RTN_UNICAST, RTPROT_KERNEL.
const TABLE_MAIN: u8 = 254;
const UNICAST: u8 = 1;
const BY_KERNEL: u8 = 2;

/// Opens the device of the namespace at `path`; `None` if there is nothing but `lo`. The slot of its file is the first. With
/// `asks_engine` a socket to the engine's name server follows.
pub(crate) fn open(path: &Path, asks_engine: bool) -> Result<Option<(LinkSpec, Vec<OwnedFd>)>> {
    let _joined = Joined::network(path)?;
    let netlink = Netlink::open().context("cannot ask for network devices")?;
    let Some(mut link) = device(&netlink)? else { return Ok(None) };
    let wire = host::packet::open(link.index.cast_signed())
        .with_context(|| format!("cannot open a packet socket on {}", link.name))?;
    let mut originals = netlink.addresses().context("cannot list addresses")?;
    originals.retain(|address| address.device == link.index);
    link.addresses = originals.iter().map(|address| (address.ip, address.prefix)).collect();
    link.routes = routes(&netlink, link.index)?;
    for original in &originals {
        if let Err(e) = netlink.remove(original) {
            log::warning(&format!("cannot take an address from {}: {e}", link.name));
        }
    }
    let mut files = vec![wire];
    if asks_engine {
        match name_server() {
            Ok(sockets) => {
                link.name_server = (1..).map(control::FdSlot).take(sockets.len()).collect();
                files.extend(sockets);
            }
            Err(e) => log::warning(&format!("cannot reach the engine's name server: {e:#}")),
        }
    }
    Ok(Some((link, files)))
}

/// Sockets for the name server that Docker has in the namespace that we are in: one of UDP connected to it, and those of TCP,
/// which are connected when somebody asks.
fn name_server() -> Result<Vec<OwnedFd>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(ENGINE_NAME_SERVER)?;
    let mut sockets = vec![socket.into()];
    for _ in 0..STREAMS {
        // One that waits.
        let stream = socket::socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        let patience = [PATIENCE, 0].map(u64::to_ne_bytes).concat();
        for name in [abi::socket::SO_RCVTIMEO, abi::socket::SO_SNDTIMEO] {
            host::net::set_option(stream.as_fd(), abi::socket::SOL_SOCKET, name, &patience)?;
        }
        sockets.push(stream);
    }
    Ok(sockets)
}

/// Whether a container asks that server: its resolv.conf, which the engine has written, says so.
pub(crate) fn asks_engine(spec: &Spec) -> bool {
    let mount = spec.mounts().iter().flatten().find(|mount| mount.destination() == Path::new("/etc/resolv.conf"));
    let file = mount.and_then(|mount| mount.source().as_ref());
    let text = file.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let server = ENGINE_NAME_SERVER.0.to_string();
    text.lines().any(|line| line.split_ascii_whitespace().eq(["nameserver", server.as_str()]))
}

/// The first Ethernet device that is up.
fn device(netlink: &Netlink) -> Result<Option<LinkSpec>> {
    let links = netlink.links().context("cannot list network devices")?;
    let is_up = |link: &Link| link.hardware == ARPHRD_ETHER && link.flags & u32::from(IFF_UP) != 0;
    let first = links.into_iter().filter(is_up).find_map(|link| link.mac.map(|mac| (mac, link)));
    Ok(first.map(|(mac, link)| LinkSpec {
        file: control::FdSlot(0),
        name: link.name,
        index: link.index,
        mac,
        mtu: link.mtu,
        addresses: Vec::new(),
        routes: Vec::new(),
        name_server: Vec::new(),
    }))
}

/// The routes over a device that the kernel has not made by itself.
fn routes(netlink: &Netlink, index: u32) -> Result<Vec<RouteSpec>> {
    let all = netlink.routes().context("cannot list routes")?;
    let ours = all.into_iter().filter(|route| {
        route.table == TABLE_MAIN && route.kind == UNICAST && route.device == index && route.protocol != BY_KERNEL
    });
    Ok(ours.map(|route| RouteSpec { to: route.to, gateway: route.gateway, metric: route.metric }).collect())
}
