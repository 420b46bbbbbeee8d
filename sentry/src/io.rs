//! Where the bytes of a read go and where those of a write come from: application memory or a buffer of the kernel.
//!
//! Files put into an [`IoDst`] and take from an [`IoSrc`] without knowing which it is. A file that is backed by a host
//! descriptor or by the memory file moves bytes straight between the two through [`host::mem::HostSlice`]s, with no buffer
//! in between.

use abi::Errno;
use host::mem::HostSlice;

use crate::error::Result;
use crate::mm::MemoryManager;
use crate::user::UserSlice;

/// The most one call moves, as on Linux (MAX_RW_COUNT).
pub const MAX_RW_COUNT: usize = 0x7fff_f000;

/// Where a read puts its bytes. It advances as bytes are put.
#[derive(Debug)]
pub struct IoDst<'a> {
    to: Dst<'a>,
    done: usize,
}

#[derive(Debug)]
enum Dst<'a> {
    User { mm: &'a MemoryManager, cursor: Cursor<'a> },
    Kernel(&'a mut [u8]),
}

/// Where a write takes its bytes from. It advances as bytes are taken.
#[derive(Clone, Debug)]
pub struct IoSrc<'a> {
    from: Src<'a>,
    done: usize,
    /// What is behind this many bytes is not taken.
    end: usize,
}

#[derive(Clone, Debug)]
enum Src<'a> {
    User { mm: &'a MemoryManager, cursor: Cursor<'a> },
    Kernel(&'a [u8]),
}

/// A position in an I/O vector.
#[derive(Clone, Debug)]
struct Cursor<'a> {
    iov: &'a [UserSlice],
    /// Into `iov[0]`.
    offset: usize,
}

impl Cursor<'_> {
    /// The rest of the current element, skipping empty ones.
    fn current(&mut self) -> Option<UserSlice> {
        loop {
            let first = self.iov.first()?;
            if self.offset < first.len {
                let addr = first.addr.wrapping_add(self.offset as u64);
                return Some(UserSlice::new(addr, first.len - self.offset));
            }
            self.iov = &self.iov[1..];
            self.offset = 0;
        }
    }

    fn remaining(&self) -> usize {
        let total = self.iov.iter().fold(0usize, |sum, s| sum.saturating_add(s.len));
        total.saturating_sub(self.offset).min(MAX_RW_COUNT)
    }
}

impl<'a> IoDst<'a> {
    /// Into application memory.
    #[must_use]
    pub fn user(mm: &'a MemoryManager, iov: &'a [UserSlice]) -> Self {
        Self { to: Dst::User { mm, cursor: Cursor { iov, offset: 0 } }, done: 0 }
    }

    /// Into a buffer of ours.
    #[must_use]
    pub fn kernel(buffer: &'a mut [u8]) -> Self {
        Self { to: Dst::Kernel(buffer), done: 0 }
    }

    /// How many bytes still fit.
    #[must_use]
    pub fn remaining(&self) -> usize {
        match &self.to {
            Dst::User { cursor, .. } => cursor.remaining(),
            Dst::Kernel(buffer) => buffer.len() - self.done,
        }
    }

    /// How many bytes were put so far.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }

    /// Copies as much of `bytes` as fits; returns how much that was. EFAULT only if nothing could be copied.
    pub fn put(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut copied = 0;
        self.fill(bytes.len(), |slice| {
            let n = slice.write(&bytes[copied..])?;
            copied += n;
            Ok(n)
        })
    }

    /// Leaves out up to `n` bytes: they count as put and are not touched. Returns how many.
    pub fn skip(&mut self, n: usize) -> usize {
        let n = n.min(self.remaining());
        if let Dst::User { cursor, .. } = &mut self.to {
            let mut left = n;
            while left > 0
                && let Some(slice) = cursor.current()
            {
                let step = slice.len.min(left);
                cursor.offset += step;
                left -= step;
            }
        }
        self.done += n;
        n
    }

    /// Takes from `src` what fits.
    pub fn fill_from(&mut self, src: &mut IoSrc<'_>) -> Result<usize> {
        let limit = src.remaining();
        self.fill(limit, |to| {
            let mut done = 0;
            let len = to.len();
            src.drain(len, |from| {
                let n = to.skip(done).copy_from(&from)?;
                done += n;
                Ok(n)
            })
        })
    }

