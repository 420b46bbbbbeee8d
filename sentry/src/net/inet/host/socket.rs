//! A socket of the host behind our file. The host's never waits: who has to is told by the thread that watches files of the
//! host, and tries again.

use std::any::Any;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use abi::Errno;
use abi::capability::Cap;
use abi::ioctl::{SIOCATMARK, TIOCOUTQ};
use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDHUP, POLLRDNORM, POLLWRNORM};
use abi::socket::{
    AF_UNSPEC, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP, MsgFlags, SHUT_RD, SHUT_RDWR,
    SHUT_WR, SO_ACCEPTCONN, SO_ERROR, SO_LINGER, SO_RCVTIMEO, SO_SNDTIMEO, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_TCP,
    SOL_UDP, TCP_INFO,
};
use host::{file, net, readiness};
use sync::WaitQueue;

use super::super::addr::{self, Family};
use super::super::stack::NetStack;
use super::super::{datagram::DatagramListing, ioctl, tcp::TcpListing};
use super::options::{READABLE, SETTABLE, has};
use crate::error::{Result, SysResult, err};
use crate::fs::hostfd::poller::{self, Watched};
use crate::net::message::{Received, RecvMsg, SendMsg};
use crate::net::options::Options;
use crate::net::owner::Owner;
use crate::net::socket::{Connect, Kind, Shutdown, Socket};
use crate::task::CurrentTask;
use crate::user::UserPtr;

/// The longest datagram, and more than any protocol takes.
const DATAGRAM: usize = 1 << 17;
/// What a send may ask of the host.
const SEND_FLAGS: MsgFlags = MsgFlags::MSG_OOB
    .union(MsgFlags::MSG_DONTROUTE)
    .union(MsgFlags::MSG_EOR)
    .union(MsgFlags::MSG_CONFIRM)
    .union(MsgFlags::MSG_MORE)
    .union(MsgFlags::MSG_FASTOPEN);
/// What a receive may ask of it.
const RECEIVE_FLAGS: MsgFlags = MsgFlags::MSG_OOB.union(MsgFlags::MSG_PEEK).union(MsgFlags::MSG_TRUNC);

/// A socket of the host.
#[derive(Debug)]
pub struct HostSocket {
    this: Weak<Self>,
    net: Arc<NetStack>,
    fd: OwnedFd,
    family: Family,
    kind: Kind,
    protocol: i32,
    owner: OnceLock<Owner>,
    /// Only the timeouts are ours: the host's socket never waits.
    options: Options,
    token: u64,
    watched: AtomicBool,
    queue: WaitQueue,
}

impl HostSocket {
    /// socket(2).
    pub(in crate::net::inet) fn create(
        task: &CurrentTask,
        net: &Arc<NetStack>,
        family: Family,
        kind: Kind,
        protocol: i32,
    ) -> Result<Arc<dyn Socket>> {
        let echo = if family == Family::V4 { IPPROTO_ICMP } else { IPPROTO_ICMPV6 };
        let protocol = match (kind, protocol) {
            (Kind::Stream, IPPROTO_IP | IPPROTO_TCP) => IPPROTO_TCP,
            (Kind::Datagram, IPPROTO_IP | IPPROTO_UDP) => IPPROTO_UDP,
            (Kind::Datagram, number) if number == echo => echo,
            (Kind::Raw, 1..=255) => {
                if !task.creds().has_in(Cap::CAP_NET_RAW, &task.namespaces().net.user_ns) {
                    return err(Errno::EPERM);
                }
                protocol
            }
            (Kind::SeqPacket, _) => return err(Errno::ESOCKTNOSUPPORT),
            (_, 0..=262) => return err(Errno::EPROTONOSUPPORT),
            _ => return err(Errno::EINVAL),
        };
        let fd = net::open(family.raw(), kind.raw(), protocol)?;
        Ok(Self::with(net, fd, family, kind, protocol))
    }

