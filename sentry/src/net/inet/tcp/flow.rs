//! One direction of a TCP connection inside the sandbox: bytes from a writer to a reader, joined in memory.
//!
//! What Linux keeps in two sockets' send and receive queues stands here once. Positions count bytes since the beginning, so
//! that the urgent mark stays where it is while bytes are read. Lock: `SocketQueue`, held while bytes are copied from or to
//! the application; never two flows at once.

use std::collections::VecDeque;
use std::sync::Arc;

use abi::Errno;
use abi::poll::{POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDHUP, POLLRDNORM, POLLWRNORM};
use sync::Mutex;

use super::end::End;
use crate::error::{Result, err};
use crate::io::{IoDst, IoSrc};
use crate::lock_order::SocketQueue;

/// The least and the most that is allocated at once.
const CHUNK: std::ops::RangeInclusive<usize> = 2048..=65536;
/// What of it an idle flow keeps when there are many.
const SMALL_SPARE: usize = 2048;

/// One direction.
#[derive(Debug)]
pub(super) struct Flow {
    state: Mutex<State, SocketQueue>,
    reader: Arc<End>,
    writer: Arc<End>,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Chunk>,
    /// A used-up chunk, for the next bytes.
    spare: Vec<u8>,
    len: usize,
    /// The position of the first byte that was not read.
    start: u64,
    urgent: Option<Urgent>,
    /// The writer has ended (FIN).
    fin: bool,
    /// The reader's socket is closed: what is written leads to a reset.
    gone: bool,
    /// The connection was reset; what came before can still be read.
    reset: bool,
    /// The writer found no room and wants to hear when there is some.
    no_space: bool,
    /// How much may wait, as the writer last said.
    limit: usize,
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    read: usize,
    filled: usize,
}

/// Out-of-band data: the last byte of a send with MSG_OOB.
#[derive(Clone, Copy, Debug)]
struct Urgent {
    at: u64,
    byte: u8,
    taken: bool,
}

/// What became of a write.
#[derive(Debug)]
pub(super) enum Pushed {
    /// Bytes were taken.
    Bytes(usize),
    /// The reader is gone: the bytes are lost, and the answer is a reset.
    Lost(usize),
}

/// How a read wants its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadMode {
    /// Leave them.
    pub(super) peek: bool,
    /// Skip them instead of copying (MSG_TRUNC).
    pub(super) discard: bool,
    /// SO_OOBINLINE.
    pub(super) urgent_inline: bool,
    /// Fewer than this are not worth a return.
    pub(super) low_water: usize,
    /// Where a peek begins (SO_PEEK_OFF).
    pub(super) from: usize,
}

/// What poll(2) wants to know of an incoming flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Readiness {
    /// Bytes that can be read.
    pub(super) len: usize,
    /// The writer has ended.
    pub(super) fin: bool,
    /// It was reset.
    pub(super) reset: bool,
    /// There is out-of-band data that was not received.
    pub(super) urgent: bool,
    /// The next byte is the urgent one.
    pub(super) at_mark: bool,
}

impl Flow {
    pub(super) fn new(reader: &Arc<End>, writer: &Arc<End>) -> Self {
        Self { state: Mutex::default(), reader: Arc::clone(reader), writer: Arc::clone(writer) }
    }

    /// Appends bytes, as many as fit into `limit`; the last one is urgent if `urgent`. EAGAIN if nothing fits, EPIPE if the
    /// direction has ended.
    pub(super) fn push(&self, src: &mut IoSrc<'_>, limit: usize, urgent: bool) -> Result<Pushed> {
        let want = src.remaining();
        let mut state = self.state.lock();
        if state.reset || state.fin {
            return err(Errno::EPIPE);
        }
        if state.gone {
            drop(state);
            return Ok(Pushed::Lost(src.skip_rest()));
        }
        if want == 0 {
            return Ok(Pushed::Bytes(0));
        }
        state.limit = limit;
        let room = limit.saturating_sub(state.len).min(want);
        if room < want {
            state.no_space = true;
        }
        if room == 0 {
            return err(Errno::EAGAIN);
        }
        let sent = state.fill(src, room)?;
        if urgent && sent == want {
            let byte = state.last_byte();
            let at = state.start + state.len as u64 - 1;
            state.urgent = Some(Urgent { at, byte, taken: false });
        }
        drop(state);
        self.reader.queue.notify(if urgent { POLLIN | POLLRDNORM | POLLPRI } else { POLLIN | POLLRDNORM });
        Ok(Pushed::Bytes(sent))
    }

