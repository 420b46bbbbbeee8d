//! Page faults: memory that is not there yet, copy-on-write, stack growth.

use std::sync::atomic::Ordering;

use abi::siginfo::{BUS_ADRERR, SEGV_ACCERR, SEGV_MAPERR, SigInfo};
use abi::signal::Signal;
use abi::{Errno, PAGE_SHIFT, PAGE_SIZE, UserAddr, UserRange};
use platform::Access;

use super::MemoryManager;
use super::change::Change;
use super::pages::{Piece, Reserve, Source};
use super::vma::{Vma, VmaFlags};
use crate::error::{Result, err};

/// How much a first write to a shared page copies, around it.
const COPY_PIECE: u64 = 64 << 10;
/// How much a stack grows at once, if its limit allows.
const STACK_STEP: u64 = 128 << 10;

/// The signal that a fault ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultSignal {
    /// SIGSEGV, SEGV_MAPERR: nothing is mapped there.
    NotMapped,
    /// SIGSEGV, SEGV_ACCERR: it may not be used so.
    NotAllowed,
    /// SIGBUS, BUS_ADRERR: beyond the end of the object, or no memory is left for it.
    NoMemory,
}

impl FaultSignal {
    /// The signal for a fault at `addr`.
    #[must_use]
    pub fn info(self, addr: UserAddr) -> SigInfo {
        let (signal, code) = match self {
            Self::NotMapped => (Signal::SIGSEGV, SEGV_MAPERR),
            Self::NotAllowed => (Signal::SIGSEGV, SEGV_ACCERR),
            Self::NoMemory => (Signal::SIGBUS, BUS_ADRERR),
        };
        SigInfo::fault(signal, code, addr.0)
    }
}

/// What a thread remembers of its last fault, to tell one that another thread has just resolved from one that never will
/// be.
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultHistory {
    last: Option<(UserAddr, u64)>,
}

impl MemoryManager {
    /// Resolves a fault of application code at `addr`, or says which signal it is.
    pub fn handle_fault(&self, addr: UserAddr, access: Access, history: &mut FaultHistory) -> Result<(), FaultSignal> {
        let mut generation = 0;
        let mut signal = None;
        let changed = self.change(|change| {
            generation = change.space.generation;
            if let Err(e) = change.fault(addr, access) {
                signal = Some(e);
            }
            Ok(!change.batch.is_empty())
        });
        if let Some(signal) = signal {
            return Err(signal);
        }
        match changed {
            Ok(true) => {
                history.last = None;
                Ok(())
            }
            // All is as it should be: another thread was quicker, so try again. If it faults again in the same state, the
            // access was one that is not allowed.
            Ok(false) if history.last != Some((addr, generation)) => {
                history.last = Some((addr, generation));
                Ok(())
            }
            Ok(false) => Err(FaultSignal::NotAllowed),
            Err(_) => Err(FaultSignal::NoMemory),
        }
    }
}

