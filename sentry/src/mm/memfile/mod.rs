//! The memory file: one memfd that holds all memory of a sandbox, used in ranges with reference counts.
//!
//! The file is sparse and as long as the address space we could get for it; it is mapped here once, as a whole
//! (`docs/decisions/0003-memory-file.md`). Its low part serves the kernel's own needs (pages of tmpfs, pipes), found by best
//! fit; the rest serves address spaces, which ask for ranges next to the ones they have, so that the host can merge their
//! mappings. Freed ranges go back to the host, but for some that are zeroed when they are used again: more of them while the
//! sandbox is busy ([`keeper`]).
//!
//! Locks: `MemFile`, never held over a host call or a copy. Dropping a [`MemRange`] takes it.

mod alarm;
mod data;
mod extents;
mod keeper;
mod range;
mod shares;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Weak};

use abi::{Errno, PAGE_SIZE};
use host::mapping::Mapping;
use host::mem::HostSlice;
use host::memfd;
use sync::Mutex;

pub use self::alarm::Alarm;
use self::extents::Extents;
use self::keeper::Keeper;
pub use self::range::MemRange;
use self::shares::Shares;
use crate::error::{Result, err};
use crate::lock_order;

/// How long the file is where the host lets us map that much.
const LEN: u64 = 1 << 44;
/// How long it must be at least.
const MIN_LEN: u64 = 1 << 32;
/// How far apart address spaces begin in the file, so that each has room to grow next to what it has.
const ARENA: u64 = 64 << 20;
/// Freed ranges up to this length may be kept for reuse.
const KEEP_EACH: u64 = 16 << 20;
/// How much is kept for reuse in all where nothing is freed any more.
const KEEP_IDLE: u64 = 4 << 20;
/// How much is kept at most in all, where the sandbox has sixteen times as much.
const KEEP_BUSY: u64 = 64 << 20;
/// How much freed memory may wait to be given back, where the sandbox has sixteen times as much.
const WAIT_BUSY: u64 = 1 << 30;
/// How much is given back by one host call, which keeps others from writing to the file.
const PUNCH: u64 = 2 << 20;
/// Ranges up to this length are zeroed without asking which of their pages exist.
const ZERO_BLINDLY: u64 = 16 << 10;
/// What ranges are zeroed with that are not mapped here.
static ZEROES: [u8; 32 << 10] = [0; 32 << 10];
/// How many empty arenas are remembered for the next address space.
const KEEP_ARENAS: usize = 64;

/// All memory of a sandbox.
pub struct MemFile {
    file: Arc<OwnedFd>,
    map: Mapping,
    len: u64,
    /// Bytes of memory there are; the kernel's own allocations may reach it.
    limit: u64,
    /// Where the kernel's own part ends.
    border: u64,
    me: Weak<Self>,
    keeper: Keeper,
    alarm: Alarm,
    state: Mutex<State, lock_order::MemFile>,
}

#[derive(Debug)]
struct State {
    /// Free ranges of the low part.
    pool: Extents,
    /// Free ranges of the rest.
    arenas: Extents,
    /// Where the rest begins.
    border: u64,
    /// Where the next address space begins.
    next_arena: u64,
    /// Arenas that became empty, the last one first to be used again: it may still hold stale ranges.
    empty_arenas: Vec<u64>,
    shares: Shares,
    /// Free ranges that still hold old bytes: start to length.
    stale: BTreeMap<u64, u64>,
    stale_len: u64,
    /// Ranges that are neither free nor owned, to be given back by the keeper.
    waiting: Vec<Range<u64>>,
    waiting_len: u64,
    /// Counts the ranges that became stale.
    frees: u64,
    pool_used: u64,
    used: u64,
}

impl MemFile {
    /// An empty memory file for a sandbox that may use `limit` bytes.
    pub fn new(limit: u64) -> Result<Arc<Self>> {
        let fd = memfd::create("runsc-memory")?;
        let (map, len) = Self::map(&fd)?;
        map.dont_dump();
        memfd::seal_len(fd.as_fd())?;
        let border = (len / 8).next_multiple_of(ARENA);
        let (mut pool, mut arenas) = (Extents::default(), Extents::default());
        // Offset 0 stays unused, so that a forgotten zero is nobody's memory.
        pool.insert(PAGE_SIZE, border - PAGE_SIZE);
        arenas.insert(border, len - border);
        let state = State {
            pool,
            arenas,
            border,
            next_arena: border,
            empty_arenas: Vec::new(),
            shares: Shares::default(),
            stale: BTreeMap::new(),
            stale_len: 0,
            waiting: Vec::new(),
            waiting_len: 0,
            frees: 0,
            pool_used: 0,
            used: 0,
        };
        Ok(Arc::new_cyclic(|me| Self {
            file: Arc::new(fd),
            map,
            len,
            limit,
            border,
            me: Weak::clone(me),
            keeper: Keeper::default(),
            alarm: Alarm::default(),
            state: Mutex::new(state),
        }))
    }

