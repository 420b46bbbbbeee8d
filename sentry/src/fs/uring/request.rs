//! One request: what it does, what it waits for, how it ends.
//!
//! The task that submitted it runs it, step by step ([`crate::task`]'s work list); wait queues and timers only say that it
//! is time. It ends once, and then starts or fails what is linked behind it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use abi::Errno;
use abi::poll::{POLLERR, POLLHUP};
use sync::{Mutex, WaitId, Wake};

use super::Ring;
use crate::lock_order::Leaf;
use crate::task::{CurrentTask, Task};
use crate::time::{Alarm, Key};
use crate::vfs::File;

/// How a request came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `res` of the completion.
    pub res: i32,
    /// `flags` of the completion.
    pub flags: u32,
    /// Whether what is linked behind it goes on.
    pub ok: bool,
}

impl Outcome {
    /// A result; negative ones are failures.
    #[must_use]
    pub fn of(res: i32) -> Self {
        Self { res, flags: 0, ok: res >= 0 }
    }

    /// A failure.
    #[must_use]
    pub fn failed(errno: Errno) -> Self {
        Self::of(-errno.raw())
    }
}

/// What an operation says when it is run.
#[derive(Debug)]
pub enum Step {
    /// It is done.
    Done(Outcome),
    /// Something to tell; there is more to come.
    More(Outcome),
    /// To be run again when the file has one of these events.
    Wait(Arc<File>, u32),
    /// A timeout: ends when the time has come, or after so many other completions.
    Sleep {
        /// When; never for `None`.
        at: Option<Instant>,
        /// After how many completions; 0 for none.
        count: u32,
        /// Whether reaching the time counts as success for what is linked.
        fine: bool,
    },
}

/// An operation: run once to begin, and again each time what it waits for may have come.
pub type Op = Box<dyn FnMut(&mut CurrentTask) -> Step + Send>;

/// When a linked timeout is over.
#[derive(Clone, Copy, Debug)]
pub enum Deadline {
    /// So long after its request began to wait.
    After(Duration),
    /// At this time; never for `None`.
    At(Option<Instant>),
}

/// What a request is known by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Info {
    /// The application's name for it.
    pub user_data: u64,
    /// What it does: IORING_OP_*.
    pub opcode: u8,
    /// The descriptor it is about, if any.
    pub fd: i32,
    /// IOSQE_CQE_SKIP_SUCCESS.
    pub quiet: bool,
    /// IOSQE_IO_HARDLINK: what is linked goes on whatever comes out.
    pub hard: bool,
    /// IOSQE_IO_DRAIN: begins when all before it are done.
    pub drain: bool,
}

const START: u32 = 1;
const READY: u32 = 2;
const TIME: u32 = 4;
const COUNTED: u32 = 8;

/// A request on its way.
pub struct Request {
    me: Weak<Self>,
    ring: Weak<Ring>,
    task: Weak<Task>,
    /// What it is known by.
    pub info: Info,
    /// Why it is to be run.
    why: AtomicU32,
    /// Whether it counts among those begun.
    pub(super) begun: AtomicBool,
    state: Mutex<State, Leaf>,
}

#[derive(Default)]
struct State {
    /// `None` while it is run, and for linked timeouts.
    op: Option<Op>,
    waits: Option<(Arc<File>, WaitId)>,
    timer: Option<Key>,
    /// [`Step::Sleep`]'s.
    fine: bool,
    sleeps: bool,
    /// What is linked behind it, in order.
    rest: VecDeque<Arc<Request>>,
    /// The timeout linked to it.
    guard: Option<Arc<Request>>,
    /// Of a linked timeout: whom it is for.
    guards: Option<(Weak<Request>, Deadline)>,
    done: bool,
}

