//! Making connections: bind, listen, connect, accept.
//!
//! A connection attempt first takes its place in the table of ports, then asks the listener. If its backlog is full, the
//! attempt waits there and is tried again when something is accepted. Locks: a listener's before the connecting socket's.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use abi::Errno;
use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use abi::socket::AF_UNSPEC;
use netstack::StreamError;

use super::conn::Conn;
use super::end::End;
use super::link::{self, Link, Side};
use super::outside::Outside;
use super::served::Served;
use super::{Role, TcpSocket, TcpState, close};
use crate::error::{Result, err};
use crate::net::inet::addr::{self, Family};
use crate::net::inet::bind as binding;
use crate::net::inet::gate::Gate;
use crate::net::inet::ports::{self, Lease, Rule, Table};
use crate::net::inet::resolver::{self, Resolver};
use crate::net::inet::stack::Counters;
use crate::net::socket::{Connect, Socket};
use crate::task::CurrentTask;
use crate::time::{Alarm, Clocks, Key};

/// How long a connection is tried for (net.ipv4.tcp_syn_retries).
const PATIENCE: Duration = Duration::from_secs(131);
/// TCP's table.
pub(super) const TABLE: Table<TcpSocket> = |net| &net.tcp;

/// A socket that accepts.
#[derive(Debug)]
pub(super) struct Listener {
    backlog: VecDeque<Arc<TcpSocket>>,
    limit: usize,
    /// Sockets that found the backlog full, in the order they came.
    waiting: VecDeque<Weak<TcpSocket>>,
    /// How accepted connections share the port.
    sharing: ports::Sharing,
}