    /// Makes the file as long as we can map it.
    fn map(fd: &OwnedFd) -> Result<(Mapping, u64)> {
        let mut len = LEN;
        loop {
            let mapped = usize::try_from(len).map_err(|_| Errno::ENOMEM).and_then(|size| {
                memfd::set_len(fd.as_fd(), len)?;
                Mapping::new(fd.as_fd(), 0, size, true)
            });
            match mapped {
                Ok(map) => return Ok((map, len)),
                Err(e) if len <= MIN_LEN => return err(e),
                Err(_) => len /= 2,
            }
        }
    }

    /// The host file, to be mapped into address spaces.
    #[must_use]
    pub fn file(&self) -> &Arc<OwnedFd> {
        &self.file
    }

    /// A contiguous, zeroed range of `len` bytes (a multiple of the page size) for the kernel's own use. ENOMEM when the
    /// sandbox's limit is reached.
    pub fn allocate(self: &Arc<Self>, len: u64) -> Result<MemRange> {
        let len = Self::check_len(len)?;
        let mut state = self.state.lock();
        if state.pool_used.saturating_add(len) > self.limit {
            return err(Errno::ENOMEM);
        }
        let offset = state.pool.take_fit(len).or_else(|| state.arenas.take_fit(len)).ok_or(Errno::ENOMEM)?;
        if offset < state.border {
            state.pool_used += len;
        }
        self.hand_out(state, offset, len)
    }

    /// A contiguous, zeroed range of `len` bytes for an address space: at offset `want` if that is free, else away from
    /// others.
    pub fn allocate_near(self: &Arc<Self>, len: u64, want: Option<u64>) -> Result<MemRange> {
        let len = Self::check_len(len)?;
        let mut state = self.state.lock();
        let offset = match want {
            Some(at) if state.arenas.take_at(at, len) => at,
            _ => state.take_arena(len, self.len).ok_or(Errno::ENOMEM)?,
        };
        self.hand_out(state, offset, len)
    }

