//! TCP, tcp(7).
//!
//! Two sockets of the sandbox are joined in memory: [`flow`] is one direction, [`link`] a connection of two, [`connect`] how
//! one is made. No packets are built, nothing runs in the background. Locks: `Socket` over a socket's role (a listener's
//! before that of who connects to it), `SocketQueue` over a flow.

mod arrive;
mod close;
mod conn;
mod connect;
mod end;
mod flow;
mod info;
mod link;
mod options;
mod outside;
mod served;
pub mod time_wait;

pub(super) use arrive::arrive;
pub(super) use connect::named;
pub(super) use end::End;
pub use info::TcpListing;
pub use link::TcpState;
pub(super) use served::Served;

use std::any::Any;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use abi::Errno;
use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDHUP, POLLRDNORM, POLLWRNORM};
use abi::socket::{IPPROTO_TCP, MsgFlags, SO_OOBINLINE, SO_RCVLOWAT};
use sync::{Mutex, WaitQueue};

use self::conn::Conn;
use self::connect::{Connecting, Listener};
use self::flow::ReadMode;
use self::options::TcpOptions;
use super::addr::Family;
use super::ip_options::IpOptions;
use super::ports::Lease;
use super::stack::NetStack;
use crate::error::{Result, SysResult, err};
use crate::lock_order;
use crate::net::message::{Received, RecvMsg, SendMsg};
use crate::net::options::Options;
use crate::net::owner::Owner;
use crate::net::socket::{Connect, Kind, Shutdown, Socket};
use crate::task::CurrentTask;

/// What a direction holds in each of its two buffers unless SO_SNDBUF or SO_RCVBUF says otherwise: Linux sizes them itself.
const AUTO_BUFFER: usize = 256 << 10;

/// A TCP socket.
#[derive(Debug)]
pub struct TcpSocket {
    this: Weak<Self>,
    net: Arc<NetStack>,
    family: Family,
    owner: OnceLock<Owner>,
    options: Options,
    ip: IpOptions,
    tcp: TcpOptions,
    /// SO_PEEK_OFF; negative for none.
    peek_offset: AtomicI32,
    end: Arc<End>,
    state: Mutex<State, lock_order::Socket>,
}

#[derive(Debug)]
struct State {
    /// The port, from bind(2) or listen(2) on.
    lease: Option<Lease<TcpSocket>>,
    /// The address asked for, to show.
    bound: SocketAddr,
    /// bind(2) asked for this very port.
    chosen_port: bool,
    role: Role,
    shut: Shutdown,
    /// connect(2) has not told the caller yet what became of it (SS_CONNECTING).
    untold: bool,
}

/// What the socket is used for.
#[derive(Debug)]
enum Role {
    /// Neither connected nor listening.
    Fresh,
    /// It accepts.
    Listening(Listener),
    /// It waits for a listener to have room.
    Connecting(Connecting),
    /// It is, or was, one side of a connection.
    Connected(Conn),
}

impl TcpSocket {
    pub(super) fn create(net: Arc<NetStack>, family: Family) -> Arc<Self> {
        Self::with(net, family, Options::with_buffers(16384, 131_072), IpOptions::default(), TcpOptions::default())
    }

