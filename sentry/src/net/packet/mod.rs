//! AF_PACKET, packet(7): sockets that see and send whole frames, or (SOCK_DGRAM) what is behind their headers.
//!
//! [`taps`] is where frames pass by, [`inbox`] what waits for one socket, [`ring`] the same in memory that it maps, [`send`] puts frames on a device. Locks: `Socket`
//! over what it is bound to, `SocketQueue` over the inbox, one at a time.

mod inbox;
mod options;
mod ring;
mod send;
mod taps;

pub use ring::header_len;
pub use taps::Taps;

use std::any::Any;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use abi::Errno;
use abi::capability::Cap;
use abi::ioctl::TIOCOUTQ;
use abi::poll::{POLLERR, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use abi::sockaddr::SockaddrLl;
use abi::socket::{AF_PACKET, MsgFlags, PACKET_AUXDATA, PacketMreq};
use sync::{Mutex, WaitQueue};
use zerocopy::{FromBytes, IntoBytes};

use self::inbox::Inbox;
use self::ring::Version;
use super::inet::ioctl;
use super::inet::stack::NetStack;
use super::message::{Received, RecvMsg, SendMsg};
use super::options::Options;
use super::owner::Owner;
use super::socket::{Connect, Kind, Shutdown, Socket};
use crate::error::{Result, SysResult, err};
use crate::lock_order;
use crate::mm::Mappable;
use crate::task::CurrentTask;
use crate::user::UserPtr;

/// A packet socket.
#[derive(Debug)]
pub struct PacketSocket {
    this: Weak<Self>,
    net: Arc<NetStack>,
    kind: Kind,
    owner: OnceLock<Owner>,
    options: Options,
    queue: WaitQueue,
    /// `sk_err`: told once.
    error: AtomicI32,
    /// A bit for each option of SOL_PACKET that is on.
    remembered: AtomicU32,
    inbox: Mutex<Inbox, lock_order::SocketQueue>,
    state: Mutex<State, lock_order::Socket>,
}

#[derive(Debug, Default)]
struct State {
    /// ETH_P_*; 0 sees nothing.
    protocol: u16,
    /// The device it is bound to; 0 for all.
    device: u32,
    /// PACKET_ADD_MEMBERSHIP, and how often. Devices pass everything on, so that they are only counted.
    memberships: Vec<(PacketMreq, u32)>,
    /// PACKET_IGNORE_OUTGOING.
    ignores_outgoing: bool,
    /// PACKET_VERSION and PACKET_RESERVE, for the ring that is made next.
    version: Version,
    reserve: u32,
}

/// A line of /proc/net/packet.
#[derive(Clone, Copy, Debug)]
pub struct PacketListing {
    /// SOCK_*.
    pub kind: i32,
    /// ETH_P_*.
    pub protocol: u16,
    /// The device, 0 for all.
    pub device: u32,
    /// Bytes that wait.
    pub waiting: usize,
    /// Inode and user.
    pub owner: Owner,
}

/// socket(2) for AF_PACKET.
pub(super) fn create(task: &CurrentTask, kind: Kind, protocol: i32) -> Result<Arc<dyn Socket>> {
    let net = NetStack::of(task);
    // The filter of a sandbox with the host's network has no such sockets.
    if net.host().is_some() {
        return err(Errno::EAFNOSUPPORT);
    }
    if !task.creds().has_in(Cap::CAP_NET_RAW, &task.namespaces().net.user_ns) {
        return err(Errno::EPERM);
    }
    if kind != Kind::Raw && kind != Kind::Datagram {
        return err(Errno::ESOCKTNOSUPPORT);
    }
    let [high, low, ..] = protocol.to_ne_bytes();
    let socket = Arc::new_cyclic(|this| PacketSocket {
        this: this.clone(),
        net: Arc::clone(&net),
        kind,
        owner: OnceLock::new(),
        options: Options::default(),
        queue: WaitQueue::new(),
        error: AtomicI32::new(0),
        remembered: AtomicU32::new(0),
        inbox: Mutex::default(),
        state: Mutex::default(),
    });
    net.packets.sockets.add(Arc::downgrade(&socket));
    socket.look_for(&mut socket.state.lock(), u16::from_be_bytes([high, low]));
    Ok(socket)
}

impl PacketSocket {
    /// From now on frames of this protocol are looked for.
    fn look_for(&self, state: &mut State, protocol: u16) {
        let looking = &self.net.packets.looking;
        match (state.protocol != 0, protocol != 0) {
            (false, true) => drop(looking.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(looking.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
        state.protocol = protocol;
    }

    /// What listings say of it.
    #[must_use]
    pub fn listing(&self) -> PacketListing {
        let state = self.state.lock();
        let (protocol, device) = (state.protocol, state.device);
        drop(state);
        PacketListing {
            kind: self.kind.raw(),
            protocol,
            device,
            waiting: self.inbox.lock().charged(),
            owner: self.owner.get().copied().unwrap_or_default(),
        }
    }
}

impl Socket for PacketSocket {
    fn family(&self) -> u16 {
        AF_PACKET
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn protocol(&self) -> i32 {
        // In the order of the network, as it was given.
        u16::from_ne_bytes(self.state.lock().protocol.to_be_bytes()).into()
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

    fn bind(&self, _: &CurrentTask, addr: &[u8]) -> Result<()> {
        let (addr, _) = SockaddrLl::read_from_prefix(addr).map_err(|_| Errno::EINVAL)?;
        if addr.sll_family != AF_PACKET {
            return err(Errno::EINVAL);
        }
        let index = u32::try_from(addr.sll_ifindex).map_err(|_| Errno::ENODEV)?;
        let up = match index {
            0 => true,
            _ => self.net.with_links(|links| links.device(index).map(|device| device.up)).ok_or(Errno::ENODEV)?,
        };
        let mut state = self.state.lock();
        state.device = index;
        let protocol = match u16::from_be_bytes(addr.sll_protocol) {
            0 => state.protocol,
            protocol => protocol,
        };
        self.look_for(&mut state, protocol);
        drop(state);
        if !up && protocol != 0 {
            self.error.store(Errno::ENETDOWN.raw(), Ordering::Release);
            self.queue.notify(POLLERR);
        }
        Ok(())
    }

    fn connect(&self, _: &CurrentTask, _: &[u8]) -> Result<Connect> {
        err(Errno::EOPNOTSUPP)
    }

    fn local_addr(&self) -> Result<Vec<u8>> {
        let state = self.state.lock();
        let (protocol, index) = (state.protocol, state.device);
        drop(state);
        let device = self.net.with_links(|links| links.device(index).cloned());
        let mut addr = SockaddrLl {
            sll_family: AF_PACKET,
            sll_protocol: protocol.to_be_bytes(),
            sll_ifindex: index.cast_signed(),
            ..SockaddrLl::default()
        };
        let mut len = size_of::<SockaddrLl>() - addr.sll_addr.len();
        if let Some(device) = device {
            addr.sll_hatype = device.hardware();
            addr.sll_halen = 6;
            addr.sll_addr[..6].copy_from_slice(&device.mac);
            len += 6;
        }
        Ok(addr.as_bytes()[..len].to_vec())
    }

    fn peer_addr(&self) -> Result<Vec<u8>> {
        err(Errno::EOPNOTSUPP)
    }

    fn send(&self, _: &CurrentTask, message: &mut SendMsg<'_, '_>) -> Result<usize> {
        send::send(self, message)
    }

    fn recv(&self, _: &CurrentTask, message: &mut RecvMsg<'_, '_>) -> Result<Received> {
        let known = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC | MsgFlags::MSG_CMSG_CLOEXEC;
        if !known.contains(message.flags) {
            return err(Errno::EINVAL);
        }
        match self.error.swap(0, Ordering::AcqRel) {
            0 => self.inbox.lock().pop(self, message, self.flag(PACKET_AUXDATA)),
            raw => err(Errno::from_raw(raw)),
        }
    }

    fn shutdown(&self, _: Shutdown) -> Result<()> {
        err(Errno::EOPNOTSUPP)
    }

    fn getsockopt(&self, _: &CurrentTask, level: i32, name: i32, _: usize) -> Result<Vec<u8>> {
        options::get(self, level, name)
    }

    fn setsockopt(&self, task: &CurrentTask, level: i32, name: i32, value: &[u8]) -> Result<()> {
        options::set(self, task, level, name, value)
    }

    fn mappable(&self) -> Result<Arc<dyn Mappable>> {
        match &self.inbox.lock().ring {
            Some(ring) => Ok(Arc::clone(ring.memory()) as Arc<dyn Mappable>),
            None => err(Errno::EINVAL),
        }
    }

    fn poll(&self) -> u32 {
        let mut events = POLLOUT | POLLWRNORM;
        if !self.inbox.lock().is_empty() {
            events |= POLLIN | POLLRDNORM;
        }
        if self.error.load(Ordering::Acquire) != 0 {
            events |= POLLERR;
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
        self.look_for(&mut state, 0);
        state.memberships.clear();
        drop(state);
        self.net.packets.sockets.remove(&self.this);
        let dropped = std::mem::take(&mut *self.inbox.lock());
        drop(dropped);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
