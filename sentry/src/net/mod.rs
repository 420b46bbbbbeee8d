//! Sockets.
//!
//! [`Socket`] is what a protocol implements, [`SocketFile`] makes it an open file; [`message`] is what travels through
//! `sendmsg` and `recvmsg`, files ([`in_flight`]) and credentials included; [`options`] are the SOL_SOCKET options that all share.
//! [`unix`] is AF_UNIX, [`inet`] AF_INET and AF_INET6, [`netlink`] AF_NETLINK, [`packet`]
//! AF_PACKET; [`filter`] are the filters that any of them may have. As with files, no operation blocks: the system calls wait and try again.

mod file;
pub mod filter;
pub mod in_flight;
pub mod inet;
pub mod members;
pub mod message;
pub mod netlink;
pub mod options;
mod owner;
pub mod packet;
mod socket;
mod stamp;
pub mod unix;

pub use file::SocketFile;
pub use owner::Owner;
pub use socket::{Connect, Kind, Shutdown, Socket};

use std::sync::Arc;

use abi::Errno;
use abi::socket::{AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX};

use crate::error::{Result, err};
use crate::task::CurrentTask;

/// Whether there are sockets of that family.
#[must_use]
pub fn has_family(family: u16) -> bool {
    matches!(family, AF_UNIX | AF_INET | AF_INET6 | AF_NETLINK | AF_PACKET)
}

/// Makes a socket, socket(2).
pub fn create(task: &CurrentTask, family: u16, kind: Kind, protocol: i32) -> Result<Arc<dyn Socket>> {
    match family {
        AF_UNIX => unix::create(task, kind, protocol),
        AF_INET => inet::create(task, inet::Family::V4, kind, protocol),
        AF_INET6 => inet::create(task, inet::Family::V6, kind, protocol),
        AF_NETLINK => netlink::create(task, kind, protocol),
        AF_PACKET => packet::create(task, kind, protocol),
        _ => err(Errno::EAFNOSUPPORT),
    }
}

/// Makes two connected sockets, socketpair(2).
pub fn pair(task: &CurrentTask, family: u16, kind: Kind, protocol: i32) -> Result<(Arc<dyn Socket>, Arc<dyn Socket>)> {
    match family {
        AF_UNIX => unix::pair(task, kind, protocol),
        AF_INET | AF_INET6 | AF_NETLINK | AF_PACKET => {
            create(task, family, kind, protocol)?;
            err(Errno::EOPNOTSUPP)
        }
        _ => err(Errno::EAFNOSUPPORT),
    }
}
