//! An application address space: a queue of changes, and the stub process whose service thread makes them.
//!
//! The process comes with the first context that runs here and is emptied when the last one has left. Changes wait for the
//! next run of any context, which has all of them made in one go. Those that take something away are made before
//! [`Space::update`] returns if application code is running.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use abi::Errno;
use parking_lot::Mutex;

use super::process::Process;
use super::thread::Thread;
use super::{Host, Variant, text};
use crate::stub::control::Control;
use crate::stub::host_error;
use crate::stub::pulse::Mortal;
use crate::stub::queue::{self, Queue};
use crate::traits::{AddressSpace, MapOp, PlatformError};

/// How long a pause may wait for code that runs.
const PATIENCE: Duration = Duration::from_millis(100);

/// What the sentry holds.
#[derive(Debug)]
pub(super) struct SystrapSpace(Arc<Space>);

/// What contexts hold as well.
#[derive(Debug)]
pub(super) struct Space {
    host: Arc<Host>,
    state: Mutex<State>,
    /// Whether a context must look at the state before it runs application code.
    pending: AtomicBool,
    /// Whether an application can make us believe that it waits for us while it runs on.
    doubted: AtomicBool,
}

#[derive(Debug)]
struct State {
    life: Life,
    queue: Queue,
    /// A change that the host refused. Nothing runs here any more, for what is mapped is not what should be.
    failed: Option<Errno>,
    /// Contexts that are here or have a thread reserved.
    users: usize,
    /// The contexts that are here.
    inside: Vec<Arc<Control>>,
}

#[derive(Debug)]
enum Life {
    Unborn,
    Live(Arc<Process>),
    Dead,
}

/// A thread set aside for a context that was duplicated from one in this space.
#[derive(Debug)]
pub(super) struct Reservation {
    space: Arc<Space>,
    thread: Option<Thread>,
}

impl SystrapSpace {
    pub(super) fn new(host: &Arc<Host>) -> Self {
        let queue = Queue::new(text::USER_END);
        let state = State { life: Life::Unborn, queue, failed: None, users: 0, inside: Vec::new() };
        let (pending, doubted) = (AtomicBool::new(false), AtomicBool::new(host.variant == Variant::Futex));
        Self(Arc::new(Space { host: Arc::clone(host), state: Mutex::new(state), pending, doubted }))
    }

    /// The space behind a trait object, which must be one of ours.
    pub(super) fn of(space: &Arc<dyn AddressSpace>) -> Result<&Arc<Space>, PlatformError> {
        let own = space.as_any().downcast_ref::<Self>();
        own.map(|own| &own.0).ok_or_else(|| host_error("address space of another platform", Errno::EINVAL))
    }
}

