//! A connection, within the sandbox or to the outside: one face for both.

use std::net::SocketAddr;

use super::flow::{Pushed, ReadMode, Readiness};
use super::link::{Link, TcpState};
use super::outside::Outside;
use crate::error::{Result, err};
use crate::io::{IoDst, IoSrc};

/// One side of a connection.
#[derive(Clone, Debug)]
pub(super) enum Conn {
    /// To a socket of the sandbox.
    Inside(Link),
    /// To somebody else.
    Outside(Outside),
}

impl Conn {
    pub(super) fn local(&self) -> SocketAddr {
        match self {
            Self::Inside(link) => link.local,
            Self::Outside(outside) => outside.local,
        }
    }

    pub(super) fn remote(&self) -> SocketAddr {
        match self {
            Self::Inside(link) => link.remote,
            Self::Outside(outside) => outside.remote,
        }
    }

    pub(super) fn state(&self) -> TcpState {
        match self {
            Self::Inside(link) => link.state(),
            Self::Outside(outside) => outside.state(),
        }
    }

    /// Whether it is not established yet.
    pub(super) fn opening(&self) -> bool {
        match self {
            Self::Inside(_) => false,
            Self::Outside(outside) => outside.opening(),
        }
    }

    /// Sends, with `room` bytes of our own buffer. A reset that this leads to is ours. What is followed by `more` may wait for
    /// it; within the sandbox nothing is gained by that.
    pub(super) fn push(&self, src: &mut IoSrc<'_>, room: usize, urgent: bool, more: bool) -> Result<usize> {
        match self {
            Self::Inside(link) => match link.outgoing().push(src, link.send_limit(room), urgent)? {
                Pushed::Bytes(n) => Ok(n),
                Pushed::Lost(n) => {
                    link.reset_self();
                    Ok(n)
                }
            },
            // The engine knows no urgent data.
            Self::Outside(_) if urgent => err(abi::Errno::EOPNOTSUPP),
            Self::Outside(outside) => match outside.push(src, more)? {
                Pushed::Bytes(n) | Pushed::Lost(n) => Ok(n),
            },
        }
    }

    pub(super) fn pop(&self, dst: &mut IoDst<'_>, mode: ReadMode) -> Result<Option<usize>> {
        match self {
            Self::Inside(link) => link.incoming().pop(dst, mode),
            Self::Outside(outside) => outside.pop(dst, mode),
        }
    }

    pub(super) fn pop_urgent(&self, dst: &mut IoDst<'_>, peek: bool) -> Result<usize> {
        match self {
            Self::Inside(link) => link.incoming().pop_urgent(dst, peek),
            Self::Outside(_) => err(abi::Errno::EINVAL),
        }
    }

    pub(super) fn readiness(&self, urgent_inline: bool) -> Readiness {
        match self {
            Self::Inside(link) => link.incoming().readiness(urgent_inline),
            Self::Outside(outside) => outside.readiness(),
        }
    }

    pub(super) fn writable(&self, room: usize) -> bool {
        match self {
            Self::Inside(link) => link.outgoing().writable(link.send_limit(room)),
            Self::Outside(outside) => outside.writable(),
        }
    }

    /// Bytes that were sent and are not at the peer's.
    pub(super) fn unacknowledged(&self) -> usize {
        match self {
            Self::Inside(_) => 0,
            Self::Outside(outside) => outside.unacknowledged(),
        }
    }

    /// All bytes sent and received so far, where that is known.
    pub(super) fn totals(&self) -> (u64, u64) {
        match self {
            Self::Inside(link) => (link.outgoing().totals().0, link.incoming().totals().0),
            Self::Outside(_) => (0, 0),
        }
    }

    pub(super) fn finish(&self) {
        match self {
            Self::Inside(link) => link.finish(),
            Self::Outside(outside) => outside.finish(),
        }
    }

    pub(super) fn close(&self, abort: bool) {
        match self {
            Self::Inside(link) => link.close(abort),
            Self::Outside(outside) => outside.close(abort),
        }
    }

    /// TCP_NODELAY or TCP_CORK was changed.
    pub(super) fn set_nagle(&self, on: bool) {
        if let Self::Outside(outside) = self {
            outside.set_nagle(on);
        }
    }
}
