//! What bind(2) checks, the same for all Internet sockets.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;

use abi::Errno;
use abi::capability::Cap;

use super::addr::{Family, parse_bind};
use super::ip_options::IpOptions;
use super::ports::{Local, Sharing};
use super::stack::NetStack;
use crate::error::{Result, err};
use crate::net::options::Options;
use crate::task::CurrentTask;

/// What a socket that is bound to this hears. `many`: broadcast and multicast addresses may be bound to.
pub(super) fn local(
    task: &CurrentTask,
    net: &NetStack,
    family: Family,
    addr: &[u8],
    options: &IpOptions,
    many: bool,
) -> Result<(Local, SocketAddr)> {
    let addr = parse_bind(family, addr)?;
    if family == Family::V6 && addr.is_ipv4() && options.v6_only() {
        return err(Errno::EINVAL);
    }
    let ip = addr.ip();
    let allowed = ip.is_unspecified()
        || net.is_local(ip)
        || options.binds_freely()
        || (many && (ip.is_multicast() || is_broadcast(net, ip)));
    if !allowed {
        return err(Errno::EADDRNOTAVAIL);
    }
    let lowest = net.settings.unprivileged_port.load(Ordering::Relaxed);
    if addr.port() != 0 && u32::from(addr.port()) < lowest {
        let owner = &task.namespaces().net.user_ns;
        if !task.creds().has_in(Cap::CAP_NET_BIND_SERVICE, owner) {
            return err(Errno::EACCES);
        }
    }
    Ok((wildcard(family, addr, options), addr))
}

/// The same without checks, for sockets that the kernel binds.
pub(super) fn wildcard(family: Family, addr: SocketAddr, options: &IpOptions) -> Local {
    let ip = addr.ip();
    Local {
        ip: (!ip.is_unspecified()).then_some(ip),
        port: addr.port(),
        v4: family == Family::V4 || ip.is_ipv4() || !options.v6_only(),
        v6: family == Family::V6 && !ip.is_ipv4(),
        device: options.bound_device(),
    }
}

/// How a socket shares its port.
pub(super) fn sharing(task: &CurrentTask, options: &Options) -> Sharing {
    Sharing {
        address: options.flag(abi::socket::SO_REUSEADDR),
        port: options.flag(abi::socket::SO_REUSEPORT),
        uid: task.creds().euid,
    }
}

/// Whether an address means all of a network.
pub(super) fn is_broadcast(net: &NetStack, ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) if v4.is_broadcast() => true,
        IpAddr::V4(_) => net.with_links(|links| {
            links.all_routes().iter().any(|r| r.kind == super::route::BROADCAST && r.destination == ip)
        }),
        IpAddr::V6(_) => false,
    }
}