    /// Takes bytes out. `None`: there are none (or fewer than the low-water mark), and the caller says what that means.
    pub(super) fn pop(&self, dst: &mut IoDst<'_>, mode: ReadMode) -> Result<Option<usize>> {
        let mut state = self.state.lock();
        let ended = state.fin || state.reset;
        if state.len < mode.low_water && !ended {
            return Ok(None);
        }
        let n = if mode.peek { state.peek(dst, mode)? } else { state.take(dst, mode)? };
        let Some(n) = n else { return Ok(None) };
        let room = !mode.peek && state.no_space && state.len <= state.limit - state.limit / 3;
        if room {
            state.no_space = false;
        }
        drop(state);
        if room {
            self.writer.queue.notify(POLLOUT | POLLWRNORM);
        }
        Ok(Some(n))
    }

    /// recv(MSG_OOB): the urgent byte. EINVAL if there is none, or it was received, or it is in line.
    pub(super) fn pop_urgent(&self, dst: &mut IoDst<'_>, peek: bool) -> Result<usize> {
        let mut state = self.state.lock();
        let Some(urgent) = state.urgent.filter(|urgent| !urgent.taken && urgent.at >= state.start) else {
            return err(Errno::EINVAL);
        };
        let n = dst.put(&[urgent.byte])?;
        if !peek && let Some(urgent) = &mut state.urgent {
            urgent.taken = true;
        }
        Ok(n)
    }

    /// The writer ends; `false` if it had before. Returns whether that was news.
    pub(super) fn finish(&self) -> bool {
        let mut state = self.state.lock();
        let news = !std::mem::replace(&mut state.fin, true);
        drop(state);
        self.reader.queue.notify(POLLIN | POLLRDNORM | POLLRDHUP | POLLHUP);
        news
    }

    /// The reader's socket is closed; returns whether bytes were left unread.
    pub(super) fn abandon(&self) -> bool {
        let mut state = self.state.lock();
        state.gone = true;
        let unread = state.len > 0;
        let dropped = (std::mem::take(&mut state.chunks), std::mem::take(&mut state.spare));
        state.len = 0;
        drop(state);
        drop(dropped);
        self.writer.queue.notify(POLLOUT | POLLWRNORM);
        unread
    }

    /// The connection is reset.
    pub(super) fn reset(&self) {
        self.state.lock().reset = true;
        let all = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM | POLLHUP | POLLRDHUP | abi::poll::POLLERR;
        self.reader.queue.notify(all);
        self.writer.queue.notify(all);
    }

    /// Whether the writer has ended.
    pub(super) fn finished(&self) -> bool {
        self.state.lock().fin
    }

    /// What poll(2) asks of the reader's side.
    pub(super) fn readiness(&self, urgent_inline: bool) -> Readiness {
        let state = self.state.lock();
        let urgent = state.urgent.filter(|urgent| urgent.at >= state.start);
        let at_mark = urgent.is_some_and(|urgent| urgent.at == state.start);
        // The urgent byte in front does not count unless it is in line.
        let hidden = usize::from(at_mark && !urgent_inline && state.len > 0);
        Readiness {
            len: state.len - hidden,
            fin: state.fin,
            reset: state.reset,
            urgent: urgent.is_some_and(|urgent| !urgent.taken),
            at_mark,
        }
    }

    /// Whether poll(2) calls the writer's side writable: a third is free. If not, the writer is told once it is.
    pub(super) fn writable(&self, limit: usize) -> bool {
        let mut state = self.state.lock();
        state.limit = limit;
        let writable = state.len <= limit - limit / 3 || state.reset || state.gone;
        state.no_space |= !writable;
        writable
    }

