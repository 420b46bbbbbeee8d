//! Socket addresses of AF_INET and AF_INET6, in and out of their bytes.
//!
//! Inside, an IPv4-mapped IPv6 address is the IPv4 address it means, so that both families share their tables; it is mapped
//! again when an AF_INET6 socket shows it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use abi::Errno;
use abi::sockaddr::{SIN6_LEN_RFC2133, SockaddrIn, SockaddrIn6};
use abi::socket::{AF_INET, AF_INET6, AF_UNSPEC};
use zerocopy::{FromBytes, IntoBytes};

use crate::error::{Result, err};

/// The family of an Internet socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// AF_INET.
    V4,
    /// AF_INET6.
    V6,
}

impl Family {
    /// AF_*.
    #[must_use]
    pub const fn raw(self) -> u16 {
        match self {
            Self::V4 => AF_INET,
            Self::V6 => AF_INET6,
        }
    }

    /// The address that means all of the machine's.
    #[must_use]
    pub const fn any(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    /// What an unbound socket is bound to.
    #[must_use]
    pub const fn nowhere(self) -> SocketAddr {
        SocketAddr::new(self.any(), 0)
    }

    /// An address as a socket of this family shows it.
    #[must_use]
    pub fn show(self, addr: SocketAddr) -> Vec<u8> {
        match (self, addr) {
            (Self::V4, SocketAddr::V4(v4)) => SockaddrIn {
                sin_family: AF_INET,
                sin_port: v4.port().to_be_bytes(),
                sin_addr: v4.ip().octets(),
                _zero: [0; 8],
            }
            .as_bytes()
            .to_vec(),
            (Self::V6, SocketAddr::V4(v4)) if v4.ip().is_unspecified() => {
                v6_bytes(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, v4.port(), 0, 0))
            }
            (Self::V6, SocketAddr::V4(v4)) => v6_bytes(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0)),
            (_, SocketAddr::V6(v6)) => v6_bytes(v6),
        }
    }
}

fn v6_bytes(addr: SocketAddrV6) -> Vec<u8> {
    SockaddrIn6 {
        sin6_family: AF_INET6,
        sin6_port: addr.port().to_be_bytes(),
        sin6_flowinfo: addr.flowinfo().to_be_bytes(),
        sin6_addr: addr.ip().octets(),
        sin6_scope_id: addr.scope_id(),
    }
    .as_bytes()
    .to_vec()
}

/// The family of an address; `None` if it is too short to have one.
#[must_use]
pub fn family_of(addr: &[u8]) -> Option<u16> {
    addr.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

/// The address a socket is to be bound to. AF_INET takes AF_UNSPEC for the address that means all.
pub fn parse_bind(family: Family, addr: &[u8]) -> Result<SocketAddr> {
    match family {
        Family::V4 => {
            let (addr, _) = SockaddrIn::read_from_prefix(addr).map_err(|_| Errno::EINVAL)?;
            match addr.sin_family {
                AF_INET => {}
                AF_UNSPEC if addr.sin_addr == [0; 4] => {}
                _ => return err(Errno::EAFNOSUPPORT),
            }
            Ok(v4(addr))
        }
        Family::V6 => v6(addr),
    }
}

/// The address of a peer.
pub fn parse_peer(family: Family, addr: &[u8]) -> Result<SocketAddr> {
    match family {
        Family::V4 => {
            let (addr, _) = SockaddrIn::read_from_prefix(addr).map_err(|_| Errno::EINVAL)?;
            if addr.sin_family == AF_INET { Ok(v4(addr)) } else { err(Errno::EAFNOSUPPORT) }
        }
        Family::V6 => v6(addr),
    }
}

/// The peer of a datagram: AF_INET6 sockets also take AF_INET addresses, AF_INET ones AF_UNSPEC.
pub fn parse_datagram_peer(family: Family, v6_only: bool, addr: &[u8]) -> Result<SocketAddr> {
    match (family, family_of(addr)) {
        (Family::V6, Some(AF_INET)) if !v6_only => parse_peer(Family::V4, addr),
        (Family::V4, Some(AF_UNSPEC)) => {
            let (addr, _) = SockaddrIn::read_from_prefix(addr).map_err(|_| Errno::EINVAL)?;
            Ok(v4(addr))
        }
        _ => parse_peer(family, addr),
    }
}

fn v4(addr: SockaddrIn) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(addr.sin_addr.into()), u16::from_be_bytes(addr.sin_port))
}

fn v6(addr: &[u8]) -> Result<SocketAddr> {
    if addr.len() < SIN6_LEN_RFC2133 {
        return err(Errno::EINVAL);
    }
    let mut whole = [0; size_of::<SockaddrIn6>()];
    let len = addr.len().min(whole.len());
    whole[..len].copy_from_slice(&addr[..len]);
    let addr = SockaddrIn6::read_from_bytes(&whole).map_err(|_| Errno::EINVAL)?;
    if addr.sin6_family != AF_INET6 {
        return err(Errno::EAFNOSUPPORT);
    }
    let (ip, port) = (Ipv6Addr::from(addr.sin6_addr), u16::from_be_bytes(addr.sin6_port));
    Ok(match ip.to_ipv4_mapped() {
        Some(v4) => SocketAddr::new(IpAddr::V4(v4), port),
        None => SocketAddr::V6(SocketAddrV6::new(ip, port, 0, addr.sin6_scope_id)),
    })
}

/// The same address without flow label and scope, to compare.
#[must_use]
pub fn plain(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip(), addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mapped_addresses_are_ipv4_inside() {
        let mut bytes = Family::V6.show("127.0.0.1:80".parse().expect("an address"));
        assert_eq!(bytes.len(), 28);
        assert_eq!(parse_peer(Family::V6, &bytes).expect("valid"), "127.0.0.1:80".parse().expect("an address"));
        bytes.truncate(23);
        assert!(parse_peer(Family::V6, &bytes).expect_err("too short").is(Errno::EINVAL));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_address_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..40), v6: bool, only: bool) {
            let family = if v6 { Family::V6 } else { Family::V4 };
            let parsed =
                [parse_bind(family, &bytes), parse_peer(family, &bytes), parse_datagram_peer(family, only, &bytes)];
            for addr in parsed.into_iter().flatten() {
                prop_assert!(parse_peer(family, &family.show(addr)).is_ok());
            }
        }
    }
}