impl Request {
    pub(super) fn new(ring: &Weak<Ring>, task: &Arc<Task>, info: Info, op: Option<Op>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            ring: ring.clone(),
            task: Arc::downgrade(task),
            info,
            why: AtomicU32::new(0),
            begun: AtomicBool::new(false),
            state: Mutex::new(State { op, ..State::default() }),
        })
    }

    /// Links `next` behind it.
    pub fn link(&self, next: Arc<Self>) {
        self.state.lock().rest.push_back(next);
    }

    /// Limits it by a timeout, which is a request of its own.
    pub fn guard_by(&self, guard: Arc<Self>, deadline: Deadline) {
        guard.state.lock().guards = Some((self.me.clone(), deadline));
        self.state.lock().guard = Some(guard);
    }

    pub(super) fn is_of(&self, task: &Arc<Task>) -> bool {
        self.task.as_ptr() == Arc::as_ptr(task)
    }

    pub(super) fn begin(&self) {
        self.why_now(START);
    }

    pub(super) fn counted(&self) {
        self.why_now(COUNTED);
    }

    fn why_now(&self, why: u32) {
        if self.why.fetch_or(why, Ordering::SeqCst) == 0
            && let (Some(task), Some(me)) = (self.task.upgrade(), self.me.upgrade())
        {
            task.add_work(me);
        }
    }

    /// Goes on with it, on its own task's thread.
    pub(crate) fn run(&self, task: &mut CurrentTask) {
        let why = self.why.swap(0, Ordering::SeqCst);
        if why & TIME != 0 {
            self.time_is_over();
        }
        if why & COUNTED != 0 {
            self.finish(Outcome::of(0));
        }
        if why & (START | READY) != 0 {
            self.step(task);
        }
    }

    fn time_is_over(&self) {
        let (guarded, fine, sleeps) = {
            let state = self.state.lock();
            (state.guards.as_ref().map(|(guarded, _)| guarded.clone()), state.fine, state.sleeps)
        };
        let expired = Outcome { ok: fine, ..Outcome::failed(Errno::ETIME) };
        match guarded {
            Some(guarded) => {
                // Its own end must not be told by the one that it ends.
                let stopped = guarded.upgrade().is_some_and(|guarded| {
                    guarded.state.lock().guard = None;
                    guarded.cancel()
                });
                self.finish(if stopped { expired } else { Outcome::failed(Errno::ENOENT) });
            }
            None if sleeps => {
                self.finish(expired);
            }
            None => {}
        }
    }

    fn step(&self, task: &mut CurrentTask) {
        let op = {
            let mut state = self.state.lock();
            if state.done || state.sleeps {
                return;
            }
            state.op.take()
        };
        let (Some(mut op), Some(ring)) = (op, self.ring.upgrade()) else { return };
        loop {
            match op(task) {
                Step::Done(outcome) => {
                    self.finish(outcome);
                    return;
                }
                Step::More(outcome) => {
                    if !ring.post_more(self.info.user_data, outcome) {
                        self.finish(outcome);
                        return;
                    }
                }
                Step::Sleep { at, count, fine } => {
                    {
                        let mut state = self.state.lock();
                        (state.sleeps, state.fine, state.op) = (true, fine, Some(op));
                    }
                    self.set_timer(task, at);
                    ring.count_for(self.me.upgrade(), count);
                    return;
                }
                Step::Wait(file, mask) => {
                    let Some(queue) = file.ops().wait_queue() else {
                        self.finish(Outcome::failed(Errno::EAGAIN));
                        return;
                    };
                    let listens = self.state.lock().waits.is_some();
                    if listens {
                        self.state.lock().op = Some(op);
                        self.watch_time(task);
                        return;
                    }
                    // Listen first, then try again: nothing that happens in between is missed.
                    let Some(me) = self.me.upgrade() else { return };
                    let id = queue.register(mask | POLLERR | POLLHUP, me as Arc<dyn Wake>);
                    self.state.lock().waits = Some((file, id));
                }
            }
        }
    }

    /// It waits: its linked timeout begins to run.
    fn watch_time(&self, task: &CurrentTask) {
        let guard = self.state.lock().guard.clone();
        let Some(guard) = guard else { return };
        let deadline = {
            let state = guard.state.lock();
            if state.timer.is_some() || state.done {
                return;
            }
            state.guards.as_ref().map(|(_, deadline)| *deadline)
        };
        let at = match deadline {
            Some(Deadline::After(time)) => Instant::now().checked_add(time),
            Some(Deadline::At(at)) => at,
            None => None,
        };
        guard.set_timer(task, at);
    }

    fn set_timer(&self, task: &Task, at: Option<Instant>) {
        if let Some(at) = at {
            let alarm: Weak<dyn Alarm> = self.me.clone();
            let key = task.kernel().clocks.timers().set(at, alarm);
            let old = self.state.lock().timer.replace(key);
            if let Some(old) = old {
                task.kernel().clocks.timers().cancel(old);
            }
        }
    }

    /// IORING_TIMEOUT_UPDATE: another time for a timeout. False if it is none that runs.
    pub fn set_time(&self, task: &Task, at: Option<Instant>) -> bool {
        let runs = {
            let state = self.state.lock();
            state.sleeps && !state.done
        };
        if runs {
            self.set_timer(task, at);
        }
        runs
    }

    /// Calls it off, unless it has ended or is being run this moment.
    pub(super) fn cancel(&self) -> bool {
        {
            let state = self.state.lock();
            let running = state.op.is_none() && state.guards.is_none();
            if state.done || running {
                return false;
            }
        }
        self.finish(Outcome::failed(Errno::ECANCELED))
    }

    /// Whether it is a timeout that runs.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.state.lock().sleeps
    }

    /// Ends it: false if it had ended.
    pub(super) fn finish(&self, outcome: Outcome) -> bool {
        let (op, waits, timer, mut rest, guard) = {
            let mut state = self.state.lock();
            if std::mem::replace(&mut state.done, true) {
                return false;
            }
            let rest = std::mem::take(&mut state.rest);
            (state.op.take(), state.waits.take(), state.timer.take(), rest, state.guard.take())
        };
        if let Some((file, id)) = &waits
            && let Some(queue) = file.ops().wait_queue()
        {
            queue.unregister(*id);
        }
        if let (Some(timer), Some(task)) = (timer, self.task.upgrade()) {
            task.kernel().clocks.timers().cancel(timer);
        }
        drop((op, waits));
        let Some(ring) = self.ring.upgrade() else { return true };
        ring.end(self, outcome);
        if let Some(guard) = guard {
            guard.finish(Outcome::failed(Errno::ECANCELED));
        }
        if outcome.ok || self.info.hard {
            if let Some(next) = rest.pop_front() {
                next.state.lock().rest.append(&mut rest);
                ring.start_linked(&next);
            }
        } else {
            // None of them has begun, so none has anything linked of its own.
            for next in rest {
                next.finish(Outcome::failed(Errno::ECANCELED));
            }
        }
        true
    }

    /// The ring is gone: nothing is told any more.
    pub(super) fn abandon(&self) {
        let (waits, op, rest, guard) = {
            let mut state = self.state.lock();
            state.done = true;
            (state.waits.take(), state.op.take(), std::mem::take(&mut state.rest), state.guard.take())
        };
        if let Some((file, id)) = &waits
            && let Some(queue) = file.ops().wait_queue()
        {
            queue.unregister(*id);
        }
        drop((waits, op, rest, guard));
    }
}

impl Wake for Request {
    fn wake(&self, _: u32) {
        self.why_now(READY);
    }
}

impl Alarm for Request {
    fn fire(&self) {
        self.why_now(TIME);
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("info", &self.info).finish_non_exhaustive()
    }
}