    fn with(net: Arc<NetStack>, family: Family, options: Options, ip: IpOptions, tcp: TcpOptions) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            net,
            family,
            owner: OnceLock::new(),
            options,
            ip,
            tcp,
            peek_offset: AtomicI32::new(-1),
            end: End::new(),
            state: Mutex::new(State {
                lease: None,
                bound: family.nowhere(),
                chosen_port: false,
                role: Role::Fresh,
                shut: Shutdown { read: false, write: false },
                untold: false,
            }),
        })
    }

    /// How much of what we send may wait on our side.
    fn send_room(&self) -> usize {
        if self.options.has_send_buffer() { self.options.send_buffer() / 2 } else { AUTO_BUFFER }
    }

    /// The connection; what a send or receive without one fails with otherwise.
    fn conn(&self, sending: bool) -> Result<Conn> {
        let state = self.state.lock();
        match &state.role {
            Role::Connected(conn) => Ok(conn.clone()),
            Role::Connecting(_) => err(Errno::EAGAIN),
            Role::Fresh | Role::Listening(_) => {
                drop(state);
                match self.end.take_error() {
                    Some(errno) => err(errno),
                    None => err(if sending { Errno::EPIPE } else { Errno::ENOTCONN }),
                }
            }
        }
    }

    /// What a send fails with once the direction is closed.
    fn broken(&self) -> Errno {
        self.end.take_error().unwrap_or(Errno::EPIPE)
    }

    fn read_mode(&self, message: &RecvMsg<'_, '_>) -> ReadMode {
        let flags = message.flags;
        let peek = flags.contains(MsgFlags::MSG_PEEK);
        let waits = !flags.contains(MsgFlags::MSG_DONTWAIT);
        let wanted = usize::try_from(self.options.number(SO_RCVLOWAT)).unwrap_or(1).max(1);
        ReadMode {
            peek,
            discard: flags.contains(MsgFlags::MSG_TRUNC),
            urgent_inline: self.options.flag(SO_OOBINLINE),
            low_water: if waits { wanted.min(message.dst.remaining()).max(1) } else { 1 },
            from: if peek { usize::try_from(self.peek_offset.load(Ordering::Relaxed)).unwrap_or(0) } else { 0 },
        }
    }

    fn moved(&self, n: usize, peek: bool) {
        let offset = self.peek_offset.load(Ordering::Relaxed);
        if offset >= 0 {
            let n = i32::try_from(n).unwrap_or(i32::MAX);
            let to = if peek { offset.saturating_add(n) } else { offset.saturating_sub(n).max(0) };
            self.peek_offset.store(to, Ordering::Relaxed);
        }
    }

    /// The state that `tcp_info` and /proc/net/tcp show.
    #[must_use]
    pub fn tcp_state(&self) -> TcpState {
        let conn = match &self.state.lock().role {
            Role::Fresh => return TcpState::Close,
            Role::Listening(_) => return TcpState::Listen,
            Role::Connecting(_) => return TcpState::SynSent,
            Role::Connected(conn) => conn.clone(),
        };
        conn.state()
    }

    /// Lets SO_RCVBUF count for whoever sends to us.
    fn apply_receive_buffer(&self) {
        let room = if self.options.has_receive_buffer() { self.options.receive_buffer() / 2 } else { AUTO_BUFFER };
        self.end.set_receive_room(room);
    }

    /// The connection, if there is one. It is asked without the socket's lock, which comes after the gate's.
    fn connection(&self) -> Option<Conn> {
        match &self.state.lock().role {
            Role::Connected(conn) => Some(conn.clone()),
            _ => None,
        }
    }
}

impl Socket for TcpSocket {
    fn family(&self) -> u16 {
        self.family.raw()
    }

    fn kind(&self) -> Kind {
        Kind::Stream
    }

