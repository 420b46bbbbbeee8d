//! Who is bound to which port of a protocol, and which connections there are.
//!
//! A [`Lease`] is a socket's place in the table; dropping it gives the place up. Lock: `Leaf` over the table.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};

use abi::Errno;
use abi::socket::{SO_REUSEADDR, SO_REUSEPORT};
use sync::Mutex;

use super::stack::NetStack;
use crate::error::{Result, err};
use crate::lock_order::Leaf;
use crate::net::options::Options;

/// What a socket is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// The address; `None` for all.
    pub ip: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// Whether it hears IPv4, if the address is `None`.
    pub v4: bool,
    /// Whether it hears IPv6, if the address is `None`.
    pub v6: bool,
    /// SO_BINDTODEVICE; 0 for any.
    pub device: u32,
}

impl Local {
    /// Whether packets to this address are meant.
    #[must_use]
    pub fn hears(&self, ip: IpAddr) -> bool {
        match self.ip {
            Some(own) => own == ip,
            None => {
                if ip.is_ipv4() {
                    self.v4
                } else {
                    self.v6
                }
            }
        }
    }

    /// Whether some packet could be for both.
    fn overlaps(&self, other: &Self) -> bool {
        if self.device != 0 && other.device != 0 && self.device != other.device {
            return false;
        }
        match (self.ip, other.ip) {
            (Some(a), _) => other.hears(a),
            (None, Some(b)) => self.hears(b),
            (None, None) => (self.v4 && other.v4) || (self.v6 && other.v6),
        }
    }

    /// How well it fits a packet it hears: the more particular, the better.
    fn score(&self, ip: IpAddr) -> u32 {
        u32::from(self.ip.is_some()) * 4 + u32::from(self.device != 0) * 2 + u32::from(self.v4 != ip.is_ipv6())
    }
}

/// How a socket shares its port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// SO_REUSEADDR.
    pub address: bool,
    /// SO_REUSEPORT.
    pub port: bool,
    /// Who bound it: SO_REUSEPORT is shared with oneself only.
    pub uid: u32,
}

/// The ports of one protocol.
#[derive(Debug)]
pub struct PortTable<S> {
    table: Mutex<HashMap<u16, Port<S>>, Leaf>,
}

impl<S> Default for PortTable<S> {
    fn default() -> Self {
        Self { table: Mutex::new(HashMap::new()) }
    }
}

#[derive(Debug)]
struct Port<S> {
    bound: Vec<Binding<S>>,
    connections: HashMap<(SocketAddr, SocketAddr), Connection<S>>,
}

#[derive(Debug)]
struct Binding<S> {
    local: Local,
    sharing: Sharing,
    listening: bool,
    /// Where it is connected to (UDP), for who gets a packet.
    remote: Option<SocketAddr>,
    socket: Weak<S>,
}

#[derive(Debug)]
struct Connection<S> {
    sharing: Sharing,
    socket: Weak<S>,
}

impl<S> Default for Port<S> {
    fn default() -> Self {
        Self { bound: Vec::new(), connections: HashMap::new() }
    }
}

impl<S> Port<S> {
    fn is_free(&self) -> bool {
        self.bound.is_empty() && self.connections.is_empty()
    }
}

/// How strict the protocol is about a port that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// TCP: SO_REUSEADDR shares with all but listeners.
    Stream,
    /// UDP: SO_REUSEADDR shares.
    Datagram,
}

/// A place in the table.
#[derive(Debug)]
pub struct Lease<S> {
    net: Arc<NetStack>,
    table: fn(&NetStack) -> &PortTable<S>,
    place: Place<S>,
}

#[derive(Debug)]
enum Place<S> {
    Bound(Local, Weak<S>),
    Connected(SocketAddr, SocketAddr),
}

impl<S> Lease<S> {
    /// What is bound to; a connection's own side.
    #[must_use]
    pub fn local(&self) -> Local {
        match &self.place {
            Place::Bound(local, _) => *local,
            Place::Connected(local, _) => {
                Local { ip: Some(local.ip()), port: local.port(), v4: local.is_ipv4(), v6: local.is_ipv6(), device: 0 }
            }
        }
    }
}

impl<S> Drop for Lease<S> {
    fn drop(&mut self) {
        let mut table = (self.table)(&self.net).table.lock();
        let number = match &self.place {
            Place::Bound(local, _) => local.port,
            Place::Connected(local, _) => local.port(),
        };
        let Some(port) = table.get_mut(&number) else { return };
        match &self.place {
            Place::Bound(_, socket) => {
                if let Some(at) = port.bound.iter().position(|other| other.socket.ptr_eq(socket)) {
                    port.bound.swap_remove(at);
                }
            }
            Place::Connected(local, remote) => {
                port.connections.remove(&(*local, *remote));
            }
        }
        if port.is_free() {
            table.remove(&number);
        }
    }
}

