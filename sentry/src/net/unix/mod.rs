//! AF_UNIX, unix(7): stream, datagram and sequenced-packet sockets, files and credentials passed along, abstract names.
//!
//! A socket receives from its [`inbox::Inbox`]; a connection is two sockets that hold each other's inbox, so that nothing
//! is shared between the directions. [`name`] finds sockets by path or abstract name. Locks: `Socket` over a socket's role
//! (two of them by address), `SocketQueue` over an inbox, never two inboxes.

mod connect;
mod inbox;
pub mod name;

use std::any::Any;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use abi::Errno;
use abi::poll::{POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM};
use abi::socket::{AF_UNIX, MsgFlags, SO_ERROR, SO_PEEK_OFF, SO_PEERCRED, SO_PEERGROUPS, SOL_SOCKET};
use sync::{Mutex, WaitQueue};

use self::inbox::{Inbox, ReadMode};
use self::name::Name;
use super::inet::ioctl;
use super::inet::stack::NetStack;
use super::message::{PeerCred, Received, RecvMsg, SendMsg};
use super::options::Options;
use super::owner::Owner;
use super::socket::{Connect, Kind, Shutdown, Socket};
use crate::error::{Result, SysResult, err};
use crate::lock_order;
use crate::task::CurrentTask;

/// A unix socket.
#[derive(Debug)]
pub struct UnixSocket {
    this: Weak<Self>,
    kind: Kind,
    options: Options,
    /// SO_PEEK_OFF; negative for none.
    peek_offset: AtomicI32,
    inbox: Arc<Inbox>,
    state: Mutex<State, lock_order::Socket>,
    /// Where it is listed, once it has a file.
    listed: OnceLock<(Arc<NetStack>, Owner)>,
}

#[derive(Debug)]
struct State {
    name: Option<Name>,
    role: Role,
    /// shutdown(SHUT_WR) was called.
    write_shut: bool,
}

/// What the socket is used for.
#[derive(Debug)]
enum Role {
    /// Neither connected nor listening.
    Fresh,
    /// A stream or seqpacket socket that accepts.
    Listening(Listener),
    /// One side of a stream or seqpacket connection.
    Connected(Peer),
    /// A datagram socket with a default destination.
    Directed(Weak<UnixSocket>),
    /// Closed.
    Closed,
}

#[derive(Debug)]
struct Listener {
    backlog: VecDeque<Arc<UnixSocket>>,
    limit: usize,
    credentials: PeerCred,
    /// Sockets that found the backlog full, told when one is accepted.
    waiting: Vec<Weak<Inbox>>,
}

#[derive(Debug)]
struct Peer {
    /// Where our bytes go.
    inbox: Arc<Inbox>,
    /// What getpeername says: the address the peer had when we connected, or has now.
    socket: Weak<UnixSocket>,
    name: Option<Vec<u8>>,
    credentials: PeerCred,
}

/// A line of /proc/net/unix.
#[derive(Clone, Debug)]
pub struct UnixListing {
    /// SOCK_*.
    pub kind: i32,
    /// Whether it accepts.
    pub listening: bool,
    /// Whether it has a peer.
    pub connected: bool,
    /// Its name as it shows in text; empty for none.
    pub path: Vec<u8>,
    /// Its name as it is: without the NUL at the end of a path, with the one at the beginning of an abstract name.
    pub name: Vec<u8>,
    /// Stands for the socket in the `peer` of others.
    pub end: usize,
    /// Whom it is connected to.
    pub peer: Option<usize>,
    /// Bytes that wait to be read; connections that wait to be accepted.
    pub waiting: u32,
    /// How many connections may wait.
    pub limit: u32,
    /// Inode and user.
    pub owner: Owner,
}

/// socket(2) for AF_UNIX.
pub(super) fn create(_: &CurrentTask, kind: Kind, protocol: i32) -> Result<Arc<dyn Socket>> {
    // PF_UNIX is accepted as a protocol.
    if protocol != 0 && protocol != i32::from(AF_UNIX) {
        return err(Errno::EPROTONOSUPPORT);
    }
    // SOCK_RAW is taken for a datagram socket.
    Ok(UnixSocket::new(if kind == Kind::Raw { Kind::Datagram } else { kind }))
}

