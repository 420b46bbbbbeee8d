//! The network device that the sandbox takes over: read by netlink in the container's network namespace.
//!
//! The first Ethernet device that is up is taken, with its addresses and routes. Its addresses are then removed from the
//! host's side, so that the host's own stack does not answer for the container.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use abi::netlink::{
    IFA_ADDRESS, IFA_LOCAL, IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE,
    NLMSG_ERROR, RTA_DST, RTA_GATEWAY, RTA_OIF, RTA_PRIORITY, RTM_DELADDR, RTM_GETADDR, RTM_GETLINK, RTM_GETROUTE,
    RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE,
};
use abi::sockaddr::{ARPHRD_ETHER, IFF_UP};
use abi::socket::{AF_INET, AF_INET6};
use anyhow::{Context, Result, bail};
use control::{LinkSpec, RouteSpec};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

use oci_spec::runtime::Spec;

use super::launch::Joined;
use crate::log;

/// Where Docker's name server answers in networks that users have made.
const ENGINE_NAME_SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 11), 53);
/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// RT_TABLE_MAIN, RTN_UNICAST, RTPROT_KERNEL.
const TABLE_MAIN: u8 = 254;
const UNICAST: u8 = 1;
const BY_KERNEL: u8 = 2;

/// Opens the device of the namespace at `path`; `None` if there is nothing but `lo`. The slot of its file is the first. With
/// `asks_engine` a socket to the engine's name server follows.
pub(crate) fn open(path: &Path, asks_engine: bool) -> Result<Option<(LinkSpec, Vec<OwnedFd>)>> {
    let _joined = Joined::network(path)?;
    let netlink = Netlink::open()?;
    let Some(mut link) = netlink.device()? else { return Ok(None) };
    let wire = host::packet::open(link.index.cast_signed())
        .with_context(|| format!("cannot open a packet socket on {}", link.name))?;
    let originals = netlink.addresses(link.index)?;
    link.addresses = originals.iter().filter_map(Original::address).collect();
    link.routes = netlink.routes(link.index)?;
    for original in &originals {
        if let Err(e) = netlink.remove(original) {
            log::warning(&format!("cannot take an address from {}: {e:#}", link.name));
        }
    }
    let mut files = vec![wire];
    if asks_engine {
        match name_server() {
            Ok(socket) => {
                link.name_server = Some(control::FdSlot(1));
                files.push(socket);
            }
            Err(e) => log::warning(&format!("cannot reach the engine's name server: {e:#}")),
        }
    }
    Ok(Some((link, files)))
}

/// A socket connected to the name server that Docker has in the namespace that we are in.
fn name_server() -> Result<OwnedFd> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(ENGINE_NAME_SERVER)?;
    Ok(socket.into())
}

/// Whether a container asks that server: its resolv.conf, which the engine has written, says so.
pub(crate) fn asks_engine(spec: &Spec) -> bool {
    let mount = spec.mounts().iter().flatten().find(|mount| mount.destination() == Path::new("/etc/resolv.conf"));
    let file = mount.and_then(|mount| mount.source().as_ref());
    let text = file.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let server = ENGINE_NAME_SERVER.0.to_string();
    text.lines().any(|line| line.split_ascii_whitespace().eq(["nameserver", server.as_str()]))
}

/// A socket to the host's kernel.
struct Netlink(OwnedFd);

/// An address as the kernel described it: `struct ifaddrmsg` and its attributes.
struct Original(Vec<u8>);

impl Original {
    fn address(&self) -> Option<(IpAddr, u8)> {
        let bytes = attribute(self.0.get(8..)?, IFA_LOCAL).or_else(|| attribute(self.0.get(8..)?, IFA_ADDRESS))?;
        Some((ip(bytes)?, *self.0.get(1)?))
    }
}

impl Netlink {
    fn open() -> Result<Self> {
        let kind = (AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute);
        Ok(Self(socket(kind.0, kind.1, kind.2, kind.3).context("cannot ask for network devices")?))
    }

    /// Sends a request.
    fn ask(&self, kind: u16, flags: u16, body: &[u8]) -> Result<()> {
        let mut message = u32::try_from(HEADER + body.len())?.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend((flags | NLM_F_REQUEST).to_ne_bytes());
        message.extend([0; 8]);
        message.extend_from_slice(body);
        send(self.0.as_raw_fd(), &message, MsgFlags::empty())?;
        Ok(())
    }

