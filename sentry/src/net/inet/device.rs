//! Network devices and their addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::sockaddr::{
    ARPHRD_ETHER, ARPHRD_LOOPBACK, IFF_BROADCAST, IFF_LOOPBACK, IFF_MULTICAST, IFF_NOARP, IFF_RUNNING, IFF_UP,
};

/// RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RT_SCOPE_HOST.
pub const SCOPE_UNIVERSE: u8 = 0;
/// On this link only.
pub const SCOPE_LINK: u8 = 253;
/// On this machine only.
pub const SCOPE_HOST: u8 = 254;
/// The index of `lo`.
pub const LOOPBACK_INDEX: u32 = 1;

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// `lo`.
    Loopback,
    /// Ethernet, to the outside.
    Ethernet,
    /// Leads nowhere: what is sent is lost.
    Dummy,
}

/// Bytes and packets that went through.
#[derive(Debug, Default)]
pub struct Counters {
    /// Received bytes.
    pub rx_bytes: AtomicU64,
    /// Received packets.
    pub rx_packets: AtomicU64,
    /// Sent bytes.
    pub tx_bytes: AtomicU64,
    /// Sent packets.
    pub tx_packets: AtomicU64,
}

impl Counters {
    /// Counts a packet.
    pub fn count(&self, sent: bool, bytes: usize) {
        let (packets, total) =
            if sent { (&self.tx_packets, &self.tx_bytes) } else { (&self.rx_packets, &self.rx_bytes) };
        packets.fetch_add(1, Ordering::Relaxed);
        total.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a packet that goes out and comes back.
    pub fn loop_back(&self, bytes: usize) {
        for (counter, n) in [
            (&self.rx_bytes, bytes as u64),
            (&self.tx_bytes, bytes as u64),
            (&self.rx_packets, 1),
            (&self.tx_packets, 1),
        ] {
            counter.fetch_add(n, Ordering::Relaxed);
        }
    }
}

/// An address of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// The length of its network's prefix.
    pub prefix: u8,
    /// IFA_BROADCAST.
    pub broadcast: Option<Ipv4Addr>,
    /// RT_SCOPE_*.
    pub scope: u8,
    /// IFA_LABEL, for IPv4.
    pub label: String,
}

impl Address {
    /// An address whose scope follows from itself.
    #[must_use]
    pub fn new(ip: IpAddr, prefix: u8, label: &str) -> Self {
        Self { ip, prefix, broadcast: None, scope: scope_of(ip), label: label.to_owned() }
    }

    /// Whether an address is in its network.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        in_prefix(ip, self.ip, self.prefix)
    }
}

/// The scope an address has unless told otherwise.
#[must_use]
pub fn scope_of(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(v4) if v4.is_loopback() => SCOPE_HOST,
        IpAddr::V6(v6) if v6.is_loopback() => SCOPE_HOST,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => SCOPE_LINK,
        _ => SCOPE_UNIVERSE,
    }
}

/// Whether the first `prefix` bits of both are the same.
#[must_use]
pub fn in_prefix(a: IpAddr, b: IpAddr, prefix: u8) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let drop = 32 - u32::from(prefix.min(32));
            (u64::from(a.to_bits() ^ b.to_bits()) >> drop) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let drop = 128 - u32::from(prefix.min(128));
            (a.to_bits() ^ b.to_bits()).checked_shr(drop).unwrap_or(0) == 0
        }
        _ => false,
    }
}

/// A device.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Up by the administrator's will.
    pub up: bool,
    /// IFF_PROMISC, IFF_ALLMULTI and such, as set.
    pub extra_flags: u16,
    /// Largest packet.
    pub mtu: u32,
    /// Length of its queue, which is only remembered.
    pub queue_len: u32,
    /// Hardware address.
    pub mac: [u8; 6],
    /// Its addresses, in the order they came.
    pub addresses: Vec<Address>,
    /// What went through.
    pub counters: Arc<Counters>,
}

impl Device {
    /// `lo`, down and without addresses, as a new namespace has it.
    #[must_use]
    pub fn loopback() -> Self {
        Self {
            index: LOOPBACK_INDEX,
            name: String::from("lo"),
            kind: DeviceKind::Loopback,
            up: false,
            extra_flags: 0,
            mtu: 65536,
            queue_len: 1000,
            mac: [0; 6],
            addresses: Vec::new(),
            counters: Arc::default(),
        }
    }

    /// A device that leads nowhere, down, as `ip link add type dummy` makes it.
    #[must_use]
    pub fn dummy(index: u32, name: &str) -> Self {
        let mut mac = [0; 6];
        // Without chance it is one that others may have as well.
        let _ = host::random::fill(&mut mac);
        // Of one machine, and given by its administrator.
        mac[0] = mac[0] & 0xfc | 2;
        Self { index, name: name.to_owned(), kind: DeviceKind::Dummy, mtu: 1500, mac, ..Self::loopback() }
    }

    /// IFF_*.
    #[must_use]
    pub fn flags(&self) -> u16 {
        let fixed = match self.kind {
            DeviceKind::Loopback => IFF_LOOPBACK,
            DeviceKind::Ethernet => IFF_BROADCAST | IFF_MULTICAST,
            DeviceKind::Dummy => IFF_BROADCAST | IFF_NOARP,
        };
        fixed | self.extra_flags | if self.up { IFF_UP | IFF_RUNNING } else { 0 }
    }

    /// ARPHRD_*.
    #[must_use]
    pub fn hardware(&self) -> u16 {
        match self.kind {
            DeviceKind::Loopback => ARPHRD_LOOPBACK,
            DeviceKind::Ethernet | DeviceKind::Dummy => ARPHRD_ETHER,
        }
    }

    /// Brings it up or takes it down. The loopback device gets its addresses when it first comes up; IPv6 ones go when it
    /// goes down.
    pub fn set_up(&mut self, up: bool) {
        if up == self.up {
            return;
        }
        self.up = up;
        if !up {
            self.addresses.retain(|address| address.ip.is_ipv4());
        } else if self.kind == DeviceKind::Loopback {
            for (ip, prefix) in [(IpAddr::V4(Ipv4Addr::LOCALHOST), 8), (IpAddr::V6(Ipv6Addr::LOCALHOST), 128)] {
                if !self.addresses.iter().any(|address| address.ip == ip) {
                    self.addresses.push(Address::new(ip, prefix, "lo"));
                }
            }
        }
    }

    /// Whether an address of the machine is on it. All of 127.0.0.0/8 is on the loopback device, and what lies in a network
    /// of its own addresses.
    #[must_use]
    pub fn owns(&self, ip: IpAddr) -> bool {
        self.addresses.iter().any(|address| {
            address.ip == ip || (self.kind == DeviceKind::Loopback && address.ip.is_ipv4() && address.contains(ip))
        })
    }
}