    /// Bytes that wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.state.lock().len
    }

    /// All bytes that ever came and all that were read.
    pub(super) fn totals(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.start + state.len as u64, state.start)
    }
}

impl State {
    /// Takes `want` bytes from `src`, which may turn out to have fewer.
    fn fill(&mut self, src: &mut IoSrc<'_>, want: usize) -> Result<usize> {
        let mut done = 0;
        while done < want {
            if self.chunks.back().is_none_or(|last| last.filled == last.bytes.len()) {
                self.add_chunk(want - done);
            }
            let Some(last) = self.chunks.back_mut() else { break };
            let end = last.bytes.len().min(last.filled + (want - done));
            let room = end - last.filled;
            let taken = src.take(&mut last.bytes[last.filled..end]);
            let n = *taken.as_ref().unwrap_or(&0);
            last.filled += n;
            self.len += n;
            done += n;
            if last.filled == 0 {
                self.chunks.pop_back();
            }
            match taken {
                Ok(n) if n == room => {}
                Err(e) if done == 0 => return Err(e),
                _ => break,
            }
        }
        Ok(done)
    }

    fn add_chunk(&mut self, want: usize) {
        let size = want.next_power_of_two().clamp(*CHUNK.start(), *CHUNK.end());
        let bytes = if self.spare.len() >= size { std::mem::take(&mut self.spare) } else { vec![0; size] };
        self.chunks.push_back(Chunk { bytes, read: 0, filled: 0 });
    }

    fn last_byte(&self) -> u8 {
        self.chunks.back().and_then(|last| last.bytes.get(last.filled.wrapping_sub(1)).copied()).unwrap_or(0)
    }

    /// How many bytes from `from` on may be read in one go: a read does not cross the urgent mark.
    fn up_to_mark(&self, from: u64, left: usize) -> usize {
        match self.urgent {
            Some(urgent) if urgent.at > from => usize::try_from(urgent.at - from).map_or(left, |n| n.min(left)),
            _ => left,
        }
    }

    fn take(&mut self, dst: &mut IoDst<'_>, mode: ReadMode) -> Result<Option<usize>> {
        if !mode.urgent_inline && self.urgent.is_some_and(|urgent| urgent.at == self.start) && self.len > 0 {
            self.drop_front(1);
        }
        if self.len == 0 {
            return Ok(None);
        }
        let want = self.up_to_mark(self.start, self.len).min(dst.remaining());
        let mut done = 0;
        while done < want {
            let Some(first) = self.chunks.front() else { break };
            let bytes = &first.bytes[first.read..first.filled.min(first.read + (want - done))];
            let n = if mode.discard { Ok(dst.skip(bytes.len())) } else { dst.put(bytes) };
            let whole = bytes.len();
            match n {
                Ok(n) => {
                    self.drop_front(n);
                    done += n;
                    if n < whole {
                        break;
                    }
                }
                Err(e) if done == 0 => return Err(e),
                Err(_) => break,
            }
        }
        Ok(Some(done))
    }

    fn peek(&self, dst: &mut IoDst<'_>, mode: ReadMode) -> Result<Option<usize>> {
        let mut skip = mode.from;
        if !mode.urgent_inline && skip == 0 && self.urgent.is_some_and(|urgent| urgent.at == self.start) {
            skip = 1;
        }
        if self.len <= skip {
            return Ok(None);
        }
        let mut want = self.up_to_mark(self.start + skip as u64, self.len - skip).min(dst.remaining());
        let mut done = 0;
        for chunk in &self.chunks {
            let bytes = &chunk.bytes[chunk.read..chunk.filled];
            if skip >= bytes.len() {
                skip -= bytes.len();
                continue;
            }
            let bytes = &bytes[std::mem::take(&mut skip)..];
            let bytes = &bytes[..bytes.len().min(want)];
            let n = match dst.put(bytes) {
                Ok(n) => n,
                Err(e) if done == 0 => return Err(e),
                Err(_) => break,
            };
            done += n;
            want -= n;
            if want == 0 || n < bytes.len() {
                break;
            }
        }
        Ok(Some(done))
    }

