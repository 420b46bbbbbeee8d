//! Socket addresses, sockaddr(3).
#![expect(missing_docs, reason = "the names are Linux's, see the man pages")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of the largest address, `struct sockaddr_storage`.
pub const SOCKADDR_STORAGE_SIZE: usize = 128;
/// Bytes of a path in `struct sockaddr_un`.
pub const UNIX_PATH_MAX: usize = 108;
/// Bytes of `struct sockaddr_un`.
pub const SOCKADDR_UN_SIZE: usize = 110;

/// `struct sockaddr_un`; how much of the path counts is told apart from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SockaddrUn {
    pub sun_family: u16,
    pub sun_path: [u8; UNIX_PATH_MAX],
}

impl Default for SockaddrUn {
    fn default() -> Self {
        Self { sun_family: crate::socket::AF_UNIX, sun_path: [0; UNIX_PATH_MAX] }
    }
}

/// `struct sockaddr_in`; port and address in network order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SockaddrIn {
    pub sin_family: u16,
    pub sin_port: [u8; 2],
    pub sin_addr: [u8; 4],
    pub _zero: [u8; 8],
}

/// `struct sockaddr_in6`; port, flow label and address in network order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SockaddrIn6 {
    pub sin6_family: u16,
    pub sin6_port: [u8; 2],
    pub sin6_flowinfo: [u8; 4],
    pub sin6_addr: [u8; 16],
    pub sin6_scope_id: u32,
}

/// Bytes of the smallest `struct sockaddr_in6` that is accepted: without the scope.
pub const SIN6_LEN_RFC2133: usize = 24;

/// `struct sockaddr_nl`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SockaddrNl {
    pub nl_family: u16,
    pub _pad: u16,
    pub nl_pid: u32,
    pub nl_groups: u32,
}

/// `struct sockaddr_ll`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SockaddrLl {
    pub sll_family: u16,
    pub sll_protocol: [u8; 2],
    pub sll_ifindex: i32,
    pub sll_hatype: u16,
    pub sll_pkttype: u8,
    pub sll_halen: u8,
    pub sll_addr: [u8; 8],
}

/// Bytes of an interface's name, its NUL included.
pub const IFNAMSIZ: usize = 16;

/// `struct ifreq`: a name, and a union of which the first bytes are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Ifreq {
    pub ifr_name: [u8; IFNAMSIZ],
    pub ifr_data: [u64; 3],
}

/// `struct ifconf`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Ifconf {
    pub ifc_len: i32,
    pub _pad: u32,
    pub ifc_buf: u64,
}

pub const IFF_UP: u16 = 0x1;
pub const IFF_BROADCAST: u16 = 0x2;
pub const IFF_LOOPBACK: u16 = 0x8;
pub const IFF_POINTOPOINT: u16 = 0x10;
pub const IFF_RUNNING: u16 = 0x40;
pub const IFF_NOARP: u16 = 0x80;
pub const IFF_PROMISC: u16 = 0x100;
pub const IFF_ALLMULTI: u16 = 0x200;
pub const IFF_MULTICAST: u16 = 0x1000;
/// `sa_family` of a hardware address.
pub const ARPHRD_ETHER: u16 = 1;
pub const ARPHRD_LOOPBACK: u16 = 772;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_the_c_library() {
        assert_eq!(size_of::<SockaddrUn>(), size_of::<libc::sockaddr_un>());
        assert_eq!(size_of::<SockaddrIn>(), size_of::<libc::sockaddr_in>());
        assert_eq!(size_of::<SockaddrIn6>(), size_of::<libc::sockaddr_in6>());
        assert_eq!(size_of::<SockaddrNl>(), size_of::<libc::sockaddr_nl>());
        assert_eq!(size_of::<SockaddrLl>(), size_of::<libc::sockaddr_ll>());
        assert_eq!(size_of::<Ifreq>(), size_of::<libc::ifreq>());
    }
}