    /// The bytes at `offset..offset + len` of the file, through our mapping. Whoever asks keeps the range alive.
    #[must_use]
    #[inline]
    pub(crate) fn slice(&self, offset: u64, len: usize) -> HostSlice<'_> {
        self.map.slice(usize::try_from(offset).unwrap_or(usize::MAX), len)
    }

    /// Reads from a host file, this one included; returns how much there is.
    pub(crate) fn read_file(&self, file: &Arc<OwnedFd>, offset: u64, bytes: &mut [u8]) -> Result<usize> {
        if Arc::ptr_eq(file, &self.file) {
            return Ok(self.slice(offset, bytes.len()).read(bytes)?);
        }
        let mut done = 0;
        while done < bytes.len() {
            match HostSlice::from_mut(&mut bytes[done..]).read_fd(file.as_fd(), Some(offset + done as u64)) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(Errno::EINTR) => {}
                Err(e) => return err(e),
            }
        }
        Ok(done)
    }

    /// Bytes of memory that the sandbox may count on.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes in ranges that are handed out, used or not.
    #[must_use]
    pub fn reserved(&self) -> u64 {
        self.state.lock().used
    }

    /// What tells when more is handed out than it was set to.
    #[must_use]
    pub fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    /// Bytes of host memory in use.
    pub fn resident(&self) -> Result<u64> {
        self.give_back_waiting();
        Ok(memfd::resident(self.file.as_fd())?)
    }

    fn check_len(len: u64) -> Result<u64> {
        if len == 0 || !len.is_multiple_of(PAGE_SIZE) { err(Errno::EINVAL) } else { Ok(len) }
    }

    /// Finishes an allocation: accounts for it, and zeroes what a former owner left.
    fn hand_out(self: &Arc<Self>, mut state: sync::MutexGuard<'_, State>, offset: u64, len: u64) -> Result<MemRange> {
        state.used += len;
        let stale = state.take_stale(offset..offset + len);
        let used = state.used;
        drop(state);
        self.alarm.note(used);
        let range = MemRange::new(self, offset, len);
        for part in stale {
            self.zero(part.start, part.end - part.start)?;
        }
        Ok(range)
    }

    /// Makes a range read as zeroes, cheaply if little of it is there.
    pub(crate) fn zero(&self, offset: u64, len: u64) -> Result<()> {
        // The pages of applications are hardly ever mapped here: a fault for each would cost four times what writing does.
        let zero = if offset < self.border { Self::zero_bytes } else { Self::write_zeroes };
        if len <= ZERO_BLINDLY {
            zero(self, offset, len)
        } else if len <= KEEP_EACH {
            let mut result = Ok(());
            self.for_data(offset, len, &mut |at, part| {
                if result.is_ok() {
                    result = zero(self, at, part);
                }
            });
            result
        } else {
            Ok(memfd::punch(self.file.as_fd(), offset, len)?)
        }
    }

    fn zero_bytes(&self, offset: u64, len: u64) -> Result<()> {
        let len = usize::try_from(len).map_err(|_| Errno::ENOMEM)?;
        // Short only if the host has no memory left for a page.
        if self.slice(offset, len).zero()? == len { Ok(()) } else { err(Errno::ENOMEM) }
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> Result<()> {
        let mut done = 0;
        while done < len {
            let left = usize::try_from(len - done).unwrap_or(usize::MAX);
            let zeroes = HostSlice::from_ref(&ZEROES).first(left);
            match zeroes.write_fd(self.file.as_fd(), Some(offset + done)) {
                Ok(n) if n > 0 => done += n as u64,
                Err(Errno::EINTR) => {}
                _ => return err(Errno::ENOMEM),
            }
        }
        Ok(())
    }

    /// Gives the pages of a range back to the host; the range stays with its owner and reads as zeroes.
    pub(crate) fn discard(&self, offset: u64, len: u64) {
        // Cannot fail on a memfd that we sealed only against resizing; if it does, zeroing is as good.
        if memfd::punch(self.file.as_fd(), offset, len).is_err() {
            let _ = self.zero_bytes(offset, len);
        }
    }

    /// Takes an owner from a range. `clean`: nobody ever wrote to it, so that it need not be zeroed.
    fn release(&self, range: Range<u64>, clean: bool) {
        let mut state = self.state.lock();
        let mut freed: Vec<Range<u64>> = Vec::new();
        state.shares.remove(range, |part| freed.push(part));
        let mut punch: Vec<Range<u64>> = Vec::new();
        for part in freed {
            let len = part.end - part.start;
            state.used -= len;
            if part.start < state.border {
                state.pool_used -= len.min(state.pool_used);
            }
            if clean {
                state.insert_free(part);
            } else if len <= KEEP_EACH {
                state.insert_free(part.clone());
                state.note_stale(part);
            } else {
                punch.push(part);
            }
        }
        let most = self.keeps();
        if state.stale_len > most {
            state.evict(most / 2, &mut punch);
        }
        let much = state.stale_len > KEEP_IDLE;
        // Another thread gives it back meanwhile, unless it is so much that the limit might be reached first.
        let len = punch.iter().map(|part| part.end - part.start).sum::<u64>();
        let later = len > 0 && state.waiting_len + len <= (self.limit / 16).min(WAIT_BUSY);
        if later {
            state.waiting_len += len;
            state.waiting.append(&mut punch);
        }
        drop(state);
        self.give_back(punch);
        if later && !self.keeper.hurry(&self.me) {
            self.give_back_waiting();
        }
        if much {
            self.keeper.wake(&self.me);
        }
    }

    /// Gives back what waits for it.
    pub(crate) fn give_back_waiting(&self) {
        let mut state = self.state.lock();
        while let Some(range) = state.waiting.pop() {
            let (start, end) = (range.start, range.end);
            let part = start..end.min(start + PUNCH);
            if part.end < end {
                state.waiting.push(part.end..end);
            }
            drop(state);
            self.discard(part.start, part.end - part.start);
            state = self.state.lock();
            state.waiting_len -= part.end - part.start;
            state.insert_free(part);
        }
    }

    /// How much may be kept for reuse.
    fn keeps(&self) -> u64 {
        (self.limit / 16).clamp(KEEP_IDLE, KEEP_BUSY)
    }

    /// Counts what was freed and kept so far.
    fn frees(&self) -> u64 {
        self.state.lock().frees
    }

    /// Gives back what a quiet sandbox need not hold.
    pub(crate) fn trim(&self) {
        let mut punch = Vec::new();
        self.state.lock().evict(KEEP_IDLE, &mut punch);
        self.give_back(punch);
    }

    /// Punches ranges that were taken out of the free ones, and frees them.
    fn give_back(&self, punch: Vec<Range<u64>>) {
        if punch.is_empty() {
            return;
        }
        // While they are punched the ranges are neither free nor owned, so nobody sees their old bytes.
        for part in &punch {
            self.discard(part.start, part.end - part.start);
        }
        let mut state = self.state.lock();
        for part in punch {
            state.insert_free(part);
        }
    }
}

