//! Areas: memory that a thread in a stub shares with us, for its signal frames and what goes with them.
//!
//! Application code in the same stub process can write there at any time, so what is read is read once, and checked.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use host::shared_pages::SharedPages;
use parking_lot::Mutex;

use crate::stub::host_error;
use crate::stub::layout;
use crate::traits::PlatformError;

/// Bytes of an area, a power of two: its threads find its start by their stack pointer.
pub(super) const LEN: u64 = 16 << 10;
/// How much of the end of a stack frames reach into.
const WIPED: u64 = 4096;
/// How many there can be, over all stubs. They take memory only where used.
const SLOTS: u64 = 1 << 16;
/// Where the first one is in a stub, if it has that one.
pub(super) const START: u64 = (layout::BASE - SLOTS * LEN) & !((1 << 30) - 1);
/// The end of all of them.
pub(super) const END: u64 = START + SLOTS * LEN;
const _: () = assert!(START + SLOTS * LEN <= layout::BASE && START.is_multiple_of(LEN));

/// The end of the stack; words follow, in the last two lines those of direct calls ([`super::direct`]).
pub(super) const STACK_TOP: u64 = LEN - 256;
/// Offsets in an area. The thread's FS and GS bases.
pub(super) const FS: u64 = STACK_TOP;
/// See [`FS`].
pub(super) const GS: u64 = STACK_TOP + 8;
/// 1 once the thread is up, or a negative error; a futex.
pub(super) const UP: u64 = STACK_TOP + 16;
/// The same for the service thread, in the first area of its process.
pub(super) const SERVICE_UP: u64 = STACK_TOP + 20;
/// What the thread says its number is.
pub(super) const TID: u64 = STACK_TOP + 24;
/// With futexes or while the sentry looks, a report: signal, `siginfo_t`, `ucontext_t`.
pub(super) const SIGNAL: u64 = STACK_TOP + 32;
/// See [`SIGNAL`].
pub(super) const INFO: u64 = STACK_TOP + 40;
/// See [`SIGNAL`].
pub(super) const UCONTEXT: u64 = STACK_TOP + 48;
/// With futexes: 1 while we are to act, 0 while the thread is; a futex.
pub(super) const TURN: u64 = STACK_TOP + 56;
/// The answer to such a report.
pub(super) const ANSWER: u64 = STACK_TOP + 64;

/// What passes between both sides in a direct call, a cache line: its state; number; arguments, of which the first becomes
/// the result; where it returns to.
pub(super) const STATE: u64 = LEN - 128;
/// See [`STATE`].
pub(super) const NUMBER: u64 = STATE + 4;
/// See [`STATE`].
pub(super) const ARGS: u64 = STATE + 8;
/// See [`STATE`].
pub(super) const RETURN: u64 = STATE + 56;
/// The flags to be restored, as `lahf` and `seto al` leave them.
pub(super) const FLAGS: u64 = LEN - 64;
/// How many calls came through gates while nobody looked.
pub(super) const MISSES: u64 = LEN - 56;
/// How often the thread is still to look for its answer before it sleeps, in rounds.
pub(super) const ROUNDS: u64 = LEN - 52;
/// Whether it gives way to others on its CPU after each of them.
pub(super) const YIELDS: u64 = LEN - 48;

/// All areas.
#[derive(Debug)]
pub(super) struct Areas {
    pages: SharedPages,
    free: Mutex<(Vec<u64>, u64)>,
}

/// One of them. Its number is given back by [`Area::release`], when no stub has it mapped any more; forgotten otherwise.
#[derive(Debug)]
pub(super) struct Area {
    all: Arc<Areas>,
    slot: u64,
}

impl Areas {
    pub(super) fn new() -> Result<Self, PlatformError> {
        let len = usize::try_from(SLOTS * LEN).unwrap_or(usize::MAX);
        let pages = SharedPages::new("stub-areas", len).map_err(|e| host_error("areas of stubs", e))?;
        Ok(Self { pages, free: Mutex::new((Vec::new(), 0)) })
    }

    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.pages.file()
    }

    pub(super) fn take(self: &Arc<Self>) -> Option<Area> {
        let mut free = self.free.lock();
        let (returned, next) = &mut *free;
        let slot = returned.pop().or_else(|| {
            let slot = Some(*next).filter(|next| *next < SLOTS)?;
            *next += 1;
            Some(slot)
        })?;
        Some(Area { all: Arc::clone(self), slot })
    }
}

impl Area {
    /// Where it is in the file.
    pub(super) fn offset(&self) -> u64 {
        self.slot * LEN
    }

    /// Where it is in the stub.
    pub(super) fn address(&self) -> u64 {
        START + self.offset()
    }

    /// The offset of an address of the stub, with `len` bytes that follow in the area.
    pub(super) fn locate(&self, address: u64, len: u64) -> Option<u64> {
        let offset = address.checked_sub(self.address())?;
        (offset.is_multiple_of(8) && offset.checked_add(len)? <= LEN).then_some(offset)
    }

    pub(super) fn word(&self, offset: u64) -> &AtomicU32 {
        assert!(offset < LEN, "a word lies in its area");
        self.all.pages.word((self.offset() + offset) as usize)
    }

    pub(super) fn long(&self, offset: u64) -> &AtomicU64 {
        assert!(offset < LEN, "a word lies in its area");
        self.all.pages.long((self.offset() + offset) as usize)
    }

    pub(super) fn read(&self, offset: u64) -> u64 {
        self.long(offset).load(Ordering::Relaxed)
    }

    pub(super) fn write(&self, offset: u64, word: u64) {
        self.long(offset).store(word, Ordering::Relaxed);
    }

    /// Copies whole words out.
    pub(super) fn read_bytes(&self, offset: u64, bytes: &mut [u8]) {
        for (at, chunk) in (offset..).step_by(8).zip(bytes.chunks_mut(8)) {
            chunk.copy_from_slice(&self.read(at).to_ne_bytes()[..chunk.len()]);
        }
    }

    /// Copies whole words in.
    pub(super) fn write_bytes(&self, offset: u64, bytes: &[u8]) {
        for (at, chunk) in (offset..).step_by(8).zip(bytes.chunks(8)) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write(at, u64::from_ne_bytes(word));
        }
    }

    /// For a thread that is to start there.
    pub(super) fn prepare(&self) {
        [UP, SERVICE_UP, TURN, STATE, YIELDS].iter().for_each(|at| self.word(*at).store(0, Ordering::Relaxed));
    }

    /// Forgets the frames of the last application.
    pub(super) fn wipe(&self) {
        (STACK_TOP - WIPED..STACK_TOP).step_by(8).for_each(|at| self.write(at, 0));
    }

    /// Lets others have it.
    pub(super) fn release(self) {
        let _ = host::memfd::punch(self.all.file(), self.offset(), LEN);
        self.all.free.lock().0.push(self.slot);
    }
}
