//! Sockets that send and receive packets: UDP, udp(7), ICMP echo without privileges, icmp(7), and raw(7).
//!
//! A socket receives from its [`inbox`]; [`send`] finds who gets a packet, [`icmp`] is what the machine itself answers to,
//! [`control`] are the control messages. Locks: `Socket` over what it is bound and connected to, `SocketQueue` over the
//! inbox.

mod arrive;
mod control;
mod icmp;
mod inbox;
mod options;
mod send;

pub(super) use arrive::answer;
pub(in crate::net) use arrive::arrive;

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicI32, AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use abi::Errno;
use abi::capability::Cap;
use abi::ioctl::TIOCOUTQ;
use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM};
use abi::socket::{
    AF_UNSPEC, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_UDP, IPPROTO_UDPLITE, MsgFlags, SO_SELECT_ERR_QUEUE,
};
use sync::{Mutex, WaitQueue};

use self::inbox::Inbox;
use super::addr::{self, Family};
use super::bind as binding;
use super::ioctl;
use super::ip_options::IpOptions;
use super::ports::{self, Lease, Rule, Table};
use super::stack::NetStack;
use crate::error::{Result, SysResult, err};
use crate::lock_order;
use crate::net::message::{Received, RecvMsg, SendMsg};
use crate::net::options::Options;
use crate::net::owner::Owner;
use crate::net::socket::{Connect, Kind, Shutdown, Socket};
use crate::task::CurrentTask;
use crate::user::UserPtr;

/// Reads control messages, for the fuzzer.
#[cfg(fuzzing)]
pub(crate) fn fuzzing(list: &[(i32, i32, Vec<u8>)]) -> bool {
    control::steering(list).is_ok()
}

/// What it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// SOCK_DGRAM.
    Udp,
    /// SOCK_DGRAM with IPPROTO_UDPLITE, udplite(7).
    UdpLite,
    /// SOCK_DGRAM with IPPROTO_ICMP: echo requests only.
    Ping,
    /// SOCK_RAW with this protocol number.
    Raw(u8),
}

/// A socket for packets.
#[derive(Debug)]
pub struct DatagramSocket {
    this: Weak<Self>,
    net: Arc<NetStack>,
    family: Family,
    protocol: Protocol,
    owner: OnceLock<Owner>,
    options: Options,
    ip: IpOptions,
    queue: WaitQueue,
    /// `sk_err`: told once.
    error: AtomicI32,
    /// SO_PEEK_OFF; negative for none.
    peek_offset: AtomicI32,
    /// ICMP_FILTER: types that a raw socket does not want, a bit each; ICMPv6 has 256.
    icmp_filter: Mutex<[u32; 8], lock_order::Leaf>,
    /// UDP_SEGMENT.
    segment: AtomicU32,
    /// UDPLITE_SEND_CSCOV and UDPLITE_RECV_CSCOV.
    coverage: [AtomicU16; 2],
    inbox: Mutex<Inbox, lock_order::SocketQueue>,
    state: Mutex<State, lock_order::Socket>,
}

#[derive(Debug)]
struct State {
    lease: Option<Lease<DatagramSocket>>,
    /// The address bind(2) asked for.
    bound: IpAddr,
    /// bind(2) asked for this very port.
    chosen_port: bool,
    /// The address that connect(2) chose to send from.
    source: Option<IpAddr>,
    remote: Option<SocketAddr>,
    shut: Shutdown,
    /// What MSG_MORE and UDP_CORK have collected.
    corked: Option<(SocketAddr, Vec<u8>)>,
}

impl Protocol {
    /// Whether it has ports that programs choose.
    fn has_ports(self) -> bool {
        matches!(self, Self::Udp | Self::UdpLite)
    }
}

