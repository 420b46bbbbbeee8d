//! The virtual CPUs: few, for as many contexts as there are.
//!
//! A context keeps its seat (a virtual CPU with its vector state in it) while it is in the kernel, so that an ordinary system
//! call moves nothing. Who needs one takes a free one, makes one if there may be more, or takes that of a context which is in
//! the kernel, longest first. If all run, it waits in line; the first in line takes those out that have run for long.
//!
//! Locks: the seats, then a tenant's vector state.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::control::Control;
use super::machine::Machine;
use super::vcpu::Vcpu;
use crate::regs::FpuState;
use crate::traits::PlatformError;

/// How long a context may run while others wait.
const SLICE: Duration = Duration::from_millis(4);
/// How often the first in line looks.
const LOOK: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) machine: Arc<Machine>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seats: Vec<Seat>,
    line: VecDeque<Arc<Tenant>>,
    /// Counts uses.
    now: u64,
}

#[derive(Debug)]
struct Seat {
    /// Not here while its tenant runs.
    vcpu: Option<Box<Vcpu>>,
    tenant: Option<Arc<Tenant>>,
    /// When it was used last.
    used: u64,
    /// When its tenant got it, for this turn.
    since: Instant,
}

/// What a context has with the pool.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) control: Arc<Control>,
    /// The vector state, unless it is in the virtual CPU.
    vectors: Mutex<Option<FpuState>>,
    seat: AtomicUsize,
    turn: Condvar,
}

/// A virtual CPU, for one run.
#[derive(Debug)]
pub(super) struct Lease<'a> {
    pool: &'a Pool,
    vcpu: Option<Box<Vcpu>>,
    seat: usize,
}

impl Tenant {
    pub(super) fn new(vectors: FpuState) -> Arc<Self> {
        Arc::new(Self {
            control: Arc::default(),
            vectors: Mutex::new(Some(vectors)),
            seat: AtomicUsize::new(usize::MAX),
            turn: Condvar::new(),
        })
    }
}

impl Pool {
    /// With one virtual CPU, which was tried out.
    pub(super) fn new(machine: Arc<Machine>, first: Vcpu) -> Self {
        let seat = Seat { vcpu: Some(Box::new(first)), tenant: None, used: 0, since: Instant::now() };
        Self { machine, state: Mutex::new(State { seats: vec![seat], ..State::default() }) }
    }

