//! mq_notify(2): a process hears, once, that the first message has come.

use std::sync::{Arc, Weak};

use abi::Errno;
use abi::ipc::{NOTIFY_COOKIE_LEN, NOTIFY_REMOVED, NOTIFY_WOKENUP};
use abi::siginfo::{SI_MESGQ, SigInfo};
use abi::signal::{SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD, Signal};

use crate::error::{Result, err};
use crate::net::Socket;
use crate::net::netlink::NetlinkSocket;
use crate::task::{CurrentTask, ThreadGroup};

/// How somebody wants to hear of it.
#[derive(Clone, Debug)]
pub enum Notice {
    /// SIGEV_NONE: not at all, but nobody else does either.
    Silent,
    /// SIGEV_SIGNAL: by this signal with this value.
    Signal(Signal, u64),
    /// SIGEV_THREAD: by a cookie that comes out of a netlink socket, where a thread of the C library waits for it.
    Thread(Cookie),
}

/// What SIGEV_THREAD sends, and where to.
#[derive(Clone, Debug)]
pub struct Cookie {
    socket: Arc<dyn Socket>,
    bytes: [u8; NOTIFY_COOKIE_LEN],
}

impl Cookie {
    /// EINVAL if the socket is not a netlink socket, EAGAIN if it holds so much already that the cookie might be lost.
    pub fn new(socket: Arc<dyn Socket>, bytes: [u8; NOTIFY_COOKIE_LEN]) -> Result<Self> {
        match netlink(&*socket) {
            None => err(Errno::EINVAL),
            Some(netlink) if !netlink.has_room(bytes.len()) => err(Errno::EAGAIN),
            Some(_) => Ok(Self { socket, bytes }),
        }
    }

    /// The last byte says why.
    fn send(&self, why: u8) {
        let mut bytes = self.bytes.to_vec();
        if let (Some(last), Some(netlink)) = (bytes.last_mut(), netlink(&*self.socket)) {
            *last = why;
            netlink.post(bytes);
        }
    }
}

fn netlink(socket: &dyn Socket) -> Option<&NetlinkSocket> {
    socket.as_any().downcast_ref()
}

/// Who wants to hear of it.
#[derive(Debug)]
pub(super) struct Registration {
    who: Weak<ThreadGroup>,
    how: Notice,
}

impl Registration {
    pub(super) fn new(who: &Arc<ThreadGroup>, how: Notice) -> Self {
        Self { who: Arc::downgrade(who), how }
    }

    pub(super) fn is_of(&self, group: &ThreadGroup) -> bool {
        std::ptr::eq(self.who.as_ptr(), group)
    }

    /// Tells that `sender` has sent the first message.
    pub(super) fn tell(&self, sender: &CurrentTask) {
        let (signal, value) = match &self.how {
            Notice::Silent => return,
            Notice::Signal(signal, value) => (*signal, *value),
            Notice::Thread(cookie) => return cookie.send(NOTIFY_WOKENUP),
        };
        let Some(who) = self.who.upgrade() else { return };
        let pid = sender.group().tgid_in(who.pid().ns());
        let uid = who.leader().map_or(0, |leader| leader.creds().user_ns.show_uid(sender.creds().uid));
        who.send_signal(SigInfo::queued(signal, SI_MESGQ, pid, uid, value));
    }

    /// It is taken back before anything came.
    pub(super) fn taken_back(&self) {
        if let Notice::Thread(cookie) = &self.how {
            cookie.send(NOTIFY_REMOVED);
        }
    }

    /// Kind, signal and process, as the queue's file shows them.
    pub(super) fn show(&self, reader: &CurrentTask) -> (i32, i32, i32) {
        let pid = self.who.upgrade().map_or(0, |who| who.tgid_in(reader.pid_ns()));
        match &self.how {
            Notice::Silent => (SIGEV_NONE, 0, pid),
            Notice::Thread(_) => (SIGEV_THREAD, 0, pid),
            Notice::Signal(signal, _) => (SIGEV_SIGNAL, signal.number(), pid),
        }
    }
}