impl DatagramSocket {
    /// socket(2) for these protocols.
    pub(super) fn create(
        task: &CurrentTask,
        net: Arc<NetStack>,
        family: Family,
        protocol: Protocol,
    ) -> Result<Arc<Self>> {
        match protocol {
            Protocol::Raw(_) if !task.creds().has_in(Cap::CAP_NET_RAW, &task.namespaces().net.user_ns) => {
                return err(Errno::EPERM);
            }
            Protocol::Ping if !may_ping(task, &net) => return err(Errno::EACCES),
            _ => {}
        }
        let socket = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            net: Arc::clone(&net),
            family,
            protocol,
            owner: OnceLock::new(),
            options: Options::default(),
            ip: IpOptions::default(),
            queue: WaitQueue::new(),
            error: AtomicI32::new(0),
            peek_offset: AtomicI32::new(-1),
            icmp_filter: Mutex::default(),
            segment: AtomicU32::new(0),
            coverage: [AtomicU16::new(0), AtomicU16::new(0)],
            inbox: Mutex::default(),
            state: Mutex::new(State {
                lease: None,
                bound: family.any(),
                chosen_port: false,
                source: None,
                remote: None,
                shut: Shutdown { read: false, write: false },
                corked: None,
            }),
        });
        if let Protocol::Raw(_) = protocol {
            net.raw.add(Arc::downgrade(&socket));
        }
        Ok(socket)
    }

    /// The table its port stands in; raw sockets have none.
    fn table(&self) -> Option<Table<Self>> {
        match self.protocol {
            Protocol::Udp => Some(|net| &net.udp),
            Protocol::UdpLite => Some(|net| &net.udplite),
            Protocol::Ping => Some(|net| &net.ping),
            Protocol::Raw(_) => None,
        }
    }

    fn set_error(&self, errno: Errno) {
        self.error.store(errno.raw(), Ordering::Release);
        self.queue.notify(POLLERR | POLLIN | POLLOUT);
    }

    fn take_error(&self) -> Option<Errno> {
        if self.error.load(Ordering::Acquire) == 0 {
            return None;
        }
        match self.error.swap(0, Ordering::AcqRel) {
            0 => None,
            raw => Some(Errno::from_raw(raw)),
        }
    }

    /// Takes a free port if it has none.
    fn autobind(&self, task: &CurrentTask, state: &mut State) -> Result<()> {
        let Some(table) = self.table() else { return Ok(()) };
        if state.lease.is_none() {
            let local = binding::wildcard(self.family, SocketAddr::new(state.bound, 0), &self.ip);
            let sharing = binding::sharing(task, &self.options);
            state.lease = Some(ports::bind(&self.net, table, local, sharing, Rule::Datagram, &self.this)?);
        }
        Ok(())
    }

    fn own_port(&self, state: &State) -> u16 {
        match self.protocol {
            Protocol::Raw(number) => number.into(),
            _ => state.lease.as_ref().map_or(0, |lease| lease.local().port),
        }
    }

    /// What listings say of it: address, peer, bytes that wait, owner.
    #[must_use]
    pub fn listing(&self) -> DatagramListing {
        let state = self.state.lock();
        let local = SocketAddr::new(state.source.unwrap_or(state.bound), self.own_port(&state));
        let remote = state.remote.unwrap_or_else(|| self.family.nowhere());
        let connected = state.remote.is_some();
        drop(state);
        DatagramListing {
            v6: self.family == Family::V6,
            local,
            remote,
            connected,
            waiting: u32::try_from(self.inbox.lock().charged()).unwrap_or(u32::MAX),
            owner: self.owner.get().copied().unwrap_or_default(),
        }
    }
}

/// A line of /proc/net/udp and such.
#[derive(Clone, Copy, Debug)]
pub struct DatagramListing {
    /// Whether it is an AF_INET6 socket.
    pub v6: bool,
    /// Its address.
    pub local: SocketAddr,
    /// Where it is connected to.
    pub remote: SocketAddr,
    /// Whether it is.
    pub connected: bool,
    /// Bytes that wait to be read.
    pub waiting: u32,
    /// Inode and user.
    pub owner: Owner,
}

