//! What the host's kernel says about network devices, rtnetlink(7): devices, addresses and routes of a network namespace.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, OwnedFd};

use abi::netlink::{
    IFA_ADDRESS, IFA_BROADCAST, IFA_LOCAL, IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST,
    NLMSG_DONE, NLMSG_ERROR, RTA_DST, RTA_GATEWAY, RTA_OIF, RTA_PREFSRC, RTA_PRIORITY, RTM_DELADDR, RTM_GETADDR,
    RTM_GETLINK, RTM_GETROUTE, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE,
};
use abi::socket::{AF_INET, AF_INET6};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;

/// A network device.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// ARPHRD_*.
    pub hardware: u16,
    /// IFF_*.
    pub flags: u32,
    /// Its hardware address, if it has one of six bytes.
    pub mac: Option<[u8; 6]>,
    /// Its largest packet.
    pub mtu: u32,
}

/// An address of a device.
#[derive(Clone, Debug)]
pub struct Address {
    /// The device.
    pub device: u32,
    /// The address.
    pub ip: IpAddr,
    /// The length of its network's prefix.
    pub prefix: u8,
    /// RT_SCOPE_*.
    pub scope: u8,
    /// The address that means all in that network.
    pub broadcast: Option<Ipv4Addr>,
    /// `struct ifaddrmsg` and its attributes.
    message: Vec<u8>,
}

/// A route.
#[derive(Clone, Debug)]
pub struct Route {
    /// Where to.
    pub to: (IpAddr, u8),
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// The device; 0 for none.
    pub device: u32,
    /// The address to send from.
    pub source: Option<IpAddr>,
    /// RT_TABLE_*.
    pub table: u8,
    /// RTN_*.
    pub kind: u8,
    /// RT_SCOPE_*.
    pub scope: u8,
    /// RTPROT_*.
    pub protocol: u8,
    /// The lower, the better.
    pub metric: u32,
}

/// A socket to the host's kernel, for the network namespace that its maker was in.
#[derive(Debug)]
pub struct Netlink(OwnedFd);

impl Netlink {
    /// Opens one.
    pub fn open() -> io::Result<Self> {
        let kind = (AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute);
        Ok(Self(socket(kind.0, kind.1, kind.2, kind.3)?))
    }

    /// All devices.
    pub fn links(&self) -> io::Result<Vec<Link>> {
        let all = self.list(RTM_GETLINK, RTM_NEWLINK, &[0; 16])?;
        Ok(all.iter().filter_map(|body| link(body)).collect())
    }

    /// All addresses.
    pub fn addresses(&self) -> io::Result<Vec<Address>> {
        let all = self.list(RTM_GETADDR, RTM_NEWADDR, &[0; 8])?;
        Ok(all.into_iter().filter_map(address).collect())
    }

    /// All routes.
    pub fn routes(&self) -> io::Result<Vec<Route>> {
        let all = self.list(RTM_GETROUTE, RTM_NEWROUTE, &[0; 12])?;
        Ok(all.iter().filter_map(|body| route(body)).collect())
    }

    /// Takes an address from its device.
    pub fn remove(&self, address: &Address) -> io::Result<()> {
        self.ask(RTM_DELADDR, NLM_F_ACK, &address.message)?;
        let mut buffer = [0; 4096];
        let len = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        match message(buffer.get(..len).unwrap_or_default()) {
            Some((NLMSG_ERROR, body, _)) if long(body, 0) == Some(0) => Ok(()),
            Some((NLMSG_ERROR, body, _)) => Err(refused(body)),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Sends a request.
    fn ask(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        let len = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
        let mut message = len.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend((flags | NLM_F_REQUEST).to_ne_bytes());
        message.extend([0; 8]);
        message.extend_from_slice(body);
        send(self.0.as_raw_fd(), &message, MsgFlags::empty())?;
        Ok(())
    }

    /// Asks for a list: the bodies of all messages of the wanted kind.
    fn list(&self, ask: u16, wanted: u16, body: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        self.ask(ask, NLM_F_DUMP, body)?;
        let mut found = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let len = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            let mut rest = buffer.get(..len).unwrap_or_default();
            while let Some((kind, body, next)) = message(rest) {
                match kind {
                    NLMSG_DONE => return Ok(found),
                    NLMSG_ERROR => return Err(refused(body)),
                    kind if kind == wanted => found.push(body.to_vec()),
                    _ => {}
                }
                rest = next;
            }
        }
    }
}

fn refused(body: &[u8]) -> io::Error {
    let number = long(body, 0).map_or(0, u32::cast_signed);
    io::Error::from_raw_os_error(number.saturating_neg())
}

fn link(body: &[u8]) -> Option<Link> {
    let attributes = body.get(16..)?;
    let name = attribute(attributes, IFLA_IFNAME)?.split(|byte| *byte == 0).next()?;
    Some(Link {
        index: long(body, 4)?,
        name: String::from_utf8_lossy(name).into_owned(),
        hardware: u16::try_from(long(body, 0)? >> 16).ok()?,
        flags: long(body, 8)?,
        mac: attribute(attributes, IFLA_ADDRESS).and_then(|bytes| bytes.try_into().ok()),
        mtu: attribute(attributes, IFLA_MTU).and_then(|bytes| long(bytes, 0)).unwrap_or(1500),
    })
}

fn address(message: Vec<u8>) -> Option<Address> {
    let attributes = message.get(8..)?;
    let ip = ip(attribute(attributes, IFA_LOCAL).or_else(|| attribute(attributes, IFA_ADDRESS))?)?;
    let broadcast = attribute(attributes, IFA_BROADCAST).and_then(<[u8]>::first_chunk::<4>);
    let (prefix, scope, device) = (*message.get(1)?, *message.get(3)?, long(&message, 4)?);
    Some(Address { device, ip, prefix, scope, broadcast: broadcast.map(|bytes| Ipv4Addr::from(*bytes)), message })
}

fn route(body: &[u8]) -> Option<Route> {
    let (head, attributes) = (body.first_chunk::<12>()?, body.get(12..)?);
    let number = |kind| attribute(attributes, kind).and_then(|bytes| long(bytes, 0)).unwrap_or(0);
    let any = match u16::from(head[0]) {
        AF_INET => IpAddr::from([0; 4]),
        AF_INET6 => IpAddr::from([0; 16]),
        _ => return None,
    };
    Some(Route {
        to: (attribute(attributes, RTA_DST).and_then(ip).unwrap_or(any), head[1]),
        gateway: attribute(attributes, RTA_GATEWAY).and_then(ip),
        device: number(RTA_OIF),
        source: attribute(attributes, RTA_PREFSRC).and_then(ip),
        table: head[4],
        protocol: head[5],
        scope: head[6],
        kind: head[7],
        metric: number(RTA_PRIORITY),
    })
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

    #[test]
    fn the_loopback_device_is_listed() {
        let netlink = Netlink::open().unwrap();
        assert!(netlink.links().unwrap().iter().any(|link| link.name == "lo" && link.index == 1));
        let lo = netlink.addresses().unwrap().into_iter().filter(|address| address.device == 1);
        assert!(lo.filter(|address| address.ip.is_ipv4()).all(|address| address.ip.is_loopback()));
        netlink.routes().unwrap();
    }
}