    /// Asks for a list: the bodies of all messages of the wanted kind.
    fn list(&self, ask: u16, wanted: u16, body: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.ask(ask, NLM_F_DUMP, body)?;
        let mut found = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let len = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            let mut rest = buffer.get(..len).unwrap_or_default();
            while let Some((kind, body, next)) = message(rest) {
                match kind {
                    NLMSG_DONE => return Ok(found),
                    NLMSG_ERROR => bail!("netlink request {ask} failed"),
                    kind if kind == wanted => found.push(body.to_vec()),
                    _ => {}
                }
                rest = next;
            }
        }
    }

    /// The first Ethernet device that is up.
    fn device(&self) -> Result<Option<LinkSpec>> {
        for body in self.list(RTM_GETLINK, RTM_NEWLINK, &[0; 16])? {
            let (Some(kind), Some(index), Some(flags)) = (long(&body, 0), long(&body, 4), long(&body, 8)) else {
                continue;
            };
            let attributes = body.get(16..).unwrap_or_default();
            let mac = attribute(attributes, IFLA_ADDRESS).and_then(<[u8]>::first_chunk);
            let name = attribute(attributes, IFLA_IFNAME).map(|name| name.split(|byte| *byte == 0).next());
            let (Some(mac), Some(Some(name))) = (mac, name) else { continue };
            if kind >> 16 == u32::from(ARPHRD_ETHER) && flags & u32::from(IFF_UP) != 0 {
                return Ok(Some(LinkSpec {
                    file: control::FdSlot(0),
                    name: String::from_utf8_lossy(name).into_owned(),
                    index,
                    mac: *mac,
                    mtu: attribute(attributes, IFLA_MTU).and_then(|bytes| long(bytes, 0)).unwrap_or(1500),
                    addresses: Vec::new(),
                    routes: Vec::new(),
                    name_server: None,
                }));
            }
        }
        Ok(None)
    }

    fn addresses(&self, index: u32) -> Result<Vec<Original>> {
        let all = self.list(RTM_GETADDR, RTM_NEWADDR, &[0; 8])?;
        Ok(all.into_iter().filter(|body| long(body, 4) == Some(index)).map(Original).collect())
    }

    fn routes(&self, index: u32) -> Result<Vec<RouteSpec>> {
        let mut routes = Vec::new();
        for body in self.list(RTM_GETROUTE, RTM_NEWROUTE, &[0; 12])? {
            let (Some(head), Some(attributes)) = (body.first_chunk::<12>(), body.get(12..)) else { continue };
            let number = |kind| attribute(attributes, kind).and_then(|bytes| long(bytes, 0));
            if head[4] != TABLE_MAIN || head[7] != UNICAST || number(RTA_OIF) != Some(index) || head[5] == BY_KERNEL {
                continue;
            }
            let any = match u16::from(head[0]) {
                AF_INET => IpAddr::from([0; 4]),
                AF_INET6 => IpAddr::from([0; 16]),
                _ => continue,
            };
            let to = attribute(attributes, RTA_DST).and_then(ip).unwrap_or(any);
            let gateway = attribute(attributes, RTA_GATEWAY).and_then(ip);
            routes.push(RouteSpec { to: (to, head[1]), gateway, metric: number(RTA_PRIORITY).unwrap_or(0) });
        }
        Ok(routes)
    }

    /// Takes an address from its device.
    fn remove(&self, address: &Original) -> Result<()> {
        self.ask(RTM_DELADDR, NLM_F_ACK, &address.0)?;
        let mut buffer = [0; 4096];
        let len = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        match message(buffer.get(..len).unwrap_or_default()) {
            Some((NLMSG_ERROR, body, _)) if long(body, 0) == Some(0) => Ok(()),
            _ => bail!("the kernel refused"),
        }
    }
}

/// The first message: its kind, its body, and what is behind it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let len = usize::try_from(long(bytes, 0)?).ok()?;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    Some((kind, bytes.get(HEADER..len)?, bytes.get(len.next_multiple_of(4)..).unwrap_or_default()))
}

/// The attribute of a kind.
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let len = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?);
        let data = bytes.get(4..len)?;
        if kind == wanted {
            return Some(data);
        }
        bytes = bytes.get(len.next_multiple_of(4)..)?;
    }
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(*bytes.first_chunk::<4>()?)),
        16 => Some(IpAddr::from(*bytes.first_chunk::<16>()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_and_broken_ones_are_not() {
        let bytes = [8, 0, 1, 0, 1, 2, 3, 4, 5, 0, 2, 0, 9, 0, 0, 0];
        assert_eq!(attribute(&bytes, 1), Some(&[1, 2, 3, 4][..]));
        assert_eq!(attribute(&bytes, 2), Some(&[9][..]));
        assert_eq!(attribute(&bytes, 3), None);
        assert_eq!(attribute(&[3, 0, 1, 0], 1), None);
        assert_eq!(message(&[4, 0, 0, 0, 1, 0]), None);
    }
}