    fn with(net: &Arc<NetStack>, fd: OwnedFd, family: Family, kind: Kind, protocol: i32) -> Arc<Self> {
        let socket = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            net: Arc::clone(net),
            fd,
            family,
            kind,
            protocol,
            owner: OnceLock::new(),
            options: Options::default(),
            token: poller::token(),
            watched: AtomicBool::new(false),
            queue: WaitQueue::new(),
        });
        if let Some(host) = net.host() {
            host.sockets.add(Arc::downgrade(&socket));
        }
        socket
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// From now on the queue hears of all that happens.
    fn watch(&self) {
        if !self.watched.swap(true, Ordering::Relaxed)
            && let Some(this) = self.this.upgrade()
        {
            poller::watch(&(this as Arc<dyn Watched>), self.token);
        }
    }

    /// Passes a result on; EAGAIN means that somebody is going to wait.
    fn told<T>(&self, result: Result<T>) -> Result<T> {
        if matches!(&result, Err(e) if e.is(Errno::EAGAIN)) {
            self.watch();
        }
        result
    }

    /// An address of a family that such a socket may be told of.
    fn check(&self, addr: &[u8]) -> Result<()> {
        match addr::family_of(addr) {
            Some(AF_UNSPEC | abi::socket::AF_INET) => Ok(()),
            Some(abi::socket::AF_INET6) if self.family == Family::V6 => Ok(()),
            Some(_) => err(Errno::EAFNOSUPPORT),
            None => err(Errno::EINVAL),
        }
    }

    fn receive_message(&self, message: &mut RecvMsg<'_, '_>, flags: MsgFlags) -> Result<Received> {
        let mut buffer = vec![0; message.dst.remaining().min(DATAGRAM)];
        let flags = flags.bits().cast_signed();
        let got = self.told(net::receive(self.fd(), &mut buffer, flags).map_err(Into::into))?;
        let there = buffer.get(..got.len.min(buffer.len())).unwrap_or_default();
        if !there.is_empty() {
            message.dst.put(there)?;
        }
        let told = MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC | MsgFlags::MSG_OOB | MsgFlags::MSG_ERRQUEUE;
        Ok(Received {
            len: got.len,
            from: Some(got.from).filter(|from| !from.is_empty()),
            flags: MsgFlags::from_bits_retain(got.flags.cast_unsigned()) & told,
            control: got.control,
            ..Received::default()
        })
    }

    fn is_stream(&self) -> bool {
        self.kind == Kind::Stream
    }

    /// Its line in listings of TCP.
    pub(in crate::net::inet) fn tcp_listing(&self) -> Option<TcpListing> {
        let info = net::option(self.fd(), SOL_TCP, TCP_INFO, 32).ok().filter(|_| self.is_stream())?;
        let word =
            |at: usize| info.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_ne_bytes(*bytes));
        let state = info.first().copied().unwrap_or(7);
        let (receive_queue, send_queue) = if state == 10 {
            (word(24), word(28))
        } else {
            let count = |n: std::result::Result<i32, Errno>| n.map_or(0, i32::cast_unsigned);
            (count(file::readable_bytes(self.fd())), count(net::number(self.fd(), TIOCOUTQ)))
        };
        Some(TcpListing {
            v6: self.family == Family::V6,
            local: self.address(net::local_addr(self.fd())),
            remote: self.address(net::peer_addr(self.fd())),
            state,
            receive_queue,
            send_queue,
            owner: self.owner.get().copied().unwrap_or_default(),
        })
    }

    /// Its line in listings of UDP, ICMP and raw sockets.
    pub(in crate::net::inet) fn datagram_listing(&self, protocol: Option<i32>) -> Option<DatagramListing> {
        let raw = self.kind == Kind::Raw;
        let wanted = protocol.map_or(raw, |protocol| !raw && protocol == self.protocol);
        let peer = net::peer_addr(self.fd());
        (wanted && !self.is_stream()).then(|| DatagramListing {
            v6: self.family == Family::V6,
            local: self.address(net::local_addr(self.fd())),
            connected: peer.is_ok(),
            remote: self.address(peer),
            waiting: file::readable_bytes(self.fd()).map_or(0, i32::cast_unsigned),
            owner: self.owner.get().copied().unwrap_or_default(),
        })
    }

    fn address(&self, bytes: std::result::Result<Vec<u8>, Errno>) -> SocketAddr {
        let parsed = bytes.ok().and_then(|bytes| addr::parse_peer(self.family, &bytes).ok());
        parsed.unwrap_or_else(|| self.family.nowhere())
    }
}

