//! The kernel's own end of a connection to a program: without a socket, a thread of ours reads and writes it.

use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use abi::Errno;
use sync::{WaitId, Wake};

use super::conn::Conn;
use super::end::End;
use super::flow::ReadMode;
use crate::error::Result;
use crate::io::{IoDst, IoSrc};

/// How much of what we write may wait on our side.
const ROOM: usize = 64 << 10;

/// One end of a connection, which is closed with it.
#[derive(Debug)]
pub(in crate::net::inet) struct Served {
    pub(super) conn: Conn,
    pub(super) end: Arc<End>,
}

/// Wakes the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(&self, _: u32) {
        self.0.unpark();
    }
}

impl Served {
    /// Fills the buffer. `None` if the program ends, or says nothing for so long.
    pub(in crate::net::inet) fn read_exact(&self, buffer: &mut [u8], patience: Duration) -> Option<()> {
        let mode = ReadMode { peek: false, discard: false, urgent_inline: true, low_water: 1, from: 0 };
        let mut dst = IoDst::kernel(buffer);
        while dst.remaining() > 0 {
            let read = || match self.conn.pop(&mut dst, mode) {
                Ok(Some(n)) if n > 0 => Some(Ok(n)),
                Ok(_) => {
                    let now = self.conn.readiness(true);
                    (now.fin || now.reset).then(|| Err(Errno::EPIPE.into()))
                }
                Err(e) => Some(Err(e)),
            };
            self.wait(patience, read)?.ok()?;
        }
        Some(())
    }

    /// Writes it all. `None` if the program is gone, or does not read for so long.
    pub(in crate::net::inet) fn write_all(&self, bytes: &[u8], patience: Duration) -> Option<()> {
        let mut src = IoSrc::kernel(bytes);
        while src.remaining() > 0 {
            let write = || match self.conn.push(&mut src, ROOM, false, false) {
                Err(e) if e.is(Errno::EAGAIN) => None,
                other => Some(other),
            };
            self.wait(patience, write)?.ok()?;
        }
        Some(())
    }

    /// Tries until something comes of it.
    fn wait(&self, patience: Duration, mut attempt: impl FnMut() -> Option<Result<usize>>) -> Option<Result<usize>> {
        if let Some(done) = attempt() {
            return Some(done);
        }
        let until = Instant::now() + patience;
        let _listening =
            Listening { end: &self.end, id: self.end.queue.register(u32::MAX, Arc::new(Unpark(thread::current()))) };
        loop {
            if let Some(done) = attempt() {
                return Some(done);
            }
            let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            thread::park_timeout(left);
        }
    }
}

/// Listens as long as it is there.
struct Listening<'a> {
    end: &'a End,
    id: WaitId,
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.end.queue.unregister(self.id);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.conn.close(false);
    }
}
