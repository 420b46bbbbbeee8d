//! An application address space: what the memory manager mapped, and the page tables that say it to the guest.
//!
//! Small mappings get their entries at once, larger ones when something in the same 2 MiB is touched ([`Space::resolve`]).
//! What takes something away is done when [`Space::update`] returns: the entries are changed, then the pages behind them
//! are forgotten in the window they came from, which takes them from every virtual CPU and every shadow of a table.
//!
//! Locks: the state of a space, then windows and tables; the contexts inside stand alone.

use std::any::Any;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use abi::{Errno, UserAddr, UserRange};
use parking_lot::Mutex;

use super::control::Control;
use super::layout;
use super::machine::Machine;
use super::slots::{self, Window};
use super::tree::{self, BLOCK, Leaf, Tree};
use crate::event::Access;
use crate::stub::host_error;
use crate::traits::{AddressSpace, MapOp, PlatformError, Prot};

/// A mapping up to this length has its entries from the start.
const SMALL: u64 = BLOCK;
/// Pieces to forget beyond which all that was derived from page tables goes instead.
const MANY_PIECES: usize = 48;

/// What the sentry holds.
#[derive(Debug)]
pub(super) struct KvmSpace(Arc<Space>);

/// What contexts hold as well.
#[derive(Debug)]
pub(super) struct Space {
    machine: Arc<Machine>,
    /// The guest address of its first table.
    root: u64,
    state: Mutex<State>,
    /// Whether a change has failed.
    failed: AtomicBool,
    /// The contexts that run here.
    inside: Mutex<Vec<Arc<Control>>>,
}

#[derive(Debug)]
struct State {
    areas: BTreeMap<u64, Area>,
    tree: Tree,
    /// The windows that entries lead to, by guest address, with how many do.
    windows: BTreeMap<u64, (Arc<Window>, u64)>,
    /// A change that failed. Nothing runs here any more, for what is mapped is not what should be.
    failed: Option<Errno>,
}

/// A mapping as the memory manager told it; its key is where it starts.
#[derive(Clone, Debug)]
struct Area {
    end: u64,
    file: Arc<OwnedFd>,
    offset: u64,
    prot: Prot,
}

/// What became of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    /// The access may be made again.
    Yes,
    /// It is for the memory manager to look at.
    NotPermitted,
    /// The file ends before.
    BeyondEnd,
}

/// Pieces of windows to forget.
#[derive(Debug, Default)]
struct Stale(Vec<(Arc<Window>, u64, u64)>);

impl KvmSpace {
    pub(super) fn new(machine: &Arc<Machine>) -> Result<Self, PlatformError> {
        let tree = Tree::new(machine)?;
        let root = tree.root();
        let state = State { areas: BTreeMap::new(), tree, windows: BTreeMap::new(), failed: None };
        Ok(Self(Arc::new(Space {
            machine: Arc::clone(machine),
            root,
            state: Mutex::new(state),
            failed: AtomicBool::new(false),
            inside: Mutex::default(),
        })))
    }

    /// The space behind a trait object, which must be one of ours.
    pub(super) fn of(space: &Arc<dyn AddressSpace>) -> Result<&Arc<Space>, PlatformError> {
        let own = space.as_any().downcast_ref::<Self>();
        own.map(|own| &own.0).ok_or_else(|| host_error("address space of another platform", Errno::EINVAL))
    }
}