impl AddressSpace for SystrapSpace {
    fn update(&self, ops: &[MapOp<'_>]) -> Result<(), PlatformError> {
        self.0.update(ops)
    }

    fn pause(&self, f: &mut dyn FnMut()) -> Result<(), PlatformError> {
        self.0.pause(f)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Space {
    fn update(&self, ops: &[MapOp<'_>]) -> Result<(), PlatformError> {
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
        // A report by futex can be forged, and a direct call: there application code may always run.
        if urgent && (self.doubted.load(Ordering::SeqCst) || state.inside.iter().any(|control| control.is_running())) {
            return self.make_changes(&mut state);
        }
        Ok(())
    }

    /// From now on what threads do tells nothing, except by notifications. Called while the caller counts as running.
    pub(super) fn doubt(&self) {
        self.doubted.store(true, Ordering::SeqCst);
    }

    /// Stops everybody else for a moment.
    fn pause(&self, f: &mut dyn FnMut()) -> Result<(), PlatformError> {
        let state = self.state.lock();
        state.check()?;
        // Whoever wants to run now looks at the state first.
        self.pending.store(true, Ordering::SeqCst);
        let end = Instant::now() + PATIENCE;
        for control in &state.inside {
            control.kick();
            while control.is_running() {
                if Instant::now() > end {
                    return Err(host_error("pause of an address space", Errno::EAGAIN));
                }
                std::thread::yield_now();
            }
        }
        f();
        Ok(())
    }

    /// Whether a context must call [`Self::settle`] before it runs application code.
    pub(super) fn has_work(&self) -> bool {
        self.pending.load(Ordering::SeqCst)
    }

    /// Has all changes made.
    pub(super) fn settle(&self) -> Result<(), PlatformError> {
        let mut state = self.state.lock();
        state.check()?;
        self.make_changes(&mut state)
    }

    fn make_changes(&self, state: &mut State) -> Result<(), PlatformError> {
        let Life::Live(process) = &state.life else { return Ok(()) };
        if !state.queue.is_empty() {
            let done = process.batch(&state.queue.records());
            state.queue.clear();
            let failed = match done {
                Ok(Ok(())) => None,
                Ok(Err(errno)) => Some((errno, host_error("change of an address space", errno))),
                Err(died) => Some((Errno::ESRCH, died)),
            };
            if let Some((errno, error)) = failed {
                // What should be gone may be there still, and code that uses it may not let itself be interrupted.
                process.leader().end();
                // `pending` stays, so that every context comes to see the failure.
                state.failed = Some(errno);
                state.inside.iter().for_each(|control| control.kick());
                return Err(error);
            }
        }
        self.pending.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Takes a context in: gives it a thread.
    pub(super) fn join(
        &self,
        control: &Arc<Control>,
        reserved: Option<Reservation>,
    ) -> Result<(Arc<Process>, Thread), PlatformError> {
        let mut state = self.state.lock();
        state.check()?;
        let process = match &state.life {
            Life::Live(process) => Arc::clone(process),
            Life::Dead => return Err(host_error("run in an address space that was left", Errno::ESRCH)),
            Life::Unborn => {
                let process = self.host.pool.take()?;
                state.life = Life::Live(Arc::clone(&process));
                process
            }
        };
        state.users += 1;
        let thread = match reserved.and_then(|reserved| reserved.redeem(&mut state)) {
            Some(thread) => Ok(thread),
            None => process.thread(),
        };
        match thread {
            Ok(thread) => {
                control.set_stub(Some(thread.target()));
                state.inside.push(Arc::clone(control));
                Ok((process, thread))
            }
            Err(error) => {
                let left = state.user_left();
                drop(state);
                drop(left);
                Err(error)
            }
        }
    }

    /// Sets a thread aside for another context.
    pub(super) fn reserve(self: &Arc<Self>, process: &Process) -> Result<Reservation, PlatformError> {
        let thread = process.thread()?;
        self.state.lock().users += 1;
        Ok(Reservation { space: Arc::clone(self), thread: Some(thread) })
    }

    /// Lets a context go. Its thread waits for another one; the process does, emptied, if it was the last one here.
    pub(super) fn leave(&self, control: &Arc<Control>, process: &Process, thread: Thread) {
        control.set_stub(None);
        let mut state = self.state.lock();
        state.inside.retain(|other| !Arc::ptr_eq(other, control));
        process.park(thread);
        let left = state.user_left();
        drop(state);
        if let Some(process) = left {
            self.give_back(process);
        }
    }

    fn give_back(&self, process: Arc<Process>) {
        if self.host.variant == Variant::Futex {
            // For the same reason it is of no use to others.
            process.leader().doom();
            return;
        }
        let emptied = process.batch(&[queue::unmap_all(text::USER_END)]);
        if matches!(emptied, Ok(Ok(()))) && !process.leader().is_doomed() {
            self.host.pool.give(process);
        }
    }
}

impl State {
    fn check(&self) -> Result<(), PlatformError> {
        match self.failed {
            Some(Errno::ESRCH) => Err(PlatformError::StubDied),
            Some(errno) => Err(host_error("change of an address space", errno)),
            None => Ok(()),
        }
    }

    /// The process, if this was the last one in it.
    fn user_left(&mut self) -> Option<Arc<Process>> {
        self.users -= 1;
        if self.users > 0 {
            return None;
        }
        self.queue = Queue::new(text::USER_END);
        match std::mem::replace(&mut self.life, Life::Dead) {
            Life::Live(process) => Some(process),
            Life::Unborn | Life::Dead => None,
        }
    }
}

impl Reservation {
    pub(super) fn is_for(&self, space: &Arc<Space>) -> bool {
        Arc::ptr_eq(&self.space, space)
    }

    /// The thread, for a context that already counts as a user.
    fn redeem(mut self, state: &mut State) -> Option<Thread> {
        state.users -= 1;
        self.thread.take()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let mut state = self.space.state.lock();
        if let Life::Live(process) = &state.life {
            process.park(thread);
        }
        let left = state.user_left();
        drop(state);
        if let Some(process) = left {
            self.space.give_back(process);
        }
    }
}
