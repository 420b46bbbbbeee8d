//! An application address space: a queue of changes, and the contexts whose stubs make them.
//!
//! The memory itself comes with the first context that runs here and is gone when the last one has left. Changes wait for
//! the next run of any context, which makes them all in one go. When they take something away that a context is using
//! right now, they are made before [`Space::update`] returns: by the caller's own stub if it has one here, otherwise by
//! one of the running contexts, which is kicked for that.

use std::any::Any;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use abi::Errno;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::memory::Memory;
use super::tracee::Tracee;
use super::{Host, text};
use crate::stub::control::{Control, Target};
use crate::stub::host_error;
use crate::stub::queue::{self, Queue};
use crate::traits::{AddressSpace, MapOp, PlatformError};

/// What the sentry holds.
#[derive(Debug)]
pub(super) struct PtraceSpace(Arc<Space>);

/// What contexts hold as well.
#[derive(Debug)]
pub(super) struct Space {
    host: Arc<Host>,
    state: Mutex<State>,
    /// Whether a context must look at the state before it runs application code.
    pending: AtomicBool,
    /// How many threads sleep on `settled`.
    waiters: AtomicUsize,
    settled: Condvar,
}

#[derive(Debug)]
struct State {
    life: Life,
    queue: Queue,
    /// A change that the host refused. Nothing runs here any more, for what is mapped is not what should be.
    failed: Option<Errno>,
    /// Contexts that are here, wait to come in, or have a stub reserved.
    users: usize,
    /// The contexts that are here.
    inside: Vec<Arc<Control>>,
    /// How many contexts wait for a stub that others here must clone.
    wanted: usize,
    clone_failed: Option<Errno>,
}

#[derive(Debug)]
enum Life {
    Unborn,
    Live(Arc<Memory>),
    Dead,
}

/// A stub set aside for a context that was duplicated from one in this space.
#[derive(Debug)]
pub(super) struct Reservation {
    space: Arc<Space>,
    stub: Option<i32>,
}

thread_local! {
    /// The stubs that this thread traces, with the address of their space.
    static OWN: RefCell<Vec<(*const Space, Arc<Tracee>)>> = const { RefCell::new(Vec::new()) };
}

impl PtraceSpace {
    pub(super) fn new(host: &Arc<Host>) -> Self {
        let state = State {
            life: Life::Unborn,
            queue: Queue::new(text::user_end()),
            failed: None,
            users: 0,
            inside: Vec::new(),
            wanted: 0,
            clone_failed: None,
        };
        Self(Arc::new(Space {
            host: Arc::clone(host),
            state: Mutex::new(state),
            pending: AtomicBool::new(false),
            waiters: AtomicUsize::new(0),
            settled: Condvar::new(),
        }))
    }

    /// The space behind a trait object, which must be one of ours.
    pub(super) fn of(space: &Arc<dyn AddressSpace>) -> Result<&Arc<Space>, PlatformError> {
        let own = space.as_any().downcast_ref::<Self>();
        own.map(|own| &own.0).ok_or_else(|| host_error("address space of another platform", Errno::EINVAL))
    }
}

