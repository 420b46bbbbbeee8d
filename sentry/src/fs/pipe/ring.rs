//! The bytes in a pipe: a ring that grows up to the pipe's capacity, with packet borders for O_DIRECT pipes.

use std::collections::VecDeque;

use crate::error::Result;
use crate::io::{IoDst, IoSrc};

/// What is allocated first; most pipes carry little.
const FIRST_ALLOCATION: usize = 4096;

/// A byte queue of bounded size.
#[derive(Debug)]
pub(super) struct Ring {
    /// Storage; its length is what is allocated, at most `capacity`.
    storage: Vec<u8>,
    head: usize,
    len: usize,
    capacity: usize,
    /// Lengths of the packets at the front, while the writer uses O_DIRECT. Bytes behind them are a plain stream.
    packets: VecDeque<usize>,
}

impl Ring {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { storage: Vec::new(), head: 0, len: 0, capacity, packets: VecDeque::new() }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) const fn room(&self) -> usize {
        self.capacity - self.len
    }

    /// Changes the capacity; the caller has checked that the content fits.
    pub(super) fn set_capacity(&mut self, capacity: usize) {
        let capacity = capacity.max(self.len);
        if self.storage.len() > capacity {
            self.reallocate(capacity);
        }
        self.capacity = capacity;
    }

    /// Takes at most `limit` bytes from `src`, as much as there is room for.
    pub(super) fn push(&mut self, src: &mut IoSrc<'_>, limit: usize, packet: bool) -> Result<usize> {
        let want = src.remaining().min(limit);
        let pushed = self.push_with(want, &mut |room| src.take(room))?;
        if packet && pushed > 0 {
            self.packets.push_back(pushed);
        } else if let Some(last) = self.packets.back_mut() {
            // A plain write behind packets becomes part of the last one, so that borders stay in front of the stream.
            *last += pushed;
        }
        Ok(pushed)
    }

    /// Lets `fill` write up to `limit` bytes into free room, in one or two pieces; it returns how many it wrote.
    pub(super) fn push_with(
        &mut self,
        limit: usize,
        fill: &mut dyn FnMut(&mut [u8]) -> Result<usize>,
    ) -> Result<usize> {
        let want = limit.min(self.room());
        if self.len + want > self.storage.len() {
            let size = (self.len + want).max(self.storage.len() * 2).max(FIRST_ALLOCATION).min(self.capacity);
            self.reallocate(size);
        }
        let mut pushed = 0;
        while pushed < want {
            let at = self.wrap(self.head + self.len);
            let end = self.storage.len().min(at + (want - pushed));
            let n = match fill(&mut self.storage[at..end]) {
                Ok(n) => n.min(end - at),
                Err(e) if pushed == 0 => return Err(e),
                Err(_) => break,
            };
            self.len += n;
            pushed += n;
            if n < end - at {
                break;
            }
        }
        Ok(pushed)
    }

    /// Lets `drain` look at up to `limit` bytes at the front, in one or two pieces, and drops what it says it took.
    pub(super) fn pop_with(&mut self, limit: usize, drain: &mut dyn FnMut(&[u8]) -> Result<usize>) -> Result<usize> {
        let limit = limit.min(self.packets.front().copied().unwrap_or(self.len));
        let mut popped = 0;
        while popped < limit {
            let end = self.storage.len().min(self.head + (limit - popped));
            let n = match drain(&self.storage[self.head..end]) {
                Ok(n) => n.min(end - self.head),
                Err(e) if popped == 0 => return Err(e),
                Err(_) => break,
            };
            let whole = n == end - self.head;
            self.drop_front(n);
            popped += n;
            if !whole {
                break;
            }
        }
        if let Some(first) = self.packets.front_mut() {
            *first -= popped;
            if *first == 0 {
                self.packets.pop_front();
            }
        }
        Ok(popped)
    }

    /// Gives bytes to `dst`; with packets, at most one, whose rest is lost if `dst` is smaller.
    pub(super) fn pop(&mut self, dst: &mut IoDst<'_>) -> Result<usize> {
        let n = self.peek(dst, self.packets.front().copied().unwrap_or(self.len))?;
        match self.packets.pop_front() {
            Some(packet) => self.drop_front(packet),
            None => self.drop_front(n),
        }
        Ok(n)
    }

    /// Gives at most `limit` bytes to `dst` and keeps them.
    fn peek(&self, dst: &mut IoDst<'_>, limit: usize) -> Result<usize> {
        let want = dst.remaining().min(limit).min(self.len);
        let mut done = 0;
        while done < want {
            let at = self.wrap(self.head + done);
            let end = self.storage.len().min(at + (want - done));
            match dst.put(&self.storage[at..end]) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if done == 0 => return Err(e),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Copies bytes from `from` bytes behind the front on; returns how many.
    pub(super) fn peek_at(&self, from: usize, bytes: &mut [u8]) -> usize {
        let want = bytes.len().min(self.len.saturating_sub(from));
        let at = self.wrap(self.head + from.min(self.len));
        let first = want.min(self.storage.len() - at);
        bytes[..first].copy_from_slice(&self.storage[at..at + first]);
        bytes[first..want].copy_from_slice(&self.storage[..want - first]);
        want
    }

    /// Forgets `n` bytes at the front.
    pub(super) fn drop_front(&mut self, n: usize) {
        let n = n.min(self.len);
        self.len -= n;
        self.head = if self.len == 0 { 0 } else { self.wrap(self.head + n) };
    }

    fn wrap(&self, at: usize) -> usize {
        if at >= self.storage.len() { at - self.storage.len() } else { at }
    }

    fn reallocate(&mut self, size: usize) {
        let mut fresh = vec![0; size.max(self.len)];
        let first = self.len.min(self.storage.len() - self.head);
        fresh[..first].copy_from_slice(&self.storage[self.head..self.head + first]);
        fresh[first..self.len].copy_from_slice(&self.storage[..self.len - first]);
        self.storage = fresh;
        self.head = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::Ring;
    use crate::io::{IoDst, IoSrc};
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn push(ring: &mut Ring, bytes: &[u8], packet: bool) -> usize {
        ring.push(&mut IoSrc::kernel(bytes), usize::MAX, packet).expect("kernel buffers do not fault")
    }

    fn pop(ring: &mut Ring, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let n = ring.pop(&mut IoDst::kernel(&mut bytes)).expect("kernel buffers do not fault");
        bytes.truncate(n);
        bytes
    }

    #[test]
    fn a_short_read_drops_the_rest_of_a_packet() {
        let mut ring = Ring::new(4096);
        push(&mut ring, b"abc", true);
        push(&mut ring, b"de", true);
        assert_eq!(pop(&mut ring, 2), b"ab");
        assert_eq!(pop(&mut ring, 9), b"de");
        assert_eq!(ring.len(), 0);
    }

    proptest! {
        #[test]
        fn behaves_like_a_queue(steps in prop::collection::vec((any::<bool>(), 0usize..9000), 1..60)) {
            let mut ring = Ring::new(16384);
            let mut model = VecDeque::new();
            let mut next = 0u8;
            for (write, n) in steps {
                if write {
                    let bytes: Vec<u8> = (0..n).map(|_| { next = next.wrapping_add(1); next }).collect();
                    let pushed = push(&mut ring, &bytes, false);
                    prop_assert_eq!(pushed, n.min(16384 - model.len()));
                    model.extend(&bytes[..pushed]);
                } else {
                    let expected: Vec<u8> = model.drain(..n.min(model.len())).collect();
                    prop_assert_eq!(pop(&mut ring, n), expected);
                }
                prop_assert_eq!(ring.len(), model.len());
            }
        }
    }
}