impl Listener {
    pub(super) fn is_ready(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// How many wait to be accepted, and how many may.
    pub(super) fn fill(&self) -> (usize, usize) {
        (self.backlog.len(), self.limit)
    }

    /// Whether another one may wait.
    pub(super) fn has_room(&self) -> bool {
        self.backlog.len() <= self.limit
    }

    /// A connection from outside waits to be accepted.
    pub(super) fn add(&mut self, child: Arc<TcpSocket>) {
        self.backlog.push_back(child);
    }

    /// How accepted connections share the port.
    pub(super) fn sharing(&self) -> ports::Sharing {
        self.sharing
    }

    pub(super) fn into_parts(self) -> (VecDeque<Arc<TcpSocket>>, VecDeque<Weak<TcpSocket>>) {
        (self.backlog, self.waiting)
    }
}

/// A socket that waits for a listener.
#[derive(Debug)]
pub(super) struct Connecting {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    lease: Option<Lease<TcpSocket>>,
    shares: bool,
    until: Instant,
    timer: Option<(Arc<Clocks>, Key)>,
}

impl Drop for Connecting {
    fn drop(&mut self) {
        if let Some((clocks, key)) = self.timer.take() {
            clocks.timers().cancel(key);
        }
    }
}

pub(super) fn bind(socket: &TcpSocket, task: &CurrentTask, addr: &[u8]) -> Result<()> {
    let (local, shown) = binding::local(task, &socket.net, socket.family, addr, &socket.ip, false)?;
    let mut state = socket.state.lock();
    if state.lease.is_some() || !matches!(state.role, Role::Fresh) {
        return err(Errno::EINVAL);
    }
    let sharing = binding::sharing(task, &socket.options);
    let waits = |at: SocketAddr| local.hears(at.ip());
    if local.port != 0 && socket.net.time_wait.lock().takes(local.port, sharing.address, waits) {
        return err(Errno::EADDRINUSE);
    }
    state.lease = Some(ports::bind(&socket.net, TABLE, local, sharing, Rule::Stream, &socket.this)?);
    state.bound = shown;
    state.chosen_port = shown.port() != 0;
    Ok(())
}

pub(super) fn listen(socket: &TcpSocket, task: &CurrentTask, backlog: i32) -> Result<()> {
    let most = usize::try_from(socket.net.settings.backlog.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
    // A negative backlog is a huge one.
    let limit = usize::try_from(backlog).unwrap_or(most).min(most);
    let sharing = binding::sharing(task, &socket.options);
    let mut state = socket.state.lock();
    let untold = state.untold;
    match &mut state.role {
        Role::Listening(listener) => {
            listener.limit = limit;
            return Ok(());
        }
        Role::Fresh if !untold => {}
        _ => return err(Errno::EINVAL),
    }
    if state.lease.is_none() {
        let local = binding::wildcard(socket.family, SocketAddr::new(state.bound.ip(), 0), &socket.ip);
        state.lease = Some(ports::bind(&socket.net, TABLE, local, sharing, Rule::Stream, &socket.this)?);
    }
    if let Some(lease) = &state.lease {
        socket.net.tcp.set_listening(lease, true)?;
    }
    state.role = Role::Listening(Listener { backlog: VecDeque::new(), limit, waiting: VecDeque::new(), sharing });
    Ok(())
}

pub(super) fn connect(socket: &TcpSocket, task: &CurrentTask, addr: &[u8]) -> Result<Connect> {
    if addr::family_of(addr) == Some(AF_UNSPEC) {
        close::forget(socket);
        return Ok(Connect::Done);
    }
    let mut state = socket.state.lock();
    match &state.role {
        Role::Connecting(_) => return Ok(Connect::Already),
        Role::Connected(_) | Role::Fresh if state.untold => {
            drop(state);
            return match finish(socket) {
                Err(e) if e.is(Errno::EAGAIN) => Ok(Connect::Already),
                other => other.map(|()| Connect::Done),
            };
        }
        Role::Connected(_) | Role::Listening(_) => return err(Errno::EISCONN),
        Role::Fresh => {}
    }
    let remote = destination(socket, addr)?;
    let way = socket.net.way(remote.ip(), state.bound.ip(), 0)?;
    let gate = match way.is_loopback() {
        true if socket.net.is_local(remote.ip()) => None,
        true => return err(Errno::ENETUNREACH),
        false => Some(socket.net.gate().ok_or(Errno::ENETUNREACH)?),
    };
    let port = state.lease.as_ref().map_or(0, |lease| lease.local().port);
    let sharing = binding::sharing(task, &socket.options);
    let wanted = SocketAddr::new(way.source, port);
    let (lease, local) = ports::connect(&socket.net, TABLE, wanted, remote, sharing, &socket.this)?;
    if let Some(gate) = gate {
        drop(state);
        return connect_outside(socket, &gate, (local, remote), lease);
    }
    let until = Instant::now() + socket.tcp.user_timeout().unwrap_or(PATIENCE);
    state.role =
        Role::Connecting(Connecting { local, remote, lease: Some(lease), shares: sharing.address, until, timer: None });
    state.untold = true;
    drop(state);
    Counters::count(&socket.net.counters.tcp_active);
    if let Some(me) = socket.this.upgrade() {
        attempt(&me, Some(&task.kernel().clocks));
    }
    Ok(Connect::InProgress)
}

/// Opens a connection that leaves the sandbox.
fn connect_outside(
    socket: &TcpSocket,
    gate: &Arc<Gate>,
    (local, remote): (SocketAddr, SocketAddr),
    lease: Lease<TcpSocket>,
) -> Result<Connect> {
    let mut driving = gate.drive();
    let opened = driving.engine().connect(local, remote, &socket.stream_options());
    let handle = opened.map_err(|e| match e {
        StreamError::Full => Errno::ENOBUFS,
        StreamError::Address => Errno::EADDRNOTAVAIL,
    })?;
    // It is watched before it is asked for, as the answer may be faster than we are.
    driving.watch(handle, &socket.end);
    drop(driving);
    let outside = Outside::new(gate, handle, &socket.end, Some(lease), (local, remote));
    let mut state = socket.state.lock();
    if !matches!(state.role, Role::Fresh) {
        // Another thread was quicker.
        drop(state);
        outside.close(true);
        return Ok(Connect::Already);
    }
    state.role = Role::Connected(Conn::Outside(outside));
    state.untold = true;
    drop(state);
    Counters::count(&socket.net.counters.tcp_active);
    Ok(Connect::InProgress)
}

/// What became of a connection in progress.
pub(super) fn finish(socket: &TcpSocket) -> Result<()> {
    if let Some(conn @ Conn::Outside(_)) = socket.connection() {
        if conn.opening() {
            return err(Errno::EAGAIN);
        }
        if conn.state() == TcpState::Close {
            // As if it had never been.
            let errno = socket.end.take_error();
            let mut state = socket.state.lock();
            let old = std::mem::replace(&mut state.role, Role::Fresh);
            state.untold = false;
            drop(state);
            drop((old, conn));
            return err(errno.unwrap_or(Errno::ECONNABORTED));
        }
    }
    let mut state = socket.state.lock();
    match state.role {
        Role::Connecting(_) => err(Errno::EAGAIN),
        Role::Connected(_) => {
            state.untold = false;
            Ok(())
        }
        Role::Fresh | Role::Listening(_) => {
            state.untold = false;
            err(socket.end.take_error().unwrap_or(Errno::ECONNABORTED))
        }
    }
}

/// Where to, with the address that means the machine itself replaced.
fn destination(socket: &TcpSocket, addr: &[u8]) -> Result<SocketAddr> {
    let to = addr::parse_peer(socket.family, addr)?;
    if to.is_ipv4() && socket.family == Family::V6 && socket.ip.v6_only() {
        return err(Errno::ENETUNREACH);
    }
    Ok(addr::plain(named(to)))
}

/// The unspecified address means the machine itself.
pub(in crate::net::inet) fn named(to: SocketAddr) -> SocketAddr {
    match to.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), to.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), to.port()),
        _ => to,
    }
}

