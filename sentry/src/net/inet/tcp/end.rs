//! What outlives neither side alone: the wait queue and the pending error of one end of a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use abi::Errno;
use sync::WaitQueue;

/// How many ends make a crowd: then idle ones keep no buffers.
const CROWD: usize = 1024;

static ENDS: AtomicUsize = AtomicUsize::new(0);

/// Whether there are many connections in the sandbox.
pub(super) fn crowded() -> bool {
    ENDS.load(Ordering::Relaxed) > CROWD
}

/// One end; the socket and the flows that lead to and from it share it.
#[derive(Debug)]
pub(in crate::net::inet) struct End {
    /// Readiness of the socket.
    pub(in crate::net::inet) queue: WaitQueue,
    /// `sk_err`: told once.
    error: AtomicI32,
    /// SO_RCVBUF as far as it counts here.
    receive_room: AtomicUsize,
}

impl End {
    pub(super) fn new() -> Arc<Self> {
        ENDS.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            queue: WaitQueue::new(),
            error: AtomicI32::new(0),
            receive_room: AtomicUsize::new(super::AUTO_BUFFER),
        })
    }

    /// The connection is gone, and not because we wanted it.
    pub(in crate::net::inet) fn connection_lost(&self, opening: bool) {
        self.set_error(if opening { Errno::ECONNREFUSED } else { Errno::ECONNRESET });
    }

    pub(super) fn set_error(&self, errno: Errno) {
        self.error.store(errno.raw(), Ordering::Release);
    }

    pub(super) fn has_error(&self) -> bool {
        self.error.load(Ordering::Acquire) != 0
    }

    pub(super) fn take_error(&self) -> Option<Errno> {
        if !self.has_error() {
            return None;
        }
        match self.error.swap(0, Ordering::AcqRel) {
            0 => None,
            raw => Some(Errno::from_raw(raw)),
        }
    }

    pub(super) fn receive_room(&self) -> usize {
        self.receive_room.load(Ordering::Relaxed)
    }

    pub(super) fn set_receive_room(&self, room: usize) {
        self.receive_room.store(room, Ordering::Relaxed);
    }
}

impl Drop for End {
    fn drop(&mut self) {
        ENDS.fetch_sub(1, Ordering::Relaxed);
    }
}