/// socketpair(2).
pub(super) fn pair(task: &CurrentTask, kind: Kind, protocol: i32) -> Result<(Arc<dyn Socket>, Arc<dyn Socket>)> {
    if protocol != 0 && protocol != i32::from(AF_UNIX) {
        return err(Errno::EPROTONOSUPPORT);
    }
    let kind = if kind == Kind::Raw { Kind::Datagram } else { kind };
    let (a, b) = (UnixSocket::new(kind), UnixSocket::new(kind));
    let credentials = name::credentials(task);
    for (one, other) in [(&a, &b), (&b, &a)] {
        one.inbox.set_peer(Arc::downgrade(&other.inbox));
        one.state.lock().role = Role::Connected(Peer {
            inbox: Arc::clone(&other.inbox),
            socket: Arc::downgrade(other),
            name: None,
            credentials: credentials.clone(),
        });
    }
    Ok((a, b))
}

impl UnixSocket {
    fn new(kind: Kind) -> Arc<Self> {
        let options = Options::default();
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            kind,
            peek_offset: AtomicI32::new(-1),
            inbox: Inbox::new(options.filter()),
            options,
            state: Mutex::new(State { name: None, role: Role::Fresh, write_shut: false }),
            listed: OnceLock::new(),
        })
    }

    /// What listings say of it.
    #[must_use]
    pub fn listing(&self) -> UnixListing {
        let state = self.state.lock();
        let bytes = state.name.as_ref().map(|name| name.bytes().get(2..).unwrap_or_default().to_vec());
        let mut name = bytes.unwrap_or_default();
        let mut path = name.clone();
        if name.first() == Some(&0) {
            path.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b'@');
        } else {
            name.pop_if(|byte| *byte == 0);
            path.clone_from(&name);
        }
        let short = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (waiting, limit) = match &state.role {
            Role::Listening(listener) => (short(listener.backlog.len()), short(listener.limit)),
            _ => (short(self.inbox.readable_bytes(self.kind != Kind::Datagram)), 0),
        };
        let (peer, directed) = match &state.role {
            Role::Connected(peer) => (Some(Arc::as_ptr(&peer.inbox).addr()), None),
            Role::Directed(to) => (None, Some(to.clone())),
            _ => (None, None),
        };
        let listening = matches!(state.role, Role::Listening(_));
        let connected = matches!(state.role, Role::Connected(_) | Role::Directed(_));
        drop(state);
        let directed = directed.and_then(|to| to.upgrade());
        UnixListing {
            kind: self.kind.raw(),
            listening,
            connected,
            path,
            name,
            end: Arc::as_ptr(&self.inbox).addr(),
            peer: peer.or_else(|| directed.map(|to| Arc::as_ptr(&to.inbox).addr())),
            waiting,
            limit,
            owner: self.listed.get().map(|(_, owner)| *owner).unwrap_or_default(),
        }
    }

    fn me(&self) -> Arc<Self> {
        self.this.upgrade().expect("a method runs on a live socket")
    }

    /// The bound address as `struct sockaddr_un`; just the family if there is none.
    fn name_bytes(&self) -> Vec<u8> {
        self.state.lock().name.as_ref().map_or_else(|| AF_UNIX.to_ne_bytes().to_vec(), |name| name.bytes().to_vec())
    }

    const fn stream(&self) -> bool {
        matches!(self.kind, Kind::Stream)
    }

    /// Where the bytes of a send go.
    fn destination(&self, task: &CurrentTask, message: &SendMsg<'_, '_>) -> Result<Arc<Inbox>> {
        let state = self.state.lock();
        if state.write_shut {
            return err(Errno::EPIPE);
        }
        if self.kind == Kind::Datagram {
            let target = match (message.to, &state.role) {
                (Some(addr), _) => {
                    drop(state);
                    name::find(task, addr, Kind::Datagram)?
                }
                (None, Role::Directed(target)) => target.upgrade().ok_or(Errno::ECONNREFUSED)?,
                (None, Role::Connected(peer)) => return Ok(Arc::clone(&peer.inbox)),
                (None, _) => return err(Errno::ENOTCONN),
            };
            return Ok(Arc::clone(&target.inbox));
        }
        match &state.role {
            Role::Connected(_) if message.to.is_some() => err(Errno::EISCONN),
            Role::Connected(peer) => Ok(Arc::clone(&peer.inbox)),
            _ if message.to.is_some() => err(Errno::EOPNOTSUPP),
            _ => err(Errno::ENOTCONN),
        }
    }
}

