//! The Internet side of a network namespace: its devices and routes, who is bound to which port, settings and counters.
//!
//! It hangs on the namespace's registries and is made by the first who asks. Locks: `Leaf` over devices and routes, and over
//! each table of ports.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use abi::Errno;
use abi::socket::{IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_UDP};
use sync::{Mutex, RwLock};

use super::datagram::{DatagramListing, DatagramSocket, Protocol};
use super::device::DeviceKind;
use super::gate::Gate;
use super::host::HostNet;
use super::ports::PortTable;
use super::resolver::Resolver;
use super::route::{Links, Way};
use super::tcp::{TcpListing, TcpSocket};
use crate::error::{Result, err};
use crate::lock_order::Leaf;
use crate::net::members::Members;
use crate::net::netlink::NetlinkSocket;
use crate::net::packet::Taps;
use crate::net::unix::UnixSocket;
use crate::task::CurrentTask;
use crate::task::namespaces::{NetNamespace, NsId};

/// What all Internet sockets of a namespace share.
#[derive(Debug)]
pub struct NetStack {
    links: RwLock<Links, Leaf>,
    /// TCP ports.
    pub tcp: PortTable<TcpSocket>,
    /// UDP ports.
    pub udp: PortTable<DatagramSocket>,
    /// UDP-Lite's.
    pub udplite: PortTable<DatagramSocket>,
    /// Identifiers of ping sockets.
    pub ping: PortTable<DatagramSocket>,
    /// Raw sockets.
    pub raw: Members<DatagramSocket>,
    /// Unix sockets.
    pub unix: Members<UnixSocket>,
    /// Netlink sockets.
    pub netlink: Members<NetlinkSocket>,
    /// Packet sockets.
    pub packets: Taps,
    /// What /proc/sys/net/ipv4 says.
    pub settings: Settings,
    /// What /proc/net/snmp says.
    pub counters: Counters,
    /// The way out, if there is one.
    gate: OnceLock<Arc<Gate>>,
    resolver: OnceLock<Arc<Resolver>>,
    /// The host's network, if it is ours.
    host: OnceLock<Arc<HostNet>>,
    /// Connections that were closed a moment ago.
    pub(super) time_wait: Mutex<super::tcp::time_wait::TimeWait, Leaf>,
}

/// Settings that steer something.
#[derive(Debug)]
pub struct Settings {
    /// net.ipv4.ip_local_port_range, low end.
    pub first_port: AtomicU32,
    /// And the high one.
    pub last_port: AtomicU32,
    /// net.ipv4.ip_unprivileged_port_start.
    pub unprivileged_port: AtomicU32,
    /// net.ipv4.ping_group_range, low end.
    pub ping_first_group: AtomicU32,
    /// And the high one.
    pub ping_last_group: AtomicU32,
    /// net.core.somaxconn.
    pub backlog: AtomicU32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            first_port: AtomicU32::new(32768),
            last_port: AtomicU32::new(60999),
            unprivileged_port: AtomicU32::new(1024),
            ping_first_group: AtomicU32::new(1),
            ping_last_group: AtomicU32::new(0),
            backlog: AtomicU32::new(4096),
        }
    }
}

impl Settings {
    /// Whether new values make sense: ports are ports, and in order.
    #[must_use]
    pub fn accepts(&self, words: &[&AtomicU32], values: &[u32]) -> bool {
        let is = |word: &AtomicU32| words.first().is_some_and(|first| std::ptr::eq(*first, word));
        match values {
            [first, last] if is(&self.first_port) => (1..=65535).contains(last) && first <= last && *first > 0,
            [value] if is(&self.unprivileged_port) => *value <= 65535,
            _ => true,
        }
    }
}

/// Counters of protocols.
#[derive(Debug, Default)]
pub struct Counters {
    /// Tcp: ActiveOpens.
    pub tcp_active: AtomicU64,
    /// Tcp: PassiveOpens.
    pub tcp_passive: AtomicU64,
    /// Tcp: AttemptFails.
    pub tcp_failed: AtomicU64,
    /// Tcp: EstabResets.
    pub tcp_resets: AtomicU64,
    /// Udp: InDatagrams.
    pub udp_in: AtomicU64,
    /// Udp: NoPorts.
    pub udp_no_port: AtomicU64,
    /// Udp: InErrors and RcvbufErrors.
    pub udp_dropped: AtomicU64,
    /// Udp: OutDatagrams.
    pub udp_out: AtomicU64,
}

impl Counters {
    /// Adds one.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl NetStack {
    fn new(lo_up: bool) -> Self {
        Self {
            links: RwLock::new(Links::new(lo_up)),
            tcp: PortTable::default(),
            udp: PortTable::default(),
            udplite: PortTable::default(),
            ping: PortTable::default(),
            raw: Members::default(),
            unix: Members::default(),
            netlink: Members::default(),
            packets: Taps::default(),
            settings: Settings::default(),
            counters: Counters::default(),
            gate: OnceLock::new(),
            resolver: OnceLock::new(),
            host: OnceLock::new(),
            time_wait: Mutex::default(),
        }
    }

