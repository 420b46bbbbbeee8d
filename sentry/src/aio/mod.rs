//! Asynchronous I/O as io_submit(2) has it: contexts of an address space, the events that wait in them.
//!
//! As on Linux, reads and writes are over before io_submit(2) returns; what goes on behind its back are polls alone
//! ([`poll`]). An application gets its events by io_getevents(2): the ring that Linux also lets it read is mapped, says
//! that it is not to be read (its magic number is 0), and names the context.
//!
//! Locks: `Leaf` around a context's events; eventfds are told without it.

mod poll;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::Errno;
use abi::iouring::IoEvent;
use abi::poll::POLLIN;
use sync::{Mutex, WaitQueue};

pub use self::poll::PollRequest;
use crate::error::{Result, err};
use crate::fs::eventfd::EventFd;
use crate::lock_order::Leaf;
use crate::vfs::File;

/// How many requests all contexts together may have room for (/proc/sys/fs/aio-max-nr).
pub const MAX_REQUESTS: u64 = 65536;

/// Counts what room contexts have been promised.
#[derive(Debug, Default)]
pub struct Quota(AtomicU64);

impl Quota {
    /// What /proc/sys/fs/aio-nr shows.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn take(&self, n: u64) -> Result<()> {
        let fits = |used: u64| used.checked_add(n).filter(|sum| *sum <= MAX_REQUESTS);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|_| Errno::EAGAIN)?;
        Ok(())
    }
}

/// The contexts of an address space, by their number.
#[derive(Debug, Default)]
pub struct Contexts(Mutex<HashMap<u64, Arc<Context>>, Leaf>);

impl Contexts {
    /// The context of that number; EINVAL if there is none.
    pub fn get(&self, id: u64) -> Result<Arc<Context>> {
        self.0.lock().get(&id).cloned().ok_or_else(|| Errno::EINVAL.into())
    }

    /// Makes a context known. EINVAL if there is one of that number (a ring was unmapped behind our back).
    pub fn add(&self, id: u64, context: Context) -> Result<()> {
        let mut contexts = self.0.lock();
        if contexts.contains_key(&id) {
            return err(Errno::EINVAL);
        }
        contexts.insert(id, Arc::new(context));
        Ok(())
    }

    /// io_destroy(2): forgets a context; what it polls for is called off, and who waits for events is told.
    pub fn remove(&self, id: u64) -> Result<()> {
        let context = self.0.lock().remove(&id).ok_or(Errno::EINVAL)?;
        context.call_off();
        context.queue.notify(POLLIN);
        Ok(())
    }
}

/// A context: io_setup(2) makes one.
#[derive(Debug)]
pub struct Context {
    quota: Arc<Quota>,
    /// What counts against the quota.
    asked: u64,
    /// How many requests may be on their way or have an event that nobody took.
    slots: usize,
    state: Mutex<State, Leaf>,
    queue: WaitQueue,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    events: VecDeque<IoEvent>,
    polls: Vec<Arc<PollRequest>>,
    /// Destroyed.
    dead: bool,
}

/// A request's place in a context; given back unless an event takes it.
#[derive(Debug)]
pub struct Slot<'a>(Option<&'a Context>);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if let Some(context) = self.0 {
            context.state.lock().used -= 1;
        }
    }
}

impl Context {
    /// Room for `asked` requests, and some more as on Linux. EINVAL for far too many, EAGAIN beyond the quota.
    pub fn new(quota: &Arc<Quota>, asked: u32, cpus: usize) -> Result<Self> {
        // What Linux's ring may have.
        const MOST: u32 = 0x1000_0000 / 32;
        let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
        let slots = asked.max(cpus.saturating_mul(4)).saturating_mul(2);
        if asked == 0 || slots > MOST {
            return err(Errno::EINVAL);
        }
        quota.take(asked.into())?;
        Ok(Self {
            quota: Arc::clone(quota),
            asked: asked.into(),
            slots: usize::try_from(slots).unwrap_or(usize::MAX),
            state: Mutex::default(),
            queue: WaitQueue::new(),
        })
    }

    /// How many requests one io_submit(2) may hand over.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// A place for a request; EAGAIN if there is none, EINVAL once the context is destroyed.
    pub fn slot(&self) -> Result<Slot<'_>> {
        let mut state = self.state.lock();
        if state.dead {
            return err(Errno::EINVAL);
        }
        if state.used >= self.slots {
            return err(Errno::EAGAIN);
        }
        state.used += 1;
        Ok(Slot(Some(self)))
    }

    /// A request is done: its event takes its place, and its eventfd hears of it.
    pub fn complete(&self, mut slot: Slot<'_>, event: IoEvent, eventfd: Option<&Arc<File>>) {
        slot.0 = None;
        self.state.lock().events.push_back(event);
        self.tell(eventfd);
    }

    fn tell(&self, eventfd: Option<&Arc<File>>) {
        if let Some(counter) = eventfd.and_then(|file| file.ops_as::<EventFd>()) {
            counter.signal(1);
        }
        self.queue.notify(POLLIN);
    }

    /// Takes up to `max` events.
    #[must_use]
    pub fn take(&self, max: usize) -> Vec<IoEvent> {
        let mut state = self.state.lock();
        let n = max.min(state.events.len());
        state.used -= n;
        state.events.drain(..n).collect()
    }

    /// Whether it was destroyed.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.state.lock().dead
    }

    /// Where new events are told.
    #[must_use]
    pub fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn call_off(&self) {
        let polls = {
            let mut state = self.state.lock();
            state.dead = true;
            std::mem::take(&mut state.polls)
        };
        for poll in polls {
            poll.stop_listening();
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.call_off();
        self.quota.0.fetch_sub(self.asked, Ordering::Relaxed);
    }
}