impl Socket for UnixSocket {
    fn family(&self) -> u16 {
        AF_UNIX
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn takes_filters(&self) -> bool {
        true
    }

    fn set_owner(&self, task: &CurrentTask, owner: Owner) {
        let net = NetStack::of(task);
        net.unix.add(self.this.clone());
        let _ = self.listed.set((net, owner));
    }

    fn ioctl(&self, task: &CurrentTask, cmd: u32, arg: u64) -> SysResult {
        ioctl::device(task, &NetStack::of(task), cmd, arg)
    }

    fn bind(&self, task: &CurrentTask, addr: &[u8]) -> Result<()> {
        if self.state.lock().name.is_some() {
            return err(Errno::EINVAL);
        }
        let name = name::bind(task, addr, &self.me())?;
        let mut state = self.state.lock();
        if state.name.is_some() {
            return err(Errno::EINVAL);
        }
        state.name = Some(name);
        Ok(())
    }

    fn connect(&self, task: &CurrentTask, addr: &[u8]) -> Result<Connect> {
        connect::connect(self, task, addr)
    }

    fn listen(&self, task: &CurrentTask, backlog: i32) -> Result<()> {
        connect::listen(self, task, backlog)
    }

    fn is_listening(&self) -> bool {
        matches!(self.state.lock().role, Role::Listening(_))
    }

    fn accept(&self) -> Result<Arc<dyn Socket>> {
        connect::accept(self)
    }

    fn local_addr(&self) -> Result<Vec<u8>> {
        Ok(self.name_bytes())
    }

    fn peer_addr(&self) -> Result<Vec<u8>> {
        let state = self.state.lock();
        let (known, socket) = match &state.role {
            Role::Connected(peer) => (peer.name.clone(), peer.socket.upgrade()),
            Role::Directed(target) => (None, Some(target.upgrade().ok_or(Errno::ENOTCONN)?)),
            _ => return err(Errno::ENOTCONN),
        };
        drop(state);
        Ok(match (known, socket) {
            (Some(name), _) => name,
            (None, Some(socket)) => socket.name_bytes(),
            (None, None) => AF_UNIX.to_ne_bytes().to_vec(),
        })
    }

    fn send(&self, task: &CurrentTask, message: &mut SendMsg<'_, '_>) -> Result<usize> {
        if message.flags.contains(MsgFlags::MSG_OOB) {
            return err(Errno::EOPNOTSUPP);
        }
        let outbox = self.destination(task, message)?;
        // Who sent it is always recorded: the receiver may ask for it later.
        if message.ancillary.credentials.is_none() {
            message.ancillary.credentials = Some(name::credentials(task));
        }
        let limit = self.options.send_buffer();
        if self.stream() {
            return outbox.push_stream(message.src, &mut message.ancillary, limit);
        }
        let from = self.state.lock().name.as_ref().map(|name| name.bytes().to_vec());
        let sent = outbox.push_message(message.src, from, &mut message.ancillary, limit, &self.inbox);
        match sent {
            Err(e) if e.is(Errno::EPIPE) && self.kind == Kind::Datagram => err(Errno::ECONNREFUSED),
            other => other,
        }
    }

    fn recv(&self, _: &CurrentTask, message: &mut RecvMsg<'_, '_>) -> Result<Received> {
        if message.flags.contains(MsgFlags::MSG_OOB) {
            return err(if self.stream() { Errno::EINVAL } else { Errno::EOPNOTSUPP });
        }
        if self.kind != Kind::Datagram && !matches!(self.state.lock().role, Role::Connected(_)) {
            return err(if self.stream() { Errno::EINVAL } else { Errno::ENOTCONN });
        }
        let pass_credentials = self.options.pass_credentials();
        let peek_offset = self.peek_offset.load(Ordering::Relaxed);
        let mode = ReadMode {
            stream: self.stream(),
            pass_credentials,
            names: self.kind == Kind::Datagram,
            peek_from: usize::try_from(peek_offset).unwrap_or(0),
        };
        let mut received = self.inbox.pop(message, mode)?;
        if peek_offset >= 0 {
            let n = i32::try_from(received.len).unwrap_or(i32::MAX);
            let peek = message.flags.contains(MsgFlags::MSG_PEEK);
            let moved = if peek { peek_offset.saturating_add(n) } else { peek_offset.saturating_sub(n).max(0) };
            self.peek_offset.store(moved, Ordering::Relaxed);
        }
        if !pass_credentials {
            received.ancillary.credentials = None;
        }
        Ok(received)
    }

    fn shutdown(&self, how: Shutdown) -> Result<()> {
        let mut state = self.state.lock();
        let outbox = match &state.role {
            Role::Connected(peer) => Some(Arc::clone(&peer.inbox)),
            Role::Listening(_) | Role::Directed(_) => None,
            Role::Fresh | Role::Closed => return err(Errno::ENOTCONN),
        };
        state.write_shut |= how.write;
        drop(state);
        if how.write
            && let Some(outbox) = outbox
        {
            outbox.end(None);
        }
        if how.read {
            self.inbox.refuse(false);
        }
        self.inbox.queue.notify(POLLIN | POLLOUT | POLLHUP | POLLRDHUP);
        Ok(())
    }

    fn getsockopt(&self, task: &CurrentTask, level: i32, name: i32, _: usize) -> Result<Vec<u8>> {
        if level != SOL_SOCKET {
            return err(Errno::EOPNOTSUPP);
        }
        match name {
            SO_ERROR => Ok(self.inbox.take_error().map_or(0, Errno::raw).to_ne_bytes().to_vec()),
            SO_PEERCRED => {
                let credentials = match &self.state.lock().role {
                    Role::Connected(peer) => Some(peer.credentials.clone()),
                    Role::Listening(listener) => Some(listener.credentials.clone()),
                    _ => None,
                };
                Ok(name::ucred_bytes(task, credentials.as_ref()))
            }
            SO_PEEK_OFF => Ok(self.peek_offset.load(Ordering::Relaxed).to_ne_bytes().to_vec()),
            SO_PEERGROUPS => err(Errno::ENODATA),
            _ => err(Errno::ENOPROTOOPT),
        }
    }

    fn setsockopt(&self, _: &CurrentTask, level: i32, name: i32, value: &[u8]) -> Result<()> {
        if level != SOL_SOCKET {
            return err(Errno::EOPNOTSUPP);
        }
        if name != SO_PEEK_OFF {
            return err(Errno::ENOPROTOOPT);
        }
        let offset = value.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)).ok_or(Errno::EINVAL)?;
        self.peek_offset.store(offset, Ordering::Relaxed);
        Ok(())
    }

    fn poll(&self) -> u32 {
        let state = self.state.lock();
        let mut events = 0;
        if self.inbox.readable() {
            events |= POLLIN | POLLRDNORM;
        }
        match &state.role {
            Role::Listening(listener) => {
                return if listener.backlog.is_empty() { 0 } else { POLLIN | POLLRDNORM };
            }
            Role::Connected(peer) => {
                if self.inbox.ended() {
                    events |= POLLRDHUP | POLLIN | POLLRDNORM;
                    if state.write_shut || peer.inbox.refused() {
                        events |= POLLHUP;
                    }
                }
                if peer.inbox.writable(self.options.send_buffer()) {
                    events |= POLLOUT | POLLWRNORM;
                }
            }
            Role::Directed(target) => {
                if target.upgrade().is_none_or(|target| target.inbox.writable(self.options.send_buffer())) {
                    events |= POLLOUT | POLLWRNORM;
                }
            }
            Role::Fresh if self.kind == Kind::Datagram => events |= POLLOUT | POLLWRNORM,
            Role::Fresh | Role::Closed => events |= POLLOUT | POLLWRNORM | POLLHUP,
        }
        events
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.inbox.queue
    }

    fn readable_bytes(&self) -> Result<usize> {
        if matches!(self.state.lock().role, Role::Listening(_)) {
            return err(Errno::EINVAL);
        }
        Ok(self.inbox.readable_bytes(self.kind != Kind::Datagram))
    }

    fn close(&self) {
        if let Some((net, _)) = self.listed.get() {
            net.unix.remove(&self.this);
        }
        let mut state = self.state.lock();
        let role = std::mem::replace(&mut state.role, Role::Closed);
        let name = state.name.take();
        drop(state);
        drop(name);
        let unread = self.inbox.refuse(true);
        match role {
            Role::Connected(peer) => {
                peer.inbox.end((unread && self.kind != Kind::Datagram).then_some(Errno::ECONNRESET))
            }
            Role::Listening(listener) => {
                for pending in listener.backlog {
                    pending.close();
                }
                for waiting in listener.waiting.iter().filter_map(Weak::upgrade) {
                    waiting.queue.notify(POLLOUT);
                }
            }
            Role::Fresh | Role::Directed(_) | Role::Closed => {}
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