    fn drop_front(&mut self, n: usize) {
        let Some(first) = self.chunks.front_mut() else { return };
        first.read += n;
        self.len -= n;
        self.start += n as u64;
        if first.read == first.filled
            && let Some(used) = self.chunks.pop_front()
        {
            let keeps = if super::end::crowded() { SMALL_SPARE } else { *CHUNK.end() };
            if used.bytes.len() > self.spare.len() && used.bytes.len() <= keeps {
                self.spare = used.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: ReadMode = ReadMode { peek: false, discard: false, urgent_inline: false, low_water: 1, from: 0 };

    fn flow() -> Flow {
        Flow::new(&End::new(), &End::new())
    }

    fn push(flow: &Flow, bytes: &[u8], urgent: bool) -> usize {
        match flow.push(&mut IoSrc::kernel(bytes), 100_000, urgent) {
            Ok(Pushed::Bytes(n)) => n,
            other => panic!("unexpected {other:?}"),
        }
    }

    fn pop(flow: &Flow, len: usize, mode: ReadMode) -> Option<Vec<u8>> {
        let mut bytes = vec![0; len];
        let n = flow.pop(&mut IoDst::kernel(&mut bytes), mode).expect("kernel buffers do not fault")?;
        bytes.truncate(n);
        Some(bytes)
    }

    #[test]
    fn a_read_stops_at_the_urgent_mark_and_skips_it() {
        let flow = flow();
        push(&flow, b"abc", true);
        push(&flow, b"de", false);
        assert_eq!(pop(&flow, 9, PLAIN).as_deref(), Some(&b"ab"[..]));
        assert!(flow.readiness(false).at_mark);
        let mut byte = [0];
        assert_eq!(flow.pop_urgent(&mut IoDst::kernel(&mut byte), false).expect("it is there"), 1);
        assert_eq!(byte, *b"c");
        assert!(flow.pop_urgent(&mut IoDst::kernel(&mut byte), false).is_err());
        assert_eq!(pop(&flow, 9, PLAIN).as_deref(), Some(&b"de"[..]));
        assert!(!flow.readiness(false).at_mark);
    }

    #[test]
    fn what_was_written_before_a_reset_can_be_read() {
        let flow = flow();
        push(&flow, b"abc", false);
        flow.reset();
        assert_eq!(pop(&flow, 9, PLAIN).as_deref(), Some(&b"abc"[..]));
        assert_eq!(pop(&flow, 9, PLAIN), None);
        assert!(flow.push(&mut IoSrc::kernel(b"x"), 10, false).is_err());
    }

    proptest! {
        #[test]
        fn behaves_like_a_queue(steps in prop::collection::vec((0u8..3, 0usize..70_000), 1..60)) {
            let flow = flow();
            let mut model = VecDeque::new();
            let mut next = 0u8;
            for (what, n) in steps {
                if what == 0 && n > 0 {
                    let bytes: Vec<u8> = (0..n).map(|_| { next = next.wrapping_mul(5).wrapping_add(1); next }).collect();
                    let room = 100_000 - model.len();
                    match flow.push(&mut IoSrc::kernel(&bytes), 100_000, false) {
                        Ok(Pushed::Bytes(pushed)) => {
                            prop_assert_eq!(pushed, n.min(room));
                            model.extend(&bytes[..pushed]);
                        }
                        other => prop_assert!(other.is_err() && room == 0),
                    }
                } else if what == 1 {
                    let expected: Vec<u8> = model.iter().copied().take(n).collect();
                    let peeked = pop(&flow, n, ReadMode { peek: true, ..PLAIN });
                    prop_assert_eq!(peeked.unwrap_or_default(), expected);
                } else {
                    let expected: Vec<u8> = model.drain(..n.min(model.len())).collect();
                    prop_assert_eq!(pop(&flow, n, PLAIN).unwrap_or_default(), expected);
                }
                prop_assert_eq!(flow.len(), model.len());
            }
        }
    }
}