/// Asks the listener: the client is connected, refused, or waits. With `clocks` its patience begins.
fn attempt(client: &Arc<TcpSocket>, clocks: Option<&Arc<Clocks>>) {
    let Some((local, remote)) = addresses(client) else { return };
    let Some(listener) = client.net.tcp.listener(remote, local) else {
        if local == remote {
            join_itself(client);
        } else if remote == resolver::ADDRESS
            && let Some(resolver) = client.net.resolver()
        {
            ask(client, resolver);
        } else {
            Counters::count(&client.net.counters.tcp_failed);
            close::refuse(client);
        }
        return;
    };
    let mut held = listener.state.lock();
    let Role::Listening(accepting) = &mut held.role else {
        drop(held);
        close::refuse(client);
        return;
    };
    let mut state = client.state.lock_nested();
    let Role::Connecting(connecting) = &mut state.role else { return };
    if !accepting.has_room() {
        if let Some(clocks) = clocks {
            let alarm: Weak<dyn Alarm> = client.this.clone();
            connecting.timer = Some((Arc::clone(clocks), clocks.timers().set(connecting.until, alarm)));
            accepting.waiting.retain(|other| other.strong_count() > 0);
        }
        if !accepting.waiting.iter().any(|other| other.ptr_eq(&client.this)) {
            accepting.waiting.push_back(client.this.clone());
        }
        return;
    }
    let child = TcpSocket::with(
        Arc::clone(&client.net),
        listener.family,
        listener.options.inherited(),
        listener.ip.inherited(),
        listener.tcp.inherited(),
    );
    child.apply_receive_buffer();
    let Ok((lease, _)) = ports::connect(&client.net, TABLE, remote, local, accepting.sharing, &child.this) else {
        drop((state, held));
        close::refuse(client);
        return;
    };
    let ours =
        Side { end: Arc::clone(&client.end), addr: local, lease: connecting.lease.take(), shares: connecting.shares };
    let theirs =
        Side { end: Arc::clone(&child.end), addr: remote, lease: Some(lease), shares: accepting.sharing.address };
    let [our_link, their_link] = link::join(&client.net, ours, theirs);
    child.state.lock_nested().role = Role::Connected(Conn::Inside(their_link));
    let waited = std::mem::replace(&mut state.role, Role::Connected(Conn::Inside(our_link)));
    accepting.backlog.push_back(child);
    drop((state, held));
    drop(waited);
    Counters::count(&client.net.counters.tcp_passive);
    listener.end.queue.notify(POLLIN | POLLRDNORM);
    client.end.queue.notify(POLLOUT | POLLWRNORM);
}

