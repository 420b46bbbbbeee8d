//! What a protocol implements.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use abi::Errno;
use abi::socket::SOCK_MAX;
use sync::WaitQueue;

use super::message::{Received, RecvMsg, SendMsg};
use super::options::Options;
use super::owner::Owner;
use crate::error::{Result, SysResult, err};
use crate::mm::Mappable;
use crate::task::CurrentTask;

/// The type of a socket, socket(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// SOCK_STREAM.
    Stream,
    /// SOCK_DGRAM.
    Datagram,
    /// SOCK_SEQPACKET.
    SeqPacket,
    /// SOCK_RAW.
    Raw,
}

impl Kind {
    /// From the `type` argument without its flags.
    pub fn new(raw: u32) -> Result<Self> {
        Ok(match raw {
            1 => Self::Stream,
            2 => Self::Datagram,
            3 => Self::Raw,
            5 => Self::SeqPacket,
            0 | 4 | 6..SOCK_MAX => return err(Errno::ESOCKTNOSUPPORT),
            SOCK_MAX.. => return err(Errno::EINVAL),
        })
    }

    /// The number, for SO_TYPE.
    #[must_use]
    pub const fn raw(self) -> i32 {
        match self {
            Self::Stream => 1,
            Self::Datagram => 2,
            Self::Raw => 3,
            Self::SeqPacket => 5,
        }
    }
}

/// Which directions shutdown(2) ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// No more is received.
    pub read: bool,
    /// No more is sent.
    pub write: bool,
}

/// How far a connect(2) came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connect {
    /// It is connected.
    Done,
    /// It goes on by itself; the socket becomes writable when it is done (EINPROGRESS for who does not wait).
    InProgress,
    /// An earlier call began it, and it still goes on (EALREADY for who does not wait).
    Already,
}

/// A socket. Addresses are `struct sockaddr` bytes, the family first.
pub trait Socket: Any + Debug + Send + Sync {
    /// AF_*.
    fn family(&self) -> u16;

    /// Its type.
    fn kind(&self) -> Kind;

    /// Its protocol number.
    fn protocol(&self) -> i32 {
        0
    }

    /// The options all sockets have.
    fn options(&self) -> &Options;

    /// Whether [`Self::options`] has that option of SOL_SOCKET, as far as it has it at all; the others go to
    /// [`Self::getsockopt`] and [`Self::setsockopt`].
    fn has_option(&self, name: i32) -> bool {
        let _ = name;
        true
    }

    /// Whether what arrives passes the filter of [`Self::options`].
    fn takes_filters(&self) -> bool {
        false
    }

    /// bind(2).
    fn bind(&self, task: &CurrentTask, addr: &[u8]) -> Result<()>;

    /// connect(2). EAGAIN: the listener's backlog is full; try again when its queue tells POLLOUT.
    fn connect(&self, task: &CurrentTask, addr: &[u8]) -> Result<Connect>;

    /// What became of a connection in progress; EAGAIN while it is.
    fn finish_connect(&self) -> Result<()> {
        Ok(())
    }

    /// listen(2).
    fn listen(&self, task: &CurrentTask, backlog: i32) -> Result<()> {
        let _ = (task, backlog);
        err(Errno::EOPNOTSUPP)
    }

    /// Whether it accepts connections.
    fn is_listening(&self) -> bool {
        false
    }

    /// accept(2). EAGAIN if nobody waits.
    fn accept(&self) -> Result<Arc<dyn Socket>> {
        err(Errno::EOPNOTSUPP)
    }

    /// getsockname(2).
    fn local_addr(&self) -> Result<Vec<u8>>;

    /// getpeername(2).
    fn peer_addr(&self) -> Result<Vec<u8>>;

    /// The peer of a socket that was just accepted, even if it is gone by now.
    fn accepted_from(&self) -> Result<Vec<u8>> {
        // A peer that is gone already is not an error of accept(2).
        Ok(self.peer_addr().unwrap_or_else(|_| self.family().to_ne_bytes().to_vec()))
    }

    /// Whose socket it is; told once, when it gets its file.
    fn set_owner(&self, task: &CurrentTask, owner: Owner) {
        let _ = (task, owner);
    }

    /// An option of [`Self::options`] was set.
    fn options_changed(&self) {}

    /// Takes an entry of the error queue (MSG_ERRQUEUE). EAGAIN if it is empty.
    fn recv_error(&self, message: &mut RecvMsg<'_, '_>) -> Result<Received> {
        let _ = message;
        err(Errno::EAGAIN)
    }

    /// sendmsg(2): returns how many bytes were taken; EAGAIN for no room now.
    fn send(&self, task: &CurrentTask, message: &mut SendMsg<'_, '_>) -> Result<usize>;

    /// recvmsg(2): EAGAIN if nothing is there.
    fn recv(&self, task: &CurrentTask, message: &mut RecvMsg<'_, '_>) -> Result<Received>;

    /// shutdown(2).
    fn shutdown(&self, how: Shutdown) -> Result<()>;

    /// getsockopt(2) beyond [`Options`]; `len` is the room the application has.
    fn getsockopt(&self, task: &CurrentTask, level: i32, name: i32, len: usize) -> Result<Vec<u8>> {
        let _ = (task, level, name, len);
        err(Errno::ENOPROTOOPT)
    }

    /// setsockopt(2) beyond [`Options`].
    fn setsockopt(&self, task: &CurrentTask, level: i32, name: i32, value: &[u8]) -> Result<()> {
        let _ = (task, level, name, value);
        err(Errno::ENOPROTOOPT)
    }

    /// What mmap(2) maps.
    fn mappable(&self) -> Result<Arc<dyn Mappable>> {
        err(Errno::ENODEV)
    }

    /// POLL* bits that hold.
    fn poll(&self) -> u32;

    /// Where changes of readiness are told.
    fn wait_queue(&self) -> &WaitQueue;

    /// How many bytes FIONREAD reports.
    fn readable_bytes(&self) -> Result<usize>;

    /// ioctl(2) beyond FIONREAD.
    fn ioctl(&self, task: &CurrentTask, cmd: u32, arg: u64) -> SysResult {
        let _ = (task, cmd, arg);
        err(Errno::ENOTTY)
    }

    /// The last descriptor was closed.
    fn close(&self) {}

    /// For those who look for a certain type.
    fn as_any(&self) -> &dyn Any;
}