impl State {
    fn extents(&mut self, offset: u64) -> &mut Extents {
        if offset < self.border { &mut self.pool } else { &mut self.arenas }
    }

    fn insert_free(&mut self, range: Range<u64>) {
        self.extents(range.start).insert(range.start, range.end - range.start);
        if range.start < self.border {
            return;
        }
        let arena = self.border + (range.start - self.border) / ARENA * ARENA;
        let empty = self.arenas.around(arena).is_some_and(|free| free.end >= arena + ARENA);
        if empty && arena < self.next_arena && !self.empty_arenas.contains(&arena) {
            if self.empty_arenas.len() == KEEP_ARENAS {
                self.empty_arenas.remove(0);
            }
            self.empty_arenas.push(arena);
        }
    }

    fn note_stale(&mut self, range: Range<u64>) {
        self.stale.insert(range.start, range.end - range.start);
        self.stale_len += range.end - range.start;
        self.frees += 1;
    }

    /// Takes stale ranges out of the free ones, until no more than `keep` bytes are stale. What is free between two of
    /// them goes along: punching a hole again costs little.
    fn evict(&mut self, keep: u64, out: &mut Vec<Range<u64>>) {
        // From the end: new address spaces begin low.
        while self.stale_len > keep
            && let Some((&start, &len)) = self.stale.last_key_value()
        {
            let around = self.extents(start).around(start).unwrap_or(start..start + len);
            let mut first = start;
            while let Some((&at, &len)) = self.stale.range(around.start..=first).next_back() {
                self.stale.remove(&at);
                self.stale_len -= len;
                first = at;
                if self.stale_len <= keep {
                    break;
                }
            }
            let range = first..start + len;
            let taken = self.extents(start).take_at(range.start, range.end - range.start);
            debug_assert!(taken, "stale ranges are free");
            out.push(range);
        }
    }

    /// What of `range`, which was free, holds old bytes; no longer known as stale.
    fn take_stale(&mut self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut parts = Vec::new();
        if self.stale.is_empty() {
            return parts;
        }
        while let Some((start, len)) = self.stale.range(..range.end).next_back().map(|(s, l)| (*s, *l)) {
            let end = start + len;
            if end <= range.start {
                break;
            }
            self.stale.remove(&start);
            let common = start.max(range.start)..end.min(range.end);
            if start < common.start {
                self.stale.insert(start, common.start - start);
            }
            if common.end < end {
                self.stale.insert(common.end, end - common.end);
            }
            self.stale_len -= common.end - common.start;
            let done = start <= range.start;
            parts.push(common);
            if done {
                break;
            }
        }
        parts
    }

    /// A place for `len` bytes with room around it.
    fn take_arena(&mut self, len: u64, file_len: u64) -> Option<u64> {
        let slot = len.checked_next_multiple_of(ARENA)?;
        // In the middle, because address spaces grow in both directions.
        let inside = (slot - len) / 2 / PAGE_SIZE * PAGE_SIZE;
        while slot == ARENA
            && let Some(arena) = self.empty_arenas.pop()
        {
            let empty = self.arenas.around(arena).is_some_and(|free| free.end >= arena + ARENA);
            if empty && self.arenas.take_at(arena + inside, len) {
                return Some(arena + inside);
            }
        }
        let at = self.next_arena.checked_add(inside)?;
        if self.next_arena.checked_add(slot)? <= file_len {
            self.next_arena += slot;
            if self.arenas.take_at(at, len) {
                return Some(at);
            }
        }
        self.arenas.take_fit(len).or_else(|| self.pool.take_fit(len))
    }
}

impl fmt::Debug for MemFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemFile").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