    /// A virtual CPU for a run, with the tenant's vector state.
    pub(super) fn lease(&self, tenant: &Arc<Tenant>) -> Result<Lease<'_>, PlatformError> {
        let mut state = self.state.lock();
        let seat = match state.own(tenant) {
            Some(seat) if state.line.is_empty() || state.seats[seat].since.elapsed() < SLICE => seat,
            _ => self.find(&mut state, tenant)?,
        };
        state.now += 1;
        state.seats[seat].used = state.now;
        let Some(vcpu) = state.seats[seat].vcpu.take() else {
            return Err(PlatformError::Unavailable("a virtual CPU runs already".into()));
        };
        drop(state);
        let lease = Lease { pool: self, vcpu: Some(vcpu), seat };
        if let Some(vectors) = tenant.vectors.lock().take() {
            lease.vcpu.as_ref().map_or(Ok(()), |vcpu| vcpu.set_vectors(&vectors))?;
        }
        Ok(lease)
    }

    /// Finds a seat, or waits for one.
    fn find(&self, state: &mut MutexGuard<'_, State>, tenant: &Arc<Tenant>) -> Result<usize, PlatformError> {
        if !state.line.is_empty() || !state.has_idle(self.machine.limit) {
            state.line.push_back(Arc::clone(tenant));
            loop {
                let first = state.line.front().is_some_and(|first| Arc::ptr_eq(first, tenant));
                if first && state.has_idle(self.machine.limit) {
                    break;
                }
                if first {
                    state.make_room();
                    tenant.turn.wait_for(state, LOOK);
                } else {
                    tenant.turn.wait(state);
                }
            }
            state.line.pop_front();
            if let Some(next) = state.line.front() {
                next.turn.notify_one();
            }
        }
        let seat = match state.best(self.machine.limit) {
            Some(seat) => seat,
            None => {
                let vcpu = Vcpu::new(&self.machine, state.seats.len())?;
                state.seats.push(Seat { vcpu: Some(Box::new(vcpu)), tenant: None, used: 0, since: Instant::now() });
                state.seats.len() - 1
            }
        };
        state.seats[seat].since = Instant::now();
        if state.own(tenant) != Some(seat) {
            self.give_up(state, tenant)?;
            state.seats[seat].empty()?;
            state.seats[seat].tenant = Some(Arc::clone(tenant));
            tenant.seat.store(seat, Ordering::Relaxed);
        }
        Ok(seat)
    }

    /// Takes the tenant's vector state out of its seat, which is free then.
    fn give_up(&self, state: &mut State, tenant: &Tenant) -> Result<(), PlatformError> {
        match state.own(tenant) {
            Some(seat) => state.seats[seat].empty(),
            None => Ok(()),
        }
    }

    /// The tenant's vector state.
    pub(super) fn vectors(&self, tenant: &Tenant) -> Result<FpuState, PlatformError> {
        let state = self.state.lock();
        if let Some(vectors) = &*tenant.vectors.lock() {
            return Ok(vectors.clone());
        }
        match state.own(tenant).and_then(|seat| state.seats[seat].vcpu.as_ref()) {
            Some(vcpu) => vcpu.vectors(),
            None => Ok(self.machine.format()?.initial().clone()),
        }
    }

    /// Changes it.
    pub(super) fn set_vectors(&self, tenant: &Tenant, vectors: FpuState) {
        *tenant.vectors.lock() = Some(vectors);
    }

    /// Whether others wait, and the tenant has had its turn.
    pub(super) fn is_wanted(&self, lease: &Lease<'_>) -> bool {
        let state = self.state.lock();
        !state.line.is_empty() && state.seats[lease.seat].since.elapsed() >= SLICE
    }

    /// The tenant is gone.
    pub(super) fn forget(&self, tenant: &Tenant) {
        let mut state = self.state.lock();
        if let Some(seat) = state.own(tenant) {
            state.seats[seat].tenant = None;
            state.call_first();
        }
    }
}

impl State {
    /// The seat that is still the tenant's.
    fn own(&self, tenant: &Tenant) -> Option<usize> {
        let index = tenant.seat.load(Ordering::Relaxed);
        let owner = self.seats.get(index)?.tenant.as_ref()?;
        std::ptr::eq(Arc::as_ptr(owner), tenant).then_some(index)
    }

    fn has_idle(&self, limit: usize) -> bool {
        self.seats.len() < limit || self.seats.iter().any(|seat| seat.vcpu.is_some())
    }

    /// A free seat, or with no more to be made the one that was idle longest.
    fn best(&self, limit: usize) -> Option<usize> {
        let idle = self.seats.iter().enumerate().filter(|(_, seat)| seat.vcpu.is_some());
        let best = idle.min_by_key(|(_, seat)| (seat.tenant.is_some(), seat.used))?;
        (best.1.tenant.is_none() || self.seats.len() >= limit).then_some(best.0)
    }

    /// Takes those out that have run for long.
    fn make_room(&self) {
        let running = self.seats.iter().filter(|seat| seat.vcpu.is_none() && seat.since.elapsed() >= SLICE);
        if let Some(longest) = running.min_by_key(|seat| seat.since)
            && let Some(tenant) = &longest.tenant
        {
            tenant.control.kick();
        }
    }

    fn call_first(&self) {
        if let Some(first) = self.line.front() {
            first.turn.notify_one();
        }
    }
}

impl Seat {
    /// Puts the tenant out, with its vector state. It does not run.
    fn empty(&mut self) -> Result<(), PlatformError> {
        let Some(tenant) = self.tenant.take() else { return Ok(()) };
        let mut vectors = tenant.vectors.lock();
        if let (None, Some(vcpu)) = (&*vectors, &self.vcpu) {
            *vectors = Some(vcpu.vectors()?);
        }
        Ok(())
    }
}

impl Lease<'_> {
    pub(super) fn vcpu(&mut self) -> Result<&mut Vcpu, PlatformError> {
        self.vcpu.as_deref_mut().ok_or(PlatformError::StubDied)
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock();
        let seat = &mut state.seats[self.seat];
        seat.vcpu = self.vcpu.take();
        state.call_first();
    }
}