impl Change<'_> {
    fn fault(&mut self, addr: UserAddr, access: Access) -> Result<(), FaultSignal> {
        let vma = self.area_for(addr)?;
        let prot = vma.prot;
        if prot.is_none() || (access == Access::Execute && !prot.exec) {
            return Err(FaultSignal::NotAllowed);
        }
        let write = match access {
            Access::Write => true,
            Access::Read | Access::Execute => false,
            // A page that is there and lacks only the right to write was written to.
            Access::Unknown => prot.write && self.space.pages.find(addr).is_some_and(|piece| !piece.prot.write),
        };
        self.resolve(addr, write, false)
    }

    /// Makes the page at `addr` be there, to be written if `write`. `force` ignores the area's protection (ptrace(2),
    /// /proc/PID/mem), as far as the kernel's own access goes: a private page is copied, but the application may still not
    /// write it.
    pub(super) fn resolve(&mut self, addr: UserAddr, write: bool, force: bool) -> Result<(), FaultSignal> {
        let (prot, max) = {
            let vma = self.area_for(addr)?;
            (vma.prot, vma.max)
        };
        let allowed = if write { prot.write } else { !prot.is_none() };
        let forced = force && if write { max.write } else { max.read };
        if !allowed && !forced {
            return Err(FaultSignal::NotAllowed);
        }
        // Once to bring the page, once to make it writable.
        for _ in 0..2 {
            let piece = self.space.pages.find(addr);
            let done = match piece {
                Some(piece) if !write || piece.write_through => true,
                Some(_) => {
                    self.make_writable(addr).map_err(|_| FaultSignal::NoMemory)?;
                    true
                }
                None => {
                    let vma = self.area_for(addr)?.clone();
                    let fetched = self.fetch(&vma, addr, write);
                    self.batch.bury_areas(vec![vma]);
                    fetched.map_err(|_| FaultSignal::NoMemory)?;
                    !write
                }
            };
            if done {
                break;
            }
        }
        Ok(())
    }

    /// The area that holds `addr`, grown down to it if it is a stack.
    fn area_for(&mut self, addr: UserAddr) -> Result<&Vma, FaultSignal> {
        let next = self.space.vmas.at_or_above(addr).ok_or(FaultSignal::NotMapped)?;
        if next.range.start > addr {
            if !next.flags.contains(VmaFlags::GROWSDOWN) {
                return Err(FaultSignal::NotMapped);
            }
            let stack = next.clone();
            self.grow_stack(&stack, addr).map_err(|_| FaultSignal::NotMapped)?;
        }
        self.space.vmas.find(addr).ok_or(FaultSignal::NotMapped)
    }

    fn grow_stack(&mut self, stack: &Vma, addr: UserAddr) -> Result<()> {
        let needed = addr.page_down();
        let limit = self.mm.limits.stack.load(Ordering::Relaxed);
        let fits = |start: UserAddr| stack.range.end.0 - start.0 <= limit && self.gap_below(start);
        let step = UserAddr(stack.range.start.0.saturating_sub(STACK_STEP)).max(self.space.layout.user.start);
        let start = if step < needed && fits(step) { step } else { needed };
        if start < self.space.layout.user.start || !fits(start) {
            return err(Errno::ENOMEM);
        }
        let pages = (stack.range.start.0 - start.0) >> PAGE_SHIFT;
        if !self.may_add(stack, pages) {
            return err(Errno::ENOMEM);
        }
        if stack.flags.contains(VmaFlags::LOCKED) {
            let limit = self.mm.limits.locked.load(Ordering::Relaxed) / PAGE_SIZE;
            if self.space.counters.locked + pages > limit {
                return err(Errno::ENOMEM);
            }
        }
        self.space.counters.remove(stack);
        self.space.vmas.grow_down(stack.range.start, start);
        if let Some(grown) = self.space.vmas.find(start) {
            self.space.counters.add(grown);
        }
        self.back(UserRange::between(start, stack.range.start))
    }

    /// Makes the page at `addr` writable, whose piece exists and is not.
    fn make_writable(&mut self, addr: UserAddr) -> Result<()> {
        let vma = self.space.vmas.find(addr).ok_or(Errno::EFAULT)?;
        let prot = vma.prot;
        if vma.shared() {
            let vma = vma.clone();
            let fetched = self.fetch_writable(&vma, addr);
            self.batch.bury_areas(vec![vma]);
            return fetched;
        }
        let area = vma.range;
        let piece = self.space.pages.find(addr).ok_or(Errno::EFAULT)?;
        let piece_range = piece.range.intersect(area).ok_or(Errno::EFAULT)?;
        if let Source::Own(memory) = &piece.source
            && let Some(sole) = memory.sole_around(addr.0 - piece.range.start.0)
        {
            // Nobody else has it any more.
            let start = piece.range.start.0;
            let sole = UserRange::between(UserAddr(start + sole.start), UserAddr(start + sole.end));
            let sole = sole.intersect(piece_range).ok_or(Errno::EFAULT)?;
            for piece in self.space.pages.split(sole) {
                piece.write_through = true;
                piece.reserve = None;
                piece.prot = piece.allowed(prot);
                self.batch.protect(piece.range, piece.prot);
            }
            self.space.pages.join(sole);
            return Ok(());
        }
        self.copy_piece(addr, piece_range)
    }

    /// Copies the surroundings of `addr`, inside `within` and one piece, to memory of our own.
    fn copy_piece(&mut self, addr: UserAddr, within: UserRange) -> Result<()> {
        let start = UserAddr(addr.0 / COPY_PIECE * COPY_PIECE);
        let chunk = UserRange::new(start, COPY_PIECE)?.intersect(within).ok_or(Errno::EFAULT)?;
        self.reserve_copies(addr)?;
        let reserve = self.space.pages.split(chunk).next().and_then(|piece| piece.reserve.take());
        let Some(memory) = reserve.and_then(Reserve::into_range) else {
            return err(Errno::EFAULT);
        };
        let old = self.space.pages.remove(chunk);
        let Some(piece) = old.first() else { return err(Errno::EFAULT) };
        let copied = piece.source.copy_to(&self.mm.memfile, 0, &memory);
        if let Err(e) = copied {
            // All stays as it was, without the reserve.
            for piece in old {
                self.space.pages.put(piece);
            }
            self.space.pages.join(chunk);
            return Err(e);
        }
        let vma = self.space.vmas.find(addr).ok_or(Errno::EFAULT)?;
        let prot = vma.prot;
        self.add_piece(prot, chunk, Source::Own(memory), true);
        for piece in old {
            self.batch.bury(piece);
        }
        Ok(())
    }

    /// Sets aside a range for copies of the whole piece at `addr`.
    fn reserve_copies(&mut self, addr: UserAddr) -> Result<()> {
        let Some(Piece { range, reserve: None, .. }) = self.space.pages.find(addr) else { return Ok(()) };
        let range = *range;
        let len = range.len();
        let near = self.space.near.filter(|_| len < STACK_STEP * 64);
        let memory = self.mm.memfile.allocate_near(len, near)?;
        self.space.near = Some(memory.end());
        if let Some(piece) = self.space.pages.find_mut(addr) {
            piece.reserve = Some(Reserve::new(memory));
        }
        Ok(())
    }
}