impl Watched for HostSocket {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.fd()
    }

    fn queue(&self) -> &WaitQueue {
        &self.queue
    }
}

impl Socket for HostSocket {
    fn family(&self) -> u16 {
        self.family.raw()
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

    fn has_option(&self, name: i32) -> bool {
        matches!(name, SO_RCVTIMEO | SO_SNDTIMEO)
    }

    fn set_owner(&self, _: &CurrentTask, owner: Owner) {
        let _ = self.owner.set(owner);
    }

    fn bind(&self, task: &CurrentTask, addr: &[u8]) -> Result<()> {
        self.check(addr)?;
        let port = addr.get(2..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u16::from_be_bytes(*bytes));
        let lowest = self.net.settings.unprivileged_port.load(Ordering::Relaxed);
        let may = || task.creds().has_in(Cap::CAP_NET_BIND_SERVICE, &task.namespaces().net.user_ns);
        if self.kind != Kind::Raw && port != 0 && u32::from(port) < lowest && !may() {
            return err(Errno::EACCES);
        }
        Ok(net::bind(self.fd(), addr)?)
    }

    fn connect(&self, _: &CurrentTask, addr: &[u8]) -> Result<Connect> {
        self.check(addr)?;
        self.watch();
        match net::connect(self.fd(), addr) {
            Ok(()) => Ok(Connect::Done),
            Err(Errno::EINPROGRESS) => Ok(Connect::InProgress),
            Err(Errno::EALREADY) => Ok(Connect::Already),
            // No port is free: nothing to wait for.
            Err(Errno::EAGAIN) => err(Errno::EADDRNOTAVAIL),
            Err(e) => err(e),
        }
    }

    fn finish_connect(&self) -> Result<()> {
        if readiness::now(self.fd(), POLLOUT) & (POLLOUT | POLLERR | POLLHUP) == 0 {
            self.watch();
            return err(Errno::EAGAIN);
        }
        let error = net::option(self.fd(), SOL_SOCKET, SO_ERROR, 4)?;
        match error.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes)) {
            0 => Ok(()),
            number => err(Errno::from_raw(number)),
        }
    }

    fn listen(&self, _: &CurrentTask, backlog: i32) -> Result<()> {
        Ok(net::listen(self.fd(), backlog)?)
    }

    fn is_listening(&self) -> bool {
        let value = net::option(self.fd(), SOL_SOCKET, SO_ACCEPTCONN, 4);
        value.is_ok_and(|bytes| bytes.iter().any(|byte| *byte != 0))
    }

    fn accept(&self) -> Result<Arc<dyn Socket>> {
        let (fd, _) = self.told(net::accept(self.fd()).map_err(Into::into))?;
        Ok(Self::with(&self.net, fd, self.family, self.kind, self.protocol))
    }

    fn local_addr(&self) -> Result<Vec<u8>> {
        Ok(net::local_addr(self.fd())?)
    }

    fn peer_addr(&self) -> Result<Vec<u8>> {
        Ok(net::peer_addr(self.fd())?)
    }

    fn send(&self, _: &CurrentTask, message: &mut SendMsg<'_, '_>) -> Result<usize> {
        if let Some(to) = message.to {
            self.check(to)?;
        }
        let flags = (message.flags & SEND_FLAGS).bits().cast_signed();
        let plain = message.to.is_none() && message.ancillary.control.is_empty();
        if self.is_stream() && plain && message.src.remaining() > 0 {
            let all = message.src.remaining();
            let flags = flags | MsgFlags::MSG_DONTWAIT.bits().cast_signed();
            let sent = message.src.drain(all, |piece| Ok(piece.send_fd(self.fd(), flags)?));
            return self.told(sent);
        }
        let len = message.src.remaining();
        if len > DATAGRAM && !self.is_stream() {
            return err(Errno::EMSGSIZE);
        }
        let control = &message.ancillary.control;
        if control.iter().any(|(level, ..)| !matches!(*level, SOL_IP | SOL_IPV6 | SOL_UDP)) {
            return err(Errno::EINVAL);
        }
        let mut bytes = vec![0; len.min(DATAGRAM)];
        let mut source = message.src.clone();
        source.take_exact(&mut bytes)?;
        let sent = self.told(net::send(self.fd(), &bytes, message.to, control, flags).map_err(Into::into))?;
        // What the host did not take is left for the next attempt.
        let mut taken = vec![0; sent.min(bytes.len())];
        message.src.take(&mut taken)?;
        Ok(sent)
    }

    fn recv(&self, _: &CurrentTask, message: &mut RecvMsg<'_, '_>) -> Result<Received> {
        let flags = message.flags & RECEIVE_FLAGS;
        if !self.is_stream() {
            return self.receive_message(message, flags);
        }
        if !flags.is_empty() || message.wants_ancillary {
            let mut received = self.receive_message(message, flags)?;
            received.from = None;
            return Ok(received);
        }
        let limit = message.dst.remaining();
        let wait = MsgFlags::MSG_DONTWAIT.bits().cast_signed();
        let len = self.told(message.dst.fill(limit, |piece| Ok(piece.recv_fd(self.fd(), wait)?)))?;
        Ok(Received { len, ..Received::default() })
    }

    fn recv_error(&self, message: &mut RecvMsg<'_, '_>) -> Result<Received> {
        self.receive_message(message, MsgFlags::MSG_ERRQUEUE)
    }

    fn shutdown(&self, how: Shutdown) -> Result<()> {
        let how = match (how.read, how.write) {
            (true, true) => SHUT_RDWR,
            (true, false) => SHUT_RD,
            (false, _) => SHUT_WR,
        };
        let result = net::shutdown(self.fd(), how.cast_signed());
        // The host tells of most of it, but not of all.
        self.queue.notify(POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
        Ok(result?)
    }

    fn getsockopt(&self, _: &CurrentTask, level: i32, name: i32, room: usize) -> Result<Vec<u8>> {
        if !has(SETTABLE, level, name) && !has(READABLE, level, name) {
            return err(Errno::ENOPROTOOPT);
        }
        if (level, name) == (SOL_SOCKET, SO_LINGER)
            && let Some(bytes) = self.options.get(SO_LINGER)
        {
            return Ok(bytes);
        }
        Ok(net::option(self.fd(), level, name, room.min(4096))?)
    }

    fn setsockopt(&self, _: &CurrentTask, level: i32, name: i32, value: &[u8]) -> Result<()> {
        if !has(SETTABLE, level, name) {
            return err(Errno::ENOPROTOOPT);
        }
        if (level, name) == (SOL_SOCKET, SO_LINGER) {
            self.options.set(SO_LINGER, value, false)?;
            // The host would make our close(2) wait for as long as it is told to: only "at once" is passed on.
            if self.options.linger().is_some_and(|seconds| seconds > 0) {
                return Ok(());
            }
        }
        Ok(net::set_option(self.fd(), level, name, value)?)
    }

    fn poll(&self) -> u32 {
        const ALL: u32 = POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM;
        self.watch();
        readiness::now(self.fd(), ALL)
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn readable_bytes(&self) -> Result<usize> {
        Ok(usize::try_from(file::readable_bytes(self.fd())?).unwrap_or(0))
    }

    fn ioctl(&self, task: &CurrentTask, cmd: u32, arg: u64) -> SysResult {
        if !matches!(cmd, SIOCATMARK | TIOCOUTQ) {
            return ioctl::device(task, &self.net, cmd, arg);
        }
        let value = net::number(self.fd(), cmd)?;
        task.mm().write(UserPtr::new(abi::UserAddr(arg)), &value)?;
        Ok(0)
    }

    fn close(&self) {
        // Who waits in another thread hears of it; the descriptor goes when the last of them has let go.
        if self.is_stream() && self.is_listening() {
            let _ = net::shutdown(self.fd(), SHUT_RDWR.cast_signed());
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for HostSocket {
    fn drop(&mut self) {
        poller::forget(self.token, self.fd.as_fd());
        if let Some(host) = self.net.host() {
            host.sockets.remove(&self.this);
        }
    }
}