impl AddressSpace for PtraceSpace {
    fn update(&self, ops: &[MapOp<'_>]) -> Result<(), PlatformError> {
        self.0.update(ops)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Space {
    fn update(self: &Arc<Self>, ops: &[MapOp<'_>]) -> Result<(), PlatformError> {
        let mut state = self.state.lock();
        state.check()?;
        if matches!(state.life, Life::Dead) {
            return Ok(());
        }
        let mut urgent = false;
        for op in ops {
            urgent |= state.queue.push(*op).map_err(|errno| host_error("change of an address space", errno))?;
        }
        if state.queue.is_empty() {
            return Ok(());
        }
        self.pending.store(true, Ordering::SeqCst);
        if !urgent || state.running().is_none() {
            return Ok(());
        }
        match self.own_stub() {
            Some(own) => self.make_changes(&mut state, &own),
            None => self.have_settled(&mut state),
        }
    }

    /// Waits until no context runs application code on the old state.
    fn have_settled(&self, state: &mut MutexGuard<'_, State>) -> Result<(), PlatformError> {
        self.waiters.fetch_add(1, Ordering::SeqCst);
        while !state.queue.is_empty()
            && let Some(running) = state.running()
        {
            running.kick();
            self.settled.wait(state);
        }
        self.waiters.fetch_sub(1, Ordering::SeqCst);
        state.check()
    }

    /// Whether a context must call [`Self::settle`] before it runs application code.
    pub(super) fn has_work(&self) -> bool {
        self.pending.load(Ordering::SeqCst)
    }

    /// Does what is pending, with the stub of the calling context.
    pub(super) fn settle(&self, own: &Tracee) -> Result<(), PlatformError> {
        let mut state = self.state.lock();
        state.check()?;
        if !state.queue.is_empty() {
            self.make_changes(&mut state, own)?;
        }
        while state.wanted > 0 {
            state.wanted -= 1;
            match own.clone_sibling() {
                Ok(stub) => own.memory().park(stub),
                Err(PlatformError::Host { errno, .. }) => state.clone_failed = Some(errno),
                Err(died) => {
                    state.wanted += 1;
                    return Err(died);
                }
            }
        }
        self.pending.store(false, Ordering::SeqCst);
        drop(state);
        self.stopped();
        Ok(())
    }

    /// A context has stopped running application code: whoever waits for that looks again.
    pub(super) fn stopped(&self) {
        if self.waiters.load(Ordering::SeqCst) != 0 {
            drop(self.state.lock());
            self.settled.notify_all();
        }
    }

    fn make_changes(&self, state: &mut State, own: &Tracee) -> Result<(), PlatformError> {
        let done = own.batch(&state.queue.records())?;
        state.queue.clear();
        if let Err(errno) = done {
            // `pending` stays, so that every context comes to see the failure.
            state.failed = Some(errno);
            state.inside.iter().for_each(|control| control.kick());
        } else if state.wanted == 0 {
            self.pending.store(false, Ordering::SeqCst);
        }
        state.check()
    }

    /// Takes a context in: gives it a stub that the calling thread traces. `spare` is an empty one that it may use.
    pub(super) fn join(
        self: &Arc<Self>,
        control: &Arc<Control>,
        reserved: Option<Reservation>,
        spare: Option<Arc<Tracee>>,
    ) -> Result<Arc<Tracee>, PlatformError> {
        let mut state = self.state.lock();
        state.check()?;
        state.users += 1;
        let joined = self.find_stub(&mut state, reserved, spare);
        match joined {
            Ok(tracee) => {
                let target = Target { pid: tracee.tid(), tid: tracee.tid(), pulse: None };
                control.set_stub(Some(target));
                state.inside.push(Arc::clone(control));
                let entry = (Arc::as_ptr(self), Arc::clone(&tracee));
                let _ = OWN.try_with(|own| own.borrow_mut().push(entry));
                Ok(tracee)
            }
            Err(error) => {
                state.user_left();
                Err(error)
            }
        }
    }

    fn find_stub(
        &self,
        state: &mut MutexGuard<'_, State>,
        reserved: Option<Reservation>,
        spare: Option<Arc<Tracee>>,
    ) -> Result<Arc<Tracee>, PlatformError> {
        let memory = match &state.life {
            Life::Live(memory) => Arc::clone(memory),
            Life::Dead => return Err(host_error("run in an address space that was left", Errno::ESRCH)),
            Life::Unborn => {
                if let Some(spare) = spare {
                    state.life = Life::Live(Arc::clone(spare.memory()));
                    return Ok(spare);
                }
                let memory = self.host.pool.take()?;
                state.life = Life::Live(Arc::clone(&memory));
                memory
            }
        };
        if let Some(spare) = spare {
            give_back(&self.host, &spare);
        }
        let stub = match reserved {
            Some(reserved) => reserved.redeem(state),
            None => None,
        };
        let stub = match stub.or_else(|| memory.unpark()) {
            Some(stub) => stub,
            None => self.wait_for_stub(state, &memory)?,
        };
        Tracee::attach(stub, &memory)
    }

    /// Has another context here clone a stub, or takes that of one that leaves.
    fn wait_for_stub(&self, state: &mut MutexGuard<'_, State>, memory: &Memory) -> Result<i32, PlatformError> {
        state.wanted += 1;
        self.pending.store(true, Ordering::SeqCst);
        self.waiters.fetch_add(1, Ordering::SeqCst);
        let found = loop {
            if let Some(stub) = memory.unpark() {
                break Ok(stub);
            }
            if let Some(errno) = state.clone_failed.take() {
                break Err(host_error("clone of a stub", errno));
            }
            if let Err(error) = state.check() {
                break Err(error);
            }
            if let Some(running) = state.running() {
                running.kick();
            }
            self.settled.wait(state);
        };
        self.waiters.fetch_sub(1, Ordering::SeqCst);
        found
    }

    /// Sets a stub aside for another context, cloned from `own` if there is none.
    pub(super) fn reserve(self: &Arc<Self>, own: &Tracee) -> Result<Reservation, PlatformError> {
        let stub = match own.memory().unpark() {
            Some(stub) => stub,
            None => own.clone_sibling()?,
        };
        self.state.lock().users += 1;
        Ok(Reservation { space: Arc::clone(self), stub: Some(stub) })
    }

    /// Lets a context go. The stub parks, or comes back empty if it was the last one here.
    pub(super) fn leave(self: &Arc<Self>, control: &Arc<Control>, tracee: Arc<Tracee>) -> Option<Arc<Tracee>> {
        control.set_stub(None);
        let _ = OWN.try_with(|own| {
            own.borrow_mut().retain(|(_, other)| !Arc::ptr_eq(other, &tracee) && !other.is_gone());
        });
        let mut state = self.state.lock();
        state.inside.retain(|other| !Arc::ptr_eq(other, control));
        if state.user_left() {
            drop(state);
            let empty = tracee.is_ours() && matches!(tracee.batch(&[queue::unmap_all(text::user_end())]), Ok(Ok(())));
            if !empty {
                tracee.kill();
            }
            return empty.then_some(tracee);
        }
        if state.wanted > 0 || tracee.memory().has_room() {
            tracee.release();
        } else {
            tracee.kill();
        }
        drop(state);
        self.stopped();
        None
    }

    fn own_stub(self: &Arc<Self>) -> Option<Arc<Tracee>> {
        let find = |own: &RefCell<Vec<(*const Self, Arc<Tracee>)>>| {
            let own = own.borrow();
            let mine = own.iter().find(|(space, stub)| *space == Arc::as_ptr(self) && !stub.is_gone());
            mine.map(|(_, stub)| Arc::clone(stub))
        };
        OWN.try_with(find).ok().flatten()
    }
}

impl State {
    fn check(&self) -> Result<(), PlatformError> {
        match self.failed {
            Some(errno) => Err(host_error("change of an address space", errno)),
            None => Ok(()),
        }
    }

    fn running(&self) -> Option<&Arc<Control>> {
        self.inside.iter().find(|control| control.is_running())
    }

    /// Whether it was the last one, with whom the memory goes.
    fn user_left(&mut self) -> bool {
        self.users -= 1;
        let last = self.users == 0;
        if last {
            self.life = Life::Dead;
            self.queue = Queue::new(text::user_end());
        }
        last
    }
}

impl Reservation {
    pub(super) fn is_for(&self, space: &Arc<Space>) -> bool {
        Arc::ptr_eq(&self.space, space)
    }

    /// The stub, for a context that already counts as a user.
    fn redeem(mut self, state: &mut State) -> Option<i32> {
        state.users -= 1;
        self.stub.take()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let Some(stub) = self.stub.take() else { return };
        let mut state = self.space.state.lock();
        match &state.life {
            Life::Live(memory) => memory.park(stub),
            _ => host::child::kill_and_reap(stub),
        }
        state.user_left();
        drop(state);
        self.space.stopped();
    }
}

/// Parks an empty stub that is not needed any more, for others to use with its memory.
pub(super) fn give_back(host: &Host, spare: &Tracee) {
    if spare.release() {
        host.pool.give(Arc::clone(spare.memory()));
    }
}