/// Finds a protocol's table in a stack.
pub type Table<S> = fn(&NetStack) -> &PortTable<S>;

/// Binds a socket; port 0 takes a free one. EADDRINUSE if it is taken, or none is free.
pub fn bind<S>(
    net: &Arc<NetStack>,
    table: Table<S>,
    mut local: Local,
    sharing: Sharing,
    rule: Rule,
    socket: &Weak<S>,
) -> Result<Lease<S>> {
    let ports = table(net);
    let mut held = ports.table.lock();
    if local.port == 0 {
        local.port = choose(net, |number| {
            held.get(&number).is_none_or(|port| {
                !conflicts(port, &Local { port: number, ..local }, Sharing { address: false, ..sharing }, rule)
            })
        })?;
    } else if held.get(&local.port).is_some_and(|port| conflicts(port, &local, sharing, rule)) {
        return err(Errno::EADDRINUSE);
    }
    let binding = Binding { local, sharing, listening: false, remote: None, socket: Weak::clone(socket) };
    held.entry(local.port).or_default().bound.push(binding);
    drop(held);
    Ok(Lease { net: Arc::clone(net), table, place: Place::Bound(local, Weak::clone(socket)) })
}

/// Enters a connection. Without a port a free one is chosen. EADDRNOTAVAIL if there is that very connection, or no port.
pub fn connect<S>(
    net: &Arc<NetStack>,
    table: Table<S>,
    mut local: SocketAddr,
    remote: SocketAddr,
    sharing: Sharing,
    socket: &Weak<S>,
) -> Result<(Lease<S>, SocketAddr)> {
    let ports = table(net);
    let mut held = ports.table.lock();
    if local.port() == 0 {
        let unused = choose(net, |number| held.get(&number).is_none());
        let port = unused.or_else(|_| {
            // All are in use: one whose connections go elsewhere does too.
            choose(net, |number| {
                held.get(&number).is_none_or(|port| {
                    let own = SocketAddr::new(local.ip(), number);
                    port.bound.is_empty() && !port.connections.contains_key(&(own, remote))
                })
            })
        });
        match port {
            Ok(port) => local.set_port(port),
            Err(_) => return err(Errno::EADDRNOTAVAIL),
        }
    }
    let port = held.entry(local.port()).or_default();
    if port.connections.contains_key(&(local, remote)) {
        return err(Errno::EADDRNOTAVAIL);
    }
    port.connections.insert((local, remote), Connection { sharing, socket: Weak::clone(socket) });
    drop(held);
    Ok((Lease { net: Arc::clone(net), table, place: Place::Connected(local, remote) }, local))
}

/// A port of the local range, from a random one on.
fn choose(net: &NetStack, fits: impl Fn(u16) -> bool) -> Result<u16> {
    use std::sync::atomic::Ordering::Relaxed;
    let (first, last) = (net.settings.first_port.load(Relaxed), net.settings.last_port.load(Relaxed));
    let count = last.saturating_sub(first) + 1;
    let offset = random() % count;
    let port = |step: u32| u16::try_from(first + (offset + step) % count).unwrap_or(u16::MAX);
    (0..count).map(port).find(|number| fits(*number)).ok_or_else(|| Errno::EADDRINUSE.into())
}

/// A number that is hard to guess, without a host call each time.
pub(super) fn random() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let hash = KEYS.hash_one(NEXT.fetch_add(1, Ordering::Relaxed));
    u32::try_from(hash >> 32).unwrap_or(0)
}

fn conflicts<S>(port: &Port<S>, local: &Local, sharing: Sharing, rule: Rule) -> bool {
    let shares = |other: Sharing, listening: bool| {
        (sharing.address && other.address && !(rule == Rule::Stream && listening))
            || (sharing.port && other.port && sharing.uid == other.uid)
    };
    let bound = port.bound.iter().any(|other| local.overlaps(&other.local) && !shares(other.sharing, other.listening));
    bound || port.connections.iter().any(|((own, _), other)| local.hears(own.ip()) && !shares(other.sharing, false))
}

impl<S> PortTable<S> {
    /// Marks a bound socket as listening, or no longer. EADDRINUSE if another listens there and they do not share.
    pub fn set_listening(&self, lease: &Lease<S>, on: bool) -> Result<()> {
        let Place::Bound(local, socket) = &lease.place else { return Ok(()) };
        let mut held = self.table.lock();
        let Some(port) = held.get_mut(&local.port) else { return Ok(()) };
        let Some(at) = port.bound.iter().position(|other| other.socket.ptr_eq(socket)) else { return Ok(()) };
        let mine = port.bound[at].sharing;
        let taken = on
            && port.bound.iter().enumerate().any(|(i, other)| {
                i != at
                    && other.listening
                    && local.overlaps(&other.local)
                    && !(mine.port && other.sharing.port && mine.uid == other.sharing.uid)
            });
        if taken {
            return err(Errno::EADDRINUSE);
        }
        port.bound[at].listening = on;
        Ok(())
    }