    /// Lets `f` write into the destination piece by piece, up to `limit` bytes in all. `f` returns how many bytes it
    /// wrote; less than the piece ends the transfer. An error after some bytes is forgotten, as read(2) does.
    pub fn fill(&mut self, limit: usize, mut f: impl FnMut(HostSlice<'_>) -> Result<usize>) -> Result<usize> {
        let before = self.done;
        while self.done - before < limit {
            let left = limit - (self.done - before);
            let step = match &mut self.to {
                Dst::Kernel(buffer) => {
                    let piece = &mut buffer[self.done..];
                    let want = piece.len().min(left);
                    if want == 0 {
                        break;
                    }
                    f(HostSlice::from_mut(&mut piece[..want])).map(|n| (n, want))
                }
                Dst::User { mm, cursor } => {
                    let Some(slice) = cursor.current() else { break };
                    let want = UserSlice::new(slice.addr, slice.len.min(left));
                    let moved = mm.with_slice_mut(want, &mut f);
                    if let Ok((n, _)) = moved {
                        cursor.offset += n;
                    }
                    moved
                }
            };
            match step {
                Ok((n, piece)) => {
                    self.done += n;
                    if n < piece {
                        break;
                    }
                }
                Err(e) if self.done == before => return Err(e),
                Err(_) => break,
            }
        }
        Ok(self.done - before)
    }
}

impl<'a> IoSrc<'a> {
    /// From application memory.
    #[must_use]
    pub fn user(mm: &'a MemoryManager, iov: &'a [UserSlice]) -> Self {
        Self { from: Src::User { mm, cursor: Cursor { iov, offset: 0 } }, done: 0, end: usize::MAX }
    }

    /// From a buffer of ours.
    #[must_use]
    pub fn kernel(buffer: &'a [u8]) -> Self {
        Self { from: Src::Kernel(buffer), done: 0, end: usize::MAX }
    }

    /// How many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        let there = match &self.from {
            Src::User { cursor, .. } => cursor.remaining(),
            Src::Kernel(buffer) => buffer.len() - self.done,
        };
        there.min(self.end - self.done)
    }

    /// Takes no more than `max` bytes from here on.
    pub fn limit(&mut self, max: usize) {
        self.end = self.end.min(self.done.saturating_add(max));
    }

    /// How many bytes were taken so far.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }

    /// Copies as much as there is into `bytes`; returns how much. EFAULT only if nothing could be copied.
    pub fn take(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let mut copied = 0;
        self.drain(bytes.len(), |slice| {
            let n = slice.read(&mut bytes[copied..])?;
            copied += n;
            Ok(n)
        })
    }

    /// Takes exactly `bytes.len()` bytes or fails with EFAULT, having taken some.
    pub fn take_exact(&mut self, bytes: &mut [u8]) -> Result<()> {
        let n = self.take(bytes)?;
        if n == bytes.len() { Ok(()) } else { Err(Errno::EFAULT.into()) }
    }

    /// Takes all that is left without looking at it; returns how much that was.
    pub fn skip_rest(&mut self) -> usize {
        let n = self.remaining();
        if let Src::User { cursor, .. } = &mut self.from {
            cursor.iov = &[];
            cursor.offset = 0;
        }
        self.done += n;
        n
    }

    /// Lets `f` read from the source piece by piece, up to `limit` bytes in all; the counterpart of [`IoDst::fill`].
    pub fn drain(&mut self, limit: usize, mut f: impl FnMut(HostSlice<'_>) -> Result<usize>) -> Result<usize> {
        let before = self.done;
        let limit = limit.min(self.end - before);
        while self.done - before < limit {
            let left = limit - (self.done - before);
            let step = match &mut self.from {
                Src::Kernel(buffer) => {
                    let piece = &buffer[self.done..];
                    let want = piece.len().min(left);
                    if want == 0 {
                        break;
                    }
                    f(HostSlice::from_ref(&piece[..want])).map(|n| (n, want))
                }
                Src::User { mm, cursor } => {
                    let Some(slice) = cursor.current() else { break };
                    let want = UserSlice::new(slice.addr, slice.len.min(left));
                    let moved = mm.with_slice(want, &mut f);
                    if let Ok((n, _)) = moved {
                        cursor.offset += n;
                    }
                    moved
                }
            };
            match step {
                Ok((n, piece)) => {
                    self.done += n;
                    if n < piece {
                        break;
                    }
                }
                Err(e) if self.done == before => return Err(e),
                Err(_) => break,
            }
        }
        Ok(self.done - before)
    }
}