    /// The stack of the running task's network namespace.
    #[must_use]
    pub fn of(task: &CurrentTask) -> Arc<Self> {
        Self::in_namespace(&task.namespaces().net)
    }

    /// The stack of a namespace. In the first one `lo` is up, as a container finds it.
    #[must_use]
    pub fn in_namespace(ns: &NetNamespace) -> Arc<Self> {
        ns.registries.get_or_insert(|| Self::new(ns.id == NsId::INITIAL_NET))
    }

    /// The way out of the sandbox.
    #[must_use]
    pub fn gate(&self) -> Option<Arc<Gate>> {
        self.gate.get().cloned()
    }

    /// Opens the way out; it is opened once.
    pub fn set_gate(&self, gate: Arc<Gate>) {
        let _ = self.gate.set(gate);
    }

    /// The engine's name server, if there is one.
    #[must_use]
    pub fn resolver(&self) -> Option<&Arc<Resolver>> {
        self.resolver.get()
    }

    /// Makes it known, once.
    pub fn set_resolver(&self, resolver: Arc<Resolver>) {
        let _ = self.resolver.set(resolver);
    }

    /// The host's network, if it is ours.
    #[must_use]
    pub fn host(&self) -> Option<&Arc<HostNet>> {
        self.host.get()
    }

    /// From now on sockets are the host's.
    pub(super) fn set_host(&self, host: Arc<HostNet>) {
        let _ = self.host.set(host);
    }

    /// Looks at devices, addresses and routes.
    pub fn with_links<T>(&self, look: impl FnOnce(&Links) -> T) -> T {
        if let Some(found) = self.host.get().and_then(|host| host.links()) {
            *self.links.write() = found;
        }
        look(&self.links.read())
    }

    /// Changes them. Those of the host are not changed from here: EPERM, as for a user without the right to.
    pub fn change_links<T>(&self, change: impl FnOnce(&mut Links) -> Result<T>) -> Result<T> {
        if self.host.get().is_some() {
            return err(Errno::EPERM);
        }
        change(&mut self.links.write())
    }

    /// What listings say of TCP sockets.
    #[must_use]
    pub fn tcp_listings(&self) -> Vec<TcpListing> {
        match self.host.get() {
            Some(host) => host.sockets.all().iter().filter_map(|socket| socket.tcp_listing()).collect(),
            None => self.tcp.all().iter().map(|socket| socket.listing()).collect(),
        }
    }

    /// What listings say of UDP sockets, of ping sockets, or of raw ones (`None`).
    #[must_use]
    pub fn datagram_listings(&self, protocol: Option<Protocol>) -> Vec<DatagramListing> {
        if let Some(host) = self.host.get() {
            let number = match protocol {
                Some(Protocol::Udp) => &[Some(IPPROTO_UDP)][..],
                Some(Protocol::UdpLite) => &[],
                Some(Protocol::Ping) => &[Some(IPPROTO_ICMP), Some(IPPROTO_ICMPV6)],
                Some(Protocol::Raw(_)) | None => &[None],
            };
            let sockets = host.sockets.all();
            let listed = |wanted: &Option<i32>| -> Vec<_> {
                sockets.iter().filter_map(|socket| socket.datagram_listing(*wanted)).collect()
            };
            return number.iter().flat_map(listed).collect();
        }
        let sockets = match protocol {
            Some(Protocol::Udp) => self.udp.all(),
            Some(Protocol::UdpLite) => self.udplite.all(),
            Some(Protocol::Ping) => self.ping.all(),
            Some(Protocol::Raw(_)) | None => self.raw.all(),
        };
        sockets.iter().map(|socket| socket.listing()).collect()
    }

    /// Whether an address is one of the machine's.
    #[must_use]
    pub fn is_local(&self, ip: IpAddr) -> bool {
        self.links.read().owner(ip).is_some()
    }

    /// The way to `to`.
    pub fn way(&self, to: IpAddr, from: IpAddr, device: u32) -> Result<Way> {
        self.links.read().find(to, from, device)
    }

    /// Connections that were closed a moment ago.
    #[must_use]
    pub fn time_wait(&self) -> Vec<super::tcp::time_wait::Waiting> {
        self.time_wait.lock().all()
    }

    /// Whether what is sent by a device is lost; it is counted.
    pub(super) fn leads_nowhere(&self, device: u32, bytes: usize) -> bool {
        let links = self.links.read();
        let found = links.device(device).filter(|device| device.kind == DeviceKind::Dummy);
        if let Some(device) = found {
            device.counters.count(true, bytes);
        }
        found.is_some()
    }

    /// Counts bytes that went over the loopback device.
    pub(super) fn count_loopback(&self, bytes: usize) {
        let links = self.links.read();
        if let Some(lo) = links.devices.first() {
            lo.counters.loop_back(bytes);
        }
    }
}