    /// Tells the table how a bound socket shares now.
    pub fn set_sharing(&self, lease: &Lease<S>, options: &Options) {
        self.change(lease, |binding| {
            binding.sharing.address = options.flag(SO_REUSEADDR);
            binding.sharing.port = options.flag(SO_REUSEPORT);
        });
    }

    /// Tells the table where a bound socket is connected to.
    pub fn set_remote(&self, lease: &mut Lease<S>, own: Option<IpAddr>, remote: Option<SocketAddr>) {
        self.change(lease, |binding| {
            binding.remote = remote;
            binding.local.ip = own;
        });
        if let Place::Bound(local, _) = &mut lease.place {
            local.ip = own;
        }
    }

    fn change(&self, lease: &Lease<S>, change: impl FnOnce(&mut Binding<S>)) {
        let Place::Bound(local, socket) = &lease.place else { return };
        let mut held = self.table.lock();
        let port = held.get_mut(&local.port);
        if let Some(binding) = port.and_then(|port| port.bound.iter_mut().find(|other| other.socket.ptr_eq(socket))) {
            change(binding);
        }
    }

    /// The listener for a connection to `to` from `from`. Of several that share the port one is chosen by the caller's
    /// address.
    pub fn listener(&self, to: SocketAddr, from: SocketAddr) -> Option<Arc<S>> {
        let held = self.table.lock();
        let port = held.get(&to.port())?;
        let fitting = || port.bound.iter().filter(|b| b.listening && b.local.hears(to.ip()));
        pick(fitting, to.ip(), from)
    }

    /// The socket that gets a datagram to `to` from `from`.
    pub fn receiver(&self, to: SocketAddr, from: SocketAddr, device: u32) -> Option<Arc<S>> {
        let held = self.table.lock();
        let port = held.get(&to.port())?;
        let hears = |b: &&Binding<S>| {
            b.local.hears(to.ip())
                && (b.local.device == 0 || b.local.device == device)
                && b.remote.is_none_or(|remote| remote == from)
        };
        let connected = port.bound.iter().filter(hears).any(|b| b.remote.is_some());
        pick(|| port.bound.iter().filter(hears).filter(|b| !connected || b.remote.is_some()), to.ip(), from)
    }

    /// All sockets that get a datagram to many (broadcast, multicast).
    pub fn receivers(&self, to: SocketAddr, from: SocketAddr, device: u32) -> Vec<Arc<S>> {
        let held = self.table.lock();
        let Some(port) = held.get(&to.port()) else { return Vec::new() };
        let hears = |b: &&Binding<S>| {
            b.local.hears(to.ip())
                && (b.local.device == 0 || b.local.device == device)
                && b.remote.is_none_or(|remote| remote == from)
        };
        port.bound.iter().filter(hears).filter_map(|b| b.socket.upgrade()).collect()
    }

    /// The socket of a connection.
    pub fn connection(&self, local: SocketAddr, remote: SocketAddr) -> Option<Arc<S>> {
        let held = self.table.lock();
        held.get(&local.port())?.connections.get(&(local, remote))?.socket.upgrade()
    }

    /// All sockets in the table, each once.
    pub fn all(&self) -> Vec<Arc<S>> {
        let held = self.table.lock();
        let mut all: Vec<Arc<S>> = Vec::new();
        for port in held.values() {
            all.extend(port.bound.iter().filter_map(|b| b.socket.upgrade()));
            all.extend(port.connections.values().filter_map(|c| c.socket.upgrade()));
        }
        drop(held);
        all.sort_by_key(Arc::as_ptr);
        all.dedup_by(|a, b| Arc::ptr_eq(a, b));
        all
    }
}

/// The best of those that fit; among equals that share the port, the one that the sender's address chooses.
fn pick<'a, S: 'a, I: Iterator<Item = &'a Binding<S>>>(
    fitting: impl Fn() -> I,
    to: IpAddr,
    from: SocketAddr,
) -> Option<Arc<S>> {
    let best = fitting().map(|b| b.local.score(to)).max()?;
    let equals = || fitting().filter(|b| b.local.score(to) == best);
    let count = equals().count();
    if count > 1 && equals().all(|b| b.sharing.port) {
        let hash = u32::from(from.port()).wrapping_mul(0x9e37_79b1) >> 8;
        let at = usize::try_from(hash).unwrap_or(0) % count;
        return equals().nth(at)?.socket.upgrade();
    }
    // Of those that only share the address, the last one bound hears.
    equals().last()?.socket.upgrade()
}
