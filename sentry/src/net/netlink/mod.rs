//! AF_NETLINK, netlink(7).
//!
//! A request is answered while it is sent: the answers wait in the socket's queue, which is bounded. [`route`] answers for
//! NETLINK_ROUTE, [`diag`] for NETLINK_SOCK_DIAG, [`generic`] for NETLINK_GENERIC; events of NETLINK_KOBJECT_UEVENT may be listened for and never come.
//! Locks: `Socket` over a socket's name and queue, one at a time.

mod diag;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod generic;
mod message;
mod route;

use std::any::Any;
use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use abi::Errno;
use abi::netlink::{
    NETLINK_ADD_MEMBERSHIP, NETLINK_BROADCAST_ERROR, NETLINK_CAP_ACK, NETLINK_DROP_MEMBERSHIP, NETLINK_EXT_ACK,
    NETLINK_GET_STRICT_CHK, NETLINK_LIST_MEMBERSHIPS, NETLINK_LISTEN_ALL_NSID, NETLINK_NO_ENOBUFS, NETLINK_PKTINFO,
    NLM_F_ACK, NLM_F_REQUEST, NLMSG_MIN_TYPE,
};
use abi::poll::{POLLERR, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use abi::sockaddr::SockaddrNl;
use abi::socket::{
    AF_NETLINK, MsgFlags, NETLINK_GENERIC, NETLINK_KOBJECT_UEVENT, NETLINK_ROUTE, NETLINK_SOCK_DIAG, SO_ERROR,
    SOL_NETLINK, SOL_SOCKET,
};
use sync::{Mutex, WaitQueue};
use zerocopy::{FromBytes, IntoBytes};

use self::message::{Reply, Request};
use super::filter::View;
use super::inet::stack::NetStack;
use super::message::{Received, RecvMsg, SendMsg};
use super::options::Options;
use super::owner::Owner;
use super::socket::{Connect, Kind, Shutdown, Socket};
use crate::error::{Result, err};
use crate::lock_order;
use crate::task::CurrentTask;

/// The longest request.
const MAX_REQUEST: usize = 1 << 17;
/// How much may wait before further requests are refused.
const MAX_WAITING: usize = 4 << 20;
/// The groups a protocol has.
const GROUPS: u32 = 64;

/// A netlink socket.
#[derive(Debug)]
pub struct NetlinkSocket {
    this: Weak<Self>,
    net: Arc<NetStack>,
    kind: Kind,
    protocol: i32,
    owner: OnceLock<Owner>,
    options: Options,
    queue: WaitQueue,
    /// A bit for each option of SOL_NETLINK that is on.
    flags: AtomicU32,
    state: Mutex<State, lock_order::Socket>,
}

#[derive(Debug, Default)]
struct State {
    /// The port, once it is bound.
    port: Option<u32>,
    /// A bit for each group.
    groups: u64,
    /// Where a send without an address goes.
    peer: u32,
    waiting: VecDeque<Datagram>,
    bytes: usize,
    /// Something was lost (ENOBUFS, once).
    overrun: bool,
}

#[derive(Debug)]
struct Datagram {
    bytes: Vec<u8>,
    group: u32,
}

/// socket(2) for AF_NETLINK.
pub(super) fn create(task: &CurrentTask, kind: Kind, protocol: i32) -> Result<Arc<dyn Socket>> {
    if kind != Kind::Raw && kind != Kind::Datagram {
        return err(Errno::ESOCKTNOSUPPORT);
    }
    match protocol {
        NETLINK_ROUTE | NETLINK_SOCK_DIAG | NETLINK_KOBJECT_UEVENT | NETLINK_GENERIC => {}
        _ => return err(Errno::EPROTONOSUPPORT),
    }
    let net = NetStack::of(task);
    let socket = Arc::new_cyclic(|this| NetlinkSocket {
        this: this.clone(),
        net: Arc::clone(&net),
        kind,
        protocol,
        owner: OnceLock::new(),
        options: Options::default(),
        queue: WaitQueue::new(),
        flags: AtomicU32::new(0),
        state: Mutex::default(),
    });
    net.netlink.add(Arc::downgrade(&socket));
    Ok(socket)
}

/// A line of /proc/net/netlink.
#[derive(Clone, Copy, Debug)]
pub struct NetlinkListing {
    /// NETLINK_*.
    pub protocol: i32,
    /// Its port.
    pub port: u32,
    /// Its groups.
    pub groups: u32,
    /// Bytes that wait.
    pub waiting: usize,
    /// Inode and user.
    pub owner: Owner,
}

impl NetlinkSocket {
    /// What listings say of it.
    #[must_use]
    pub fn listing(&self) -> NetlinkListing {
        let state = self.state.lock();
        NetlinkListing {
            protocol: self.protocol,
            port: state.port.unwrap_or(0),
            groups: u32::try_from(state.groups & u64::from(u32::MAX)).unwrap_or(0),
            waiting: state.bytes,
            owner: self.owner.get().copied().unwrap_or_default(),
        }
    }

    /// Its port; one is chosen if it has none: the process's number, or else one that no process can have.
    fn port(&self, task: &CurrentTask) -> u32 {
        if let Some(port) = self.state.lock().port {
            return port;
        }
        let taken: HashSet<u32> = self
            .net
            .netlink
            .all()
            .iter()
            .filter(|other| other.protocol == self.protocol)
            .filter_map(|other| other.state.lock().port)
            .collect();
        let own = task.group().tgid_in(task.pid_ns()).cast_unsigned();
        let free = std::iter::once(own).chain((0..=u32::MAX >> 1).map(|n| u32::MAX - 4096 - n));
        let port = free.into_iter().find(|port| !taken.contains(port)).unwrap_or(u32::MAX);
        *self.state.lock().port.get_or_insert(port)
    }

    /// Answers one request.
    fn answer(&self, task: &CurrentTask, request: &Request<'_>, port: u32) {
        if request.header.nlmsg_flags & NLM_F_REQUEST == 0 || request.header.nlmsg_type < NLMSG_MIN_TYPE {
            if request.has(NLM_F_ACK) {
                let mut reply = Reply::new(request, port);
                reply.acknowledge(request, &Ok(()), self.has(NETLINK_CAP_ACK));
                self.deliver(reply.into_datagrams(), 0);
            }
            return;
        }
        let mut reply = Reply::new(request, port);
        let result = match self.protocol {
            NETLINK_ROUTE => route::answer(task, &self.net, request, &mut reply),
            NETLINK_SOCK_DIAG => diag::answer(&self.net, request, &mut reply),
            NETLINK_GENERIC => generic::answer(task, request, &mut reply),
            _ => err(Errno::EOPNOTSUPP),
        };
        match result {
            Ok(()) if request.is_dump() => reply.finish(),
            Ok(()) if !request.has(NLM_F_ACK) => {}
            result => reply.acknowledge(request, &result, self.has(NETLINK_CAP_ACK)),
        }
        self.deliver(reply.into_datagrams(), 0);
    }

    fn deliver(&self, datagrams: Vec<Vec<u8>>, group: u32) {
        let kept = datagrams.into_iter().filter_map(|mut bytes| {
            let view = View { whole: &bytes, ..View::default() };
            let most = self.options.filter().verdict(|run| run(view))?;
            bytes.truncate(most);
            Some(bytes)
        });
        let kept: Vec<_> = kept.collect();
        let mut state = self.state.lock();
        for bytes in kept {
            if group != 0 && state.bytes + bytes.len() > self.options.receive_buffer() {
                state.overrun = !self.has(NETLINK_NO_ENOBUFS);
                break;
            }
            state.bytes += bytes.len();
            state.waiting.push_back(Datagram { bytes, group });
        }
        drop(state);
        self.queue.notify(POLLIN | POLLRDNORM);
    }

    /// Whether a message of that length fits.
    #[must_use]
    pub fn has_room(&self, len: usize) -> bool {
        self.state.lock().bytes + len <= self.options.receive_buffer()
    }

    /// A message that the kernel sends by itself and that is no netlink message (mq_notify). It is lost if too much waits.
    pub fn post(&self, bytes: Vec<u8>) {
        if self.state.lock().bytes <= MAX_WAITING {
            self.deliver(vec![bytes], 0);
        }
    }

    fn has(&self, option: i32) -> bool {
        self.flags.load(Ordering::Relaxed) >> option & 1 != 0
    }

    fn join(&self, group: u32, join: bool) -> Result<()> {
        if group == 0 || group > GROUPS {
            return err(Errno::EINVAL);
        }
        let bit = 1 << (group - 1);
        let mut state = self.state.lock();
        state.groups = if join { state.groups | bit } else { state.groups & !bit };
        Ok(())
    }
}

/// Tells all who listen for a group of NETLINK_ROUTE.
fn tell(net: &NetStack, group: u32, datagrams: &[Vec<u8>]) {
    for socket in net.netlink.all() {
        let listens = socket.protocol == NETLINK_ROUTE && socket.state.lock().groups >> (group - 1) & 1 != 0;
        if listens {
            socket.deliver(datagrams.to_vec(), group);
        }
    }
}

fn parse(addr: &[u8]) -> Result<SockaddrNl> {
    let (addr, _) = SockaddrNl::read_from_prefix(addr).map_err(|_| Errno::EINVAL)?;
    if addr.nl_family == AF_NETLINK { Ok(addr) } else { err(Errno::EINVAL) }
}

impl Socket for NetlinkSocket {
    fn family(&self) -> u16 {
        AF_NETLINK
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn protocol(&self) -> i32 {
        self.protocol
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
        let addr = parse(addr)?;
        if let Some(port) = self.state.lock().port
            && port != addr.nl_pid
        {
            return err(Errno::EINVAL);
        }
        if addr.nl_pid == 0 {
            self.port(task);
        } else {
            let taken = self.net.netlink.all().iter().any(|other| {
                !std::ptr::eq(&raw const **other, self)
                    && other.protocol == self.protocol
                    && other.state.lock().port == Some(addr.nl_pid)
            });
            if taken {
                return err(Errno::EADDRINUSE);
            }
            self.state.lock().port = Some(addr.nl_pid);
        }
        let mut state = self.state.lock();
        state.groups = state.groups & !u64::from(u32::MAX) | u64::from(addr.nl_groups);
        Ok(())
    }

    fn connect(&self, task: &CurrentTask, addr: &[u8]) -> Result<Connect> {
        if addr.starts_with(&abi::socket::AF_UNSPEC.to_ne_bytes()) {
            self.state.lock().peer = 0;
            return Ok(Connect::Done);
        }
        let addr = parse(addr)?;
        self.port(task);
        self.state.lock().peer = addr.nl_pid;
        Ok(Connect::Done)
    }

    fn local_addr(&self) -> Result<Vec<u8>> {
        let state = self.state.lock();
        let addr = SockaddrNl {
            nl_family: AF_NETLINK,
            nl_pid: state.port.unwrap_or(0),
            nl_groups: u32::try_from(state.groups & u64::from(u32::MAX)).unwrap_or(0),
            ..SockaddrNl::default()
        };
        Ok(addr.as_bytes().to_vec())
    }

    fn peer_addr(&self) -> Result<Vec<u8>> {
        let addr = SockaddrNl { nl_family: AF_NETLINK, nl_pid: self.state.lock().peer, ..SockaddrNl::default() };
        Ok(addr.as_bytes().to_vec())
    }

    fn send(&self, task: &CurrentTask, message: &mut SendMsg<'_, '_>) -> Result<usize> {
        if message.flags.contains(MsgFlags::MSG_OOB) {
            return err(Errno::EOPNOTSUPP);
        }
        let to = match message.to {
            Some(addr) => parse(addr)?.nl_pid,
            None => self.state.lock().peer,
        };
        let len = message.src.remaining();
        if len > MAX_REQUEST {
            return err(Errno::EMSGSIZE);
        }
        let port = self.port(task);
        let mut bytes = vec![0; len];
        message.src.take_exact(&mut bytes)?;
        if to != 0 || self.protocol == NETLINK_KOBJECT_UEVENT {
            // Programs have nothing to say to each other this way.
            return err(Errno::ECONNREFUSED);
        }
        for request in message::requests(&bytes) {
            if self.state.lock().bytes > MAX_WAITING {
                return err(Errno::ENOBUFS);
            }
            self.answer(task, &request, port);
        }
        Ok(len)
    }

    fn recv(&self, _: &CurrentTask, message: &mut RecvMsg<'_, '_>) -> Result<Received> {
        if message.flags.contains(MsgFlags::MSG_OOB) {
            return err(Errno::EOPNOTSUPP);
        }
        let mut state = self.state.lock();
        if std::mem::take(&mut state.overrun) {
            return err(Errno::ENOBUFS);
        }
        let Some(first) = state.waiting.front() else { return err(Errno::EAGAIN) };
        let n = if first.bytes.is_empty() { 0 } else { message.dst.put(&first.bytes)? };
        let from = SockaddrNl {
            nl_family: AF_NETLINK,
            nl_groups: if first.group == 0 { 0 } else { 1_u32.checked_shl(first.group - 1).unwrap_or(0) },
            ..SockaddrNl::default()
        };
        let mut received = Received {
            len: if message.flags.contains(MsgFlags::MSG_TRUNC) { first.bytes.len() } else { n },
            from: Some(from.as_bytes().to_vec()),
            flags: if n < first.bytes.len() { MsgFlags::MSG_TRUNC } else { MsgFlags::empty() },
            ..Received::default()
        };
        if self.has(NETLINK_PKTINFO) {
            received.control.push((SOL_NETLINK, NETLINK_PKTINFO, first.group.to_ne_bytes().to_vec()));
        }
        if !message.flags.contains(MsgFlags::MSG_PEEK)
            && let Some(taken) = state.waiting.pop_front()
        {
            state.bytes -= taken.bytes.len();
        }
        Ok(received)
    }

    fn shutdown(&self, _: Shutdown) -> Result<()> {
        err(Errno::EOPNOTSUPP)
    }

    fn getsockopt(&self, _: &CurrentTask, level: i32, name: i32, _: usize) -> Result<Vec<u8>> {
        match (level, name) {
            (SOL_SOCKET, SO_ERROR) => {
                let overrun = std::mem::take(&mut self.state.lock().overrun);
                Ok(if overrun { Errno::ENOBUFS.raw() } else { 0 }.to_ne_bytes().to_vec())
            }
            (SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS) => Ok(self.state.lock().groups.to_ne_bytes().to_vec()),
            (SOL_NETLINK, NETLINK_PKTINFO | NETLINK_BROADCAST_ERROR | NETLINK_NO_ENOBUFS | NETLINK_CAP_ACK)
            | (SOL_NETLINK, NETLINK_EXT_ACK | NETLINK_GET_STRICT_CHK) => {
                Ok(i32::from(self.has(name)).to_ne_bytes().to_vec())
            }
            _ => err(Errno::ENOPROTOOPT),
        }
    }

    fn setsockopt(&self, _: &CurrentTask, level: i32, name: i32, value: &[u8]) -> Result<()> {
        if level != SOL_NETLINK {
            return err(Errno::ENOPROTOOPT);
        }
        let value = value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)).ok_or(Errno::EINVAL)?;
        match name {
            NETLINK_ADD_MEMBERSHIP | NETLINK_DROP_MEMBERSHIP => self.join(value, name == NETLINK_ADD_MEMBERSHIP),
            NETLINK_PKTINFO
            | NETLINK_BROADCAST_ERROR
            | NETLINK_NO_ENOBUFS
            | NETLINK_CAP_ACK
            | NETLINK_EXT_ACK
            | NETLINK_GET_STRICT_CHK => {
                let bit = 1 << name;
                if value != 0 {
                    self.flags.fetch_or(bit, Ordering::Relaxed);
                } else {
                    self.flags.fetch_and(!bit, Ordering::Relaxed);
                }
                Ok(())
            }
            NETLINK_LISTEN_ALL_NSID => err(Errno::EPERM),
            _ => err(Errno::ENOPROTOOPT),
        }
    }

    fn poll(&self) -> u32 {
        let state = self.state.lock();
        let mut events = POLLOUT | POLLWRNORM;
        if !state.waiting.is_empty() {
            events |= POLLIN | POLLRDNORM;
        }
        if state.overrun {
            events |= POLLERR;
        }
        events
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn readable_bytes(&self) -> Result<usize> {
        Ok(self.state.lock().waiting.front().map_or(0, |datagram| datagram.bytes.len()))
    }

    fn ioctl(&self, task: &CurrentTask, cmd: u32, arg: u64) -> crate::error::SysResult {
        super::inet::ioctl::device(task, &self.net, cmd, arg)
    }

    fn close(&self) {
        self.net.netlink.remove(&self.this);
        let dropped = std::mem::take(&mut *self.state.lock());
        drop(dropped);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