/// Whether an address means more than one machine.
fn bind_is_many(net: &NetStack, ip: IpAddr) -> bool {
    ip.is_multicast() || binding::is_broadcast(net, ip)
}

/// Whether one of the task's groups is in net.ipv4.ping_group_range.
fn may_ping(task: &CurrentTask, net: &NetStack) -> bool {
    let first = net.settings.ping_first_group.load(Ordering::Relaxed);
    let last = net.settings.ping_last_group.load(Ordering::Relaxed);
    let creds = task.creds();
    std::iter::once(creds.egid).chain(creds.groups.iter().copied()).any(|group| (first..=last).contains(&group))
}

impl Socket for DatagramSocket {
    fn family(&self) -> u16 {
        self.family.raw()
    }

    fn kind(&self) -> Kind {
        if let Protocol::Raw(_) = self.protocol { Kind::Raw } else { Kind::Datagram }
    }

    fn protocol(&self) -> i32 {
        match (self.protocol, self.family) {
            (Protocol::Udp, _) => IPPROTO_UDP,
            (Protocol::UdpLite, _) => IPPROTO_UDPLITE,
            (Protocol::Ping, Family::V4) => IPPROTO_ICMP,
            (Protocol::Ping, Family::V6) => IPPROTO_ICMPV6,
            (Protocol::Raw(number), _) => number.into(),
        }
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn takes_filters(&self) -> bool {
        true
    }

    fn set_owner(&self, _: &CurrentTask, owner: Owner) {
        let _ = self.owner.set(owner);
    }

    fn bind(&self, task: &CurrentTask, addr: &[u8]) -> Result<()> {
        let (local, shown) = binding::local(task, &self.net, self.family, addr, &self.ip, true)?;
        let mut state = self.state.lock();
        if state.lease.is_some() {
            return err(Errno::EINVAL);
        }
        if let Some(table) = self.table() {
            let sharing = binding::sharing(task, &self.options);
            state.lease = Some(ports::bind(&self.net, table, local, sharing, Rule::Datagram, &self.this)?);
        }
        state.bound = shown.ip();
        state.chosen_port = shown.port() != 0;
        Ok(())
    }

    fn connect(&self, task: &CurrentTask, addr: &[u8]) -> Result<Connect> {
        let mut state = self.state.lock();
        if addr::family_of(addr) == Some(AF_UNSPEC) {
            state.remote = None;
            state.source = None;
            let own = Some(state.bound).filter(|ip| !ip.is_unspecified());
            if !state.chosen_port {
                state.lease = None;
            }
            if let (Some(table), Some(lease)) = (self.table(), &mut state.lease) {
                table(&self.net).set_remote(lease, own, None);
            }
            return Ok(Connect::Done);
        }
        self.autobind(task, &mut state)?;
        let to = addr::parse_datagram_peer(self.family, self.ip.v6_only(), addr)?;
        let to = addr::plain(super::tcp::named(to));
        let way = self.net.way(to.ip(), state.bound, self.device_for(to.ip()))?;
        if way.kind == super::route::BROADCAST && !self.options.flag(abi::socket::SO_BROADCAST) {
            return err(Errno::EACCES);
        }
        state.remote = Some(to);
        state.source = Some(way.source);
        if let (Some(table), Some(lease)) = (self.table(), &mut state.lease) {
            let own = Some(way.source).filter(|ip| !ip.is_unspecified());
            table(&self.net).set_remote(lease, own, Some(to));
        }
        Ok(Connect::Done)
    }

    fn local_addr(&self) -> Result<Vec<u8>> {
        let state = self.state.lock();
        Ok(self.family.show(SocketAddr::new(state.source.unwrap_or(state.bound), self.own_port(&state))))
    }

    fn peer_addr(&self) -> Result<Vec<u8>> {
        match self.state.lock().remote {
            Some(remote) => Ok(self.family.show(remote)),
            None => err(Errno::ENOTCONN),
        }
    }

    fn send(&self, task: &CurrentTask, message: &mut SendMsg<'_, '_>) -> Result<usize> {
        send::send(self, task, message)
    }

    fn recv(&self, _: &CurrentTask, message: &mut RecvMsg<'_, '_>) -> Result<Received> {
        if message.flags.contains(MsgFlags::MSG_OOB) {
            return err(Errno::EOPNOTSUPP);
        }
        if let Some(errno) = self.take_error() {
            return err(errno);
        }
        let peek_offset = self.peek_offset.load(Ordering::Relaxed);
        let received = self.inbox.lock().pop(self, message, usize::try_from(peek_offset).unwrap_or(0))?;
        match received {
            Some(received) => {
                if peek_offset >= 0 {
                    let n = i32::try_from(received.len).unwrap_or(i32::MAX);
                    let peek = message.flags.contains(MsgFlags::MSG_PEEK);
                    let to = if peek { peek_offset.saturating_add(n) } else { peek_offset.saturating_sub(n).max(0) };
                    self.peek_offset.store(to, Ordering::Relaxed);
                }
                Ok(received)
            }
            None if self.state.lock().shut.read => Ok(Received::default()),
            None => err(Errno::EAGAIN),
        }
    }

    fn recv_error(&self, message: &mut RecvMsg<'_, '_>) -> Result<Received> {
        self.inbox.lock().pop_error(self.family, message)
    }

    fn shutdown(&self, how: Shutdown) -> Result<()> {
        let mut state = self.state.lock();
        state.shut.read |= how.read;
        state.shut.write |= how.write;
        let connected = state.remote.is_some();
        drop(state);
        self.queue.notify(POLLIN | POLLRDNORM | POLLOUT | POLLHUP | POLLRDHUP);
        if connected { Ok(()) } else { err(Errno::ENOTCONN) }
    }

    fn getsockopt(&self, task: &CurrentTask, level: i32, name: i32, room: usize) -> Result<Vec<u8>> {
        options::get(self, task, level, name, room)
    }

    fn setsockopt(&self, task: &CurrentTask, level: i32, name: i32, value: &[u8]) -> Result<()> {
        options::set(self, task, level, name, value)
    }

    fn options_changed(&self) {
        if let (Some(table), Some(lease)) = (self.table(), &self.state.lock().lease) {
            table(&self.net).set_sharing(lease, &self.options);
        }
    }

    fn poll(&self) -> u32 {
        let shut = self.state.lock().shut;
        let inbox = self.inbox.lock();
        let mut events = POLLOUT | POLLWRNORM;
        if !inbox.is_empty() {
            events |= POLLIN | POLLRDNORM;
        }
        if inbox.has_errors() {
            events |= POLLERR;
            if self.options.flag(SO_SELECT_ERR_QUEUE) {
                events |= abi::poll::POLLPRI;
            }
        }
        drop(inbox);
        if self.error.load(Ordering::Acquire) != 0 {
            events |= POLLERR;
        }
        if shut.read {
            events |= POLLIN | POLLRDNORM | POLLRDHUP;
        }
        if shut.read && shut.write {
            events |= POLLHUP;
        }
        events
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn readable_bytes(&self) -> Result<usize> {
        Ok(self.inbox.lock().next_len())
    }

    fn ioctl(&self, task: &CurrentTask, cmd: u32, arg: u64) -> SysResult {
        if cmd == TIOCOUTQ {
            task.mm().write(UserPtr::new(abi::UserAddr(arg)), &0_i32)?;
            return Ok(0);
        }
        ioctl::device(task, &self.net, cmd, arg)
    }

    fn close(&self) {
        let mut state = self.state.lock();
        let lease = state.lease.take();
        state.remote = None;
        state.shut = Shutdown { read: true, write: true };
        drop(state);
        drop(lease);
        if let Protocol::Raw(_) = self.protocol {
            self.net.raw.remove(&self.this);
        }
        let dropped = std::mem::take(&mut *self.inbox.lock());
        drop(dropped);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
