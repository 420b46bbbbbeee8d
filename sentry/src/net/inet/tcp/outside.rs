//! A connection that leaves the sandbox: the same face as [`super::link::Link`], over the protocol engine.
//!
//! Lock: `Gate`, through [`crate::net::inet::gate`].

use std::net::SocketAddr;
use std::sync::Arc;

use abi::Errno;
use netstack::{Handle, StreamState};

use super::end::End;
use super::flow::{Pushed, ReadMode, Readiness};
use super::{TcpSocket, TcpState};
use crate::error::{Error, Result, err};
use crate::io::{IoDst, IoSrc};
use crate::net::inet::gate::Gate;
use crate::net::inet::ports::Lease;

/// One side of a connection to the outside. The last to let go of it ends it.
#[derive(Clone, Debug)]
pub(super) struct Outside {
    inner: Arc<Inner>,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
}

#[derive(Debug)]
struct Inner {
    gate: Arc<Gate>,
    handle: Handle,
    end: Arc<End>,
    _lease: Option<Lease<TcpSocket>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.gate.drive().release(self.handle, false);
    }
}

impl Outside {
    /// Takes over a connection of the engine.
    pub(super) fn new(
        gate: &Arc<Gate>,
        handle: Handle,
        end: &Arc<End>,
        lease: Option<Lease<TcpSocket>>,
        (local, remote): (SocketAddr, SocketAddr),
    ) -> Self {
        gate.drive().watch(handle, end);
        let inner = Inner { gate: Arc::clone(gate), handle, end: Arc::clone(end), _lease: lease };
        Self { inner: Arc::new(inner), local, remote }
    }

    fn engine_state(&self) -> StreamState {
        self.inner.gate.look(|engine| engine.state(self.inner.handle))
    }

    /// Whether it is being opened still.
    pub(super) fn opening(&self) -> bool {
        self.engine_state() == StreamState::Opening
    }

    pub(super) fn state(&self) -> TcpState {
        match self.engine_state() {
            StreamState::Opening => TcpState::SynSent,
            StreamState::Established => TcpState::Established,
            StreamState::FinWait => TcpState::FinWait2,
            StreamState::CloseWait => TcpState::CloseWait,
            StreamState::Closed | StreamState::Reset => TcpState::Close,
        }
    }

    pub(super) fn push(&self, src: &mut IoSrc<'_>, more: bool) -> Result<Pushed> {
        let handle = self.inner.handle;
        let mut driving = self.inner.gate.drive();
        let engine = driving.engine();
        match engine.state(handle) {
            StreamState::Established | StreamState::CloseWait => {}
            StreamState::Opening => return err(Errno::EAGAIN),
            _ => return err(Errno::EPIPE),
        }
        let want = src.remaining();
        let mut sent = 0;
        // A ring has its free room in two pieces at most.
        for _ in 0..2 {
            sent += engine.send::<Error>(handle, more, |room| {
                let len = room.len().min(want - sent);
                src.take(&mut room[..len])
            })?;
        }
        if sent == 0 && want > 0 { err(Errno::EAGAIN) } else { Ok(Pushed::Bytes(sent)) }
    }

    pub(super) fn pop(&self, dst: &mut IoDst<'_>, mode: ReadMode) -> Result<Option<usize>> {
        let handle = self.inner.handle;
        let mut driving = self.inner.gate.drive();
        let engine = driving.engine();
        let there = engine.readable(handle);
        let open = matches!(engine.state(handle), StreamState::Established | StreamState::FinWait);
        if there == 0 || (open && there < mode.low_water) {
            return Ok(None);
        }
        if mode.peek {
            let bytes = engine.peek(handle, mode.from.saturating_add(dst.remaining()));
            let bytes = bytes.get(mode.from..).unwrap_or_default();
            return if bytes.is_empty() { Ok(None) } else { dst.put(bytes).map(Some) };
        }
        let mut done = 0;
        for _ in 0..2 {
            if dst.remaining() == 0 {
                break;
            }
            done += engine.receive_stream::<Error>(handle, |bytes| {
                if mode.discard {
                    Ok(dst.skip(bytes.len()))
                } else if bytes.is_empty() {
                    Ok(0)
                } else {
                    dst.put(bytes)
                }
            })?;
        }
        Ok(Some(done))
    }

    pub(super) fn readiness(&self) -> Readiness {
        let handle = self.inner.handle;
        let (state, len) = self.inner.gate.look(|engine| (engine.state(handle), engine.readable(handle)));
        Readiness {
            len,
            fin: matches!(state, StreamState::CloseWait | StreamState::Closed),
            reset: state == StreamState::Reset,
            urgent: false,
            at_mark: false,
        }
    }

    pub(super) fn writable(&self) -> bool {
        let (room, all) = self.inner.gate.look(|engine| engine.send_room(self.inner.handle));
        room >= all / 3
    }

    pub(super) fn unacknowledged(&self) -> usize {
        self.inner.gate.look(|engine| engine.unacknowledged(self.inner.handle))
    }

    pub(super) fn finish(&self) {
        self.inner.gate.drive().engine().finish(self.inner.handle);
    }

    pub(super) fn set_nagle(&self, on: bool) {
        self.inner.gate.drive().engine().set_nagle(self.inner.handle, on);
    }

    /// The socket is closed: unread bytes make it a reset.
    pub(super) fn close(&self, abort: bool) {
        let unread = self.readiness().len > 0;
        let opening = self.opening();
        self.inner.gate.drive().release(self.inner.handle, abort || unread || opening);
        let _ = &self.inner.end;
    }
}