fn addresses(client: &TcpSocket) -> Option<(SocketAddr, SocketAddr)> {
    match &client.state.lock().role {
        Role::Connecting(connecting) => Some((connecting.local, connecting.remote)),
        _ => None,
    }
}

/// Joins a socket to the engine's name server.
fn ask(client: &Arc<TcpSocket>, resolver: &Resolver) {
    let mut state = client.state.lock();
    let Role::Connecting(connecting) = &mut state.role else { return };
    let (end, shares) = (End::new(), connecting.shares);
    let ours = Side { end: Arc::clone(&client.end), addr: connecting.local, lease: connecting.lease.take(), shares };
    let theirs = Side { end: Arc::clone(&end), addr: connecting.remote, lease: None, shares };
    let [our_link, their_link] = link::join(&client.net, ours, theirs);
    let waited = std::mem::replace(&mut state.role, Role::Connected(Conn::Inside(our_link)));
    drop(state);
    drop(waited);
    resolver.serve(Served { conn: Conn::Inside(their_link), end });
    client.end.queue.notify(POLLOUT | POLLWRNORM);
}

/// A socket that connects to its own address talks to itself.
fn join_itself(client: &Arc<TcpSocket>) {
    let mut state = client.state.lock();
    let Role::Connecting(connecting) = &mut state.role else { return };
    let side = |lease| Side { end: Arc::clone(&client.end), addr: connecting.local, lease, shares: connecting.shares };
    let (lease, nobody) = (connecting.lease.take(), None);
    let [link, _]: [Link; 2] = link::join(&client.net, side(lease), side(nobody));
    state.role = Role::Connected(Conn::Inside(link));
    drop(state);
    client.end.queue.notify(POLLOUT | POLLWRNORM);
}

pub(super) fn accept(socket: &TcpSocket) -> Result<Arc<dyn Socket>> {
    let mut state = socket.state.lock();
    let Role::Listening(listener) = &mut state.role else { return err(Errno::EINVAL) };
    let Some(accepted) = listener.backlog.pop_front() else { return err(Errno::EAGAIN) };
    let waiting = !listener.waiting.is_empty();
    drop(state);
    if waiting {
        admit(socket);
    }
    Ok(accepted)
}

/// There is room again: lets the next one in that still waits.
fn admit(socket: &TcpSocket) {
    loop {
        let next = match &mut socket.state.lock().role {
            Role::Listening(listener) => listener.waiting.pop_front(),
            _ => None,
        };
        match next.map(|waiting| waiting.upgrade()) {
            None => return,
            Some(Some(client)) if addresses(&client).is_some() => return attempt(&client, None),
            Some(_) => {}
        }
    }
}

impl Alarm for TcpSocket {
    /// The patience of a connection attempt is at an end.
    fn fire(&self) {
        let mut state = self.state.lock();
        let Role::Connecting(connecting) = &state.role else { return };
        if connecting.until > Instant::now() {
            return;
        }
        let old = std::mem::replace(&mut state.role, Role::Fresh);
        drop(state);
        drop(old);
        self.end.set_error(Errno::ETIMEDOUT);
        self.end.queue.notify(POLLOUT | POLLWRNORM | POLLIN | POLLRDNORM | POLLERR | POLLHUP);
    }
}

impl Drop for TcpSocket {
    fn drop(&mut self) {
        // Never accepted: nobody closed it.
        let role = std::mem::replace(&mut self.state.get_mut().role, Role::Fresh);
        if let Role::Connected(conn) = role {
            conn.close(true);
        }
    }
}