impl AddressSpace for KvmSpace {
    fn update(&self, ops: &[MapOp<'_>]) -> Result<(), PlatformError> {
        self.0.update(ops)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Space {
    /// For cr3.
    pub(super) const fn root(&self) -> u64 {
        self.root
    }

    /// Whether nothing may run here any more.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// Why.
    pub(super) fn check(&self) -> Result<(), PlatformError> {
        if self.has_failed() { self.state.lock().check() } else { Ok(()) }
    }

    pub(super) fn enter(&self, control: &Arc<Control>) {
        self.inside.lock().push(Arc::clone(control));
    }

    pub(super) fn leave(&self, control: &Arc<Control>) {
        self.inside.lock().retain(|other| !Arc::ptr_eq(other, control));
    }

    fn update(&self, ops: &[MapOp<'_>]) -> Result<(), PlatformError> {
        let mut state = self.state.lock();
        state.check()?;
        let mut stale = Stale::default();
        let applied = ops.iter().try_for_each(|op| state.apply(&self.machine, op, &mut stale));
        // What was changed before a failure counts as well.
        let forgotten = stale.forget(&self.machine);
        let done = applied.and(forgotten);
        state.let_go();
        if let Err(error) = done {
            state.failed = Some(if let PlatformError::Host { errno, .. } = error { errno } else { Errno::EIO });
            self.failed.store(true, Ordering::SeqCst);
            drop(state);
            self.inside.lock().iter().for_each(|control| control.kick());
            return Err(error);
        }
        Ok(())
    }

    /// Makes the entries around an address that the guest could not use, if the memory manager allows this access.
    pub(super) fn resolve(&self, at: UserAddr, access: Access) -> Result<Resolved, PlatformError> {
        let mut state = self.state.lock();
        state.check()?;
        let Some((start, area)) = state.permitted(at.0, access) else { return Ok(Resolved::NotPermitted) };
        if area.offset + (at.0 - start) >= area.covered() {
            return Ok(Resolved::BeyondEnd);
        }
        let mut stale = Stale::default();
        state.refresh(&self.machine, tree::block(at.0), true, &mut stale)?;
        stale.forget(&self.machine)?;
        Ok(Resolved::Yes)
    }

    /// The host found no memory behind an entry, and does not say which: takes away those that lead beyond the end of their
    /// file, so that the next access tells. Returns whether there were any.
    pub(super) fn uncover_ends(&self) -> Result<bool, PlatformError> {
        let mut state = self.state.lock();
        let beyond = |(start, area): (&u64, &Area)| {
            let covered = start + area.covered().saturating_sub(area.offset);
            (covered < area.end).then(|| UserRange::between(UserAddr(covered), UserAddr(area.end)))
        };
        let beyond: Vec<_> = state.areas.iter().filter_map(beyond).collect();
        let mut stale = Stale::default();
        for range in beyond {
            let mut at = range.start.0;
            while at < range.end.0 {
                let end = tree::block(at).end.0.min(range.end.0);
                at = match state.tree.find(&self.machine, at) {
                    Ok(table) => {
                        state.set(&self.machine, table, at, end, &mut stale, |_| Leaf::NONE);
                        end
                    }
                    Err(next) => next,
                };
            }
        }
        let any = !stale.0.is_empty();
        stale.forget(&self.machine)?;
        Ok(any)
    }

    /// Reads code, as far as it is there.
    pub(super) fn peek(&self, at: u64, bytes: &mut [u8]) -> usize {
        let state = self.state.lock();
        let mut done = 0;
        while done < bytes.len() {
            let from = at.wrapping_add(done as u64);
            let rest = (abi::PAGE_SIZE - from % abi::PAGE_SIZE) as usize;
            let some = rest.min(bytes.len() - done);
            let Some(n) = state.peek_page(&self.machine, from, &mut bytes[done..done + some]) else { break };
            done += n;
            if n < some {
                break;
            }
        }
        done
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.machine.arena.give_back(self.state.get_mut().tree.tables());
        self.state.get_mut().windows.clear();
        self.machine.slots.tidy(&self.machine.vm);
    }
}

impl State {
    fn check(&self) -> Result<(), PlatformError> {
        self.failed.map_or(Ok(()), |errno| Err(host_error("change of an address space", errno)))
    }

    fn apply(&mut self, machine: &Machine, op: &MapOp<'_>, stale: &mut Stale) -> Result<(), PlatformError> {
        let invalid = |_| host_error("change of an address space", Errno::EINVAL);
        match *op {
            MapOp::Map { at, len, file, offset, prot } => {
                let range = checked(UserRange::new(at, len).map_err(invalid)?)?;
                if !offset.is_multiple_of(abi::PAGE_SIZE) || offset.checked_add(len).is_none() {
                    return Err(host_error("change of an address space", Errno::EINVAL));
                }
                if range.is_empty() {
                    return Ok(());
                }
                self.cut(range);
                self.insert(range, Area { end: range.end.0, file: Arc::clone(file), offset, prot });
                self.refresh(machine, range, len <= SMALL, stale)
            }
            MapOp::Unmap(range) => {
                let range = checked(range)?;
                self.cut(range);
                self.refresh(machine, range, false, stale)
            }
            MapOp::Protect(range, prot) => {
                let range = checked(range)?;
                self.split(range.start.0);
                self.split(range.end.0);
                self.areas
                    .range_mut(range.start.0..range.end.0.max(range.start.0))
                    .for_each(|(_, area)| area.prot = prot);
                self.refresh(machine, range, false, stale)
            }
        }
    }

    /// Takes away whatever is in a range.
    fn cut(&mut self, range: UserRange) {
        self.split(range.start.0);
        self.split(range.end.0);
        while let Some((&start, _)) = self.areas.range(range.start.0..range.end.0.max(range.start.0)).next() {
            self.areas.remove(&start);
        }
    }

    /// Makes an area begin or end at an address.
    fn split(&mut self, at: u64) {
        if let Some((&start, area)) = self.areas.range_mut(..at).next_back()
            && area.end > at
        {
            let rest = Area { offset: area.offset + (at - start), ..area.clone() };
            area.end = at;
            self.areas.insert(at, rest);
        }
    }

    /// Adds an area, or lets the one before it grow.
    fn insert(&mut self, range: UserRange, new: Area) {
        if let Some((start, area)) = self.areas.range_mut(..range.start.0).next_back()
            && area.end == range.start.0
            && Arc::ptr_eq(&area.file, &new.file)
            && area.prot == new.prot
            && area.offset + (area.end - start) == new.offset
        {
            area.end = new.end;
        } else {
            self.areas.insert(range.start.0, new);
        }
    }

    /// The area of an address, and where it starts, if it may be used so.
    fn permitted(&self, at: u64, access: Access) -> Option<(u64, &Area)> {
        let (start, area) = self.areas.range(..=at).next_back().filter(|(_, area)| at < area.end)?;
        let permitted = match access {
            Access::Read | Access::Unknown => !area.prot.is_none(),
            Access::Write => area.prot.write,
            Access::Execute => area.prot.exec,
        };
        permitted.then_some((*start, area))
    }

    /// Makes the entries of a range say what the areas do; with `make` those too for which there is no table yet.
    fn refresh(
        &mut self,
        machine: &Machine,
        range: UserRange,
        make: bool,
        stale: &mut Stale,
    ) -> Result<(), PlatformError> {
        let mut at = range.start.0;
        while at < range.end.0 {
            let here = tree::block(at);
            let end = here.end.0.min(range.end.0);
            let found = match self.tree.find(machine, at) {
                Err(_) if make && self.has_areas(at, end) => Ok(self.tree.find_or_make(machine, at)?),
                Err(_) if make => Err(end),
                found => found,
            };
            match found {
                Ok(table) => {
                    self.refresh_block(machine, table, at, end, stale)?;
                    at = end;
                }
                Err(next) => at = next,
            }
        }
        Ok(())
    }

    fn has_areas(&self, at: u64, end: u64) -> bool {
        self.areas.range(..end).next_back().is_some_and(|(_, area)| area.end > at)
    }

    /// The same within one table.
    fn refresh_block(
        &mut self,
        machine: &Machine,
        table: u64,
        at: u64,
        end: u64,
        stale: &mut Stale,
    ) -> Result<(), PlatformError> {
        let first = self.areas.range(..=at).next_back().map_or(at, |(start, _)| *start);
        let pieces: Vec<_> = self
            .areas
            .range(first..end)
            .filter(|(_, area)| area.end > at)
            .map(|(start, area)| {
                let from = at.max(*start);
                (from, area.end.min(end), Arc::clone(&area.file), area.offset + (from - start), area.prot)
            })
            .collect();
        let mut next = at;
        for (from, to, file, offset, prot) in pieces {
            self.set(machine, table, next, from, stale, |_| Leaf::NONE);
            self.lead_to(machine, table, (from, to), (&file, offset), prot, stale)?;
            next = to;
        }
        self.set(machine, table, next, end, stale, |_| Leaf::NONE);
        Ok(())
    }

    /// Entries for a piece of a file.
    fn lead_to(
        &mut self,
        machine: &Machine,
        table: u64,
        (from, to): (u64, u64),
        (file, offset): (&Arc<OwnedFd>, u64),
        prot: Prot,
        stale: &mut Stale,
    ) -> Result<(), PlatformError> {
        if prot.is_none() {
            self.set(machine, table, from, to, stale, |_| Leaf::NONE);
            return Ok(());
        }
        let mut at = from;
        while at < to {
            let in_file = offset + (at - from);
            let window = machine.slots.window(&machine.vm, file, in_file, offset + (to - from))?;
            if prot.write && !window.writable() {
                return Err(host_error("mapping of a file that may not be written", Errno::EACCES));
            }
            let end = to.min(at + (window.offset + window.len() - in_file));
            let base = window.guest + (in_file - window.offset);
            let added = self.set(machine, table, at, end, stale, |page| Leaf::new(base + (page - at), prot));
            if added > 0 {
                self.windows.entry(window.guest).or_insert_with(|| (window, 0)).1 += added;
            }
            at = end;
        }
        Ok(())
    }

    /// Sets entries. Returns how many were added that lead somewhere; those that they replace are taken off.
    fn set(
        &mut self,
        machine: &Machine,
        table: u64,
        from: u64,
        to: u64,
        stale: &mut Stale,
        new: impl Fn(u64) -> Leaf,
    ) -> u64 {
        let mut added = 0;
        for page in (from..to).step_by(abi::PAGE_SIZE as usize) {
            let entry = tree::leaf(machine, table, page);
            let (old, new) = (tree::load(entry), new(page));
            if old == new {
                continue;
            }
            entry.store(new.bits(), Ordering::SeqCst);
            added += u64::from(new.is_present());
            if old.is_present()
                && let Some((_, (window, used))) = self.windows.range_mut(..=old.guest()).next_back()
            {
                *used -= 1;
                if old.is_more_than(new) {
                    stale.add(window, old.guest());
                }
            }
        }
        added
    }

    /// Lets go of windows that no entry leads to any more.
    fn let_go(&mut self) {
        self.windows.retain(|_, (_, used)| *used > 0);
    }

    fn peek_page(&self, machine: &Machine, at: u64, bytes: &mut [u8]) -> Option<usize> {
        let table = self.tree.find(machine, at).ok()?;
        let leaf = tree::load(tree::leaf(machine, table, at));
        let (window, _) = self.windows.range(..=leaf.guest()).next_back().filter(|_| leaf.is_present())?.1;
        let offset = leaf.guest() + at % abi::PAGE_SIZE - window.guest;
        window.mapping.slice(usize::try_from(offset).ok()?, bytes.len()).read(bytes).ok()
    }
}

impl Area {
    /// Where in the file there is no page any more.
    fn covered(&self) -> u64 {
        let size = host::file::stat(self.file.as_fd()).map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or(0));
        size.checked_next_multiple_of(abi::PAGE_SIZE).unwrap_or(u64::MAX)
    }
}

impl Stale {
    fn add(&mut self, window: &Arc<Window>, guest: u64) {
        let at = guest - window.guest;
        match self.0.last_mut() {
            Some((last, _, end)) if Arc::ptr_eq(last, window) && *end == at => *end += abi::PAGE_SIZE,
            _ => self.0.push((Arc::clone(window), at, at + abi::PAGE_SIZE)),
        }
    }

    /// When this returns no virtual CPU can use the entries as they were.
    fn forget(self, machine: &Machine) -> Result<(), PlatformError> {
        if self.0.len() > MANY_PIECES {
            return slots::drop_shadows(&machine.vm);
        }
        for (window, from, to) in self.0 {
            let done = window.mapping.forget(from as usize, (to - from) as usize);
            done.map_err(|errno| host_error("madvise", errno))?;
        }
        Ok(())
    }
}

/// Our own pages stay out of reach, whatever the memory manager asks for.
fn checked(range: UserRange) -> Result<UserRange, PlatformError> {
    let aligned = range.start.is_page_aligned() && range.end.is_page_aligned();
    if aligned && range.end.0 <= layout::BASE && range.start <= range.end {
        Ok(range)
    } else {
        Err(host_error("change of an address space", Errno::EINVAL))
    }
}