    fn protocol(&self) -> i32 {
        IPPROTO_TCP
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn set_owner(&self, _: &CurrentTask, owner: Owner) {
        let _ = self.owner.set(owner);
    }

    fn bind(&self, task: &CurrentTask, addr: &[u8]) -> Result<()> {
        connect::bind(self, task, addr)
    }

    fn connect(&self, task: &CurrentTask, addr: &[u8]) -> Result<Connect> {
        connect::connect(self, task, addr)
    }

    fn finish_connect(&self) -> Result<()> {
        connect::finish(self)
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
        let state = self.state.lock();
        let addr = match &state.role {
            Role::Connected(conn) => conn.local(),
            Role::Connecting(connecting) => connecting.local,
            Role::Fresh | Role::Listening(_) => match &state.lease {
                Some(lease) => SocketAddr::new(state.bound.ip(), lease.local().port),
                None => state.bound,
            },
        };
        Ok(self.family.show(addr))
    }

    fn peer_addr(&self) -> Result<Vec<u8>> {
        match self.connection() {
            Some(conn) if !matches!(conn.state(), TcpState::Close | TcpState::SynSent) => {
                Ok(self.family.show(conn.remote()))
            }
            _ => err(Errno::ENOTCONN),
        }
    }

    fn accepted_from(&self) -> Result<Vec<u8>> {
        match self.connection() {
            Some(conn) => Ok(self.family.show(conn.remote())),
            None => err(Errno::ECONNABORTED),
        }
    }

    fn send(&self, task: &CurrentTask, message: &mut SendMsg<'_, '_>) -> Result<usize> {
        if message.flags.contains(MsgFlags::MSG_FASTOPEN)
            && let Some(addr) = message.to
            && matches!(self.state.lock().role, Role::Fresh)
        {
            connect::connect(self, task, addr)?;
            self.state.lock().untold = false;
        }
        let conn = self.conn(true)?;
        if self.end.has_error() {
            return err(self.broken());
        }
        let (urgent, more) = (message.flags.contains(MsgFlags::MSG_OOB), message.flags.contains(MsgFlags::MSG_MORE));
        match conn.push(message.src, self.send_room(), urgent, more) {
            Err(e) if e.is(Errno::EPIPE) => err(self.broken()),
            other => other,
        }
    }

    fn recv(&self, _: &CurrentTask, message: &mut RecvMsg<'_, '_>) -> Result<Received> {
        let conn = self.conn(false)?;
        let mode = self.read_mode(message);
        if message.flags.contains(MsgFlags::MSG_OOB) {
            if mode.urgent_inline {
                return err(Errno::EINVAL);
            }
            let len = conn.pop_urgent(message.dst, mode.peek)?;
            return Ok(Received { len, flags: MsgFlags::MSG_OOB, ..Received::default() });
        }
        if let Some(len) = conn.pop(message.dst, mode)? {
            self.moved(len, mode.peek);
            return Ok(Received { len, ..Received::default() });
        }
        let readiness = conn.readiness(mode.urgent_inline);
        if readiness.fin {
            return Ok(Received::default());
        }
        if let Some(errno) = self.end.take_error() {
            return err(errno);
        }
        if readiness.reset || self.state.lock().shut.read {
            return Ok(Received::default());
        }
        err(Errno::EAGAIN)
    }

    fn shutdown(&self, how: Shutdown) -> Result<()> {
        close::shutdown(self, how)
    }

    fn getsockopt(&self, task: &CurrentTask, level: i32, name: i32, room: usize) -> Result<Vec<u8>> {
        options::get(self, task, level, name, room)
    }

    fn setsockopt(&self, task: &CurrentTask, level: i32, name: i32, value: &[u8]) -> Result<()> {
        options::set(self, task, level, name, value)
    }

    fn options_changed(&self) {
        self.apply_receive_buffer();
        if let Some(lease) = &self.state.lock().lease {
            self.net.tcp.set_sharing(lease, &self.options);
        }
    }

    fn poll(&self) -> u32 {
        let state = self.state.lock();
        let error = if self.end.has_error() { POLLERR } else { 0 };
        let conn = match &state.role {
            Role::Listening(listener) => return if listener.is_ready() { POLLIN | POLLRDNORM } else { 0 },
            Role::Connecting(_) => return error,
            Role::Fresh => {
                let down = if error != 0 { POLLIN | POLLRDNORM | POLLRDHUP } else { 0 };
                return POLLOUT | POLLWRNORM | POLLHUP | error | down;
            }
            Role::Connected(conn) => conn.clone(),
        };
        let shut = state.shut;
        drop(state);
        if conn.opening() {
            return error;
        }
        let incoming = conn.readiness(self.options.flag(SO_OOBINLINE));
        let mut events = error;
        let closed = incoming.reset || (incoming.fin && shut.write);
        if closed || (shut.read && shut.write) {
            events |= POLLHUP;
        }
        if incoming.fin || shut.read || closed {
            events |= POLLIN | POLLRDNORM | POLLRDHUP;
        }
        let wanted = usize::try_from(self.options.number(SO_RCVLOWAT)).unwrap_or(1).max(1);
        if incoming.len >= wanted {
            events |= POLLIN | POLLRDNORM;
        }
        if incoming.urgent {
            events |= POLLPRI;
        }
        if closed || shut.write || conn.writable(self.send_room()) {
            events |= POLLOUT | POLLWRNORM;
        }
        events
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.end.queue
    }

    fn readable_bytes(&self) -> Result<usize> {
        if self.is_listening() {
            return err(Errno::EINVAL);
        }
        Ok(self.connection().map_or(0, |conn| conn.readiness(self.options.flag(SO_OOBINLINE)).len))
    }

    fn ioctl(&self, task: &CurrentTask, cmd: u32, arg: u64) -> SysResult {
        info::ioctl(self, task, cmd, arg)
    }

    fn close(&self) {
        close::close(self);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
