//! The signal state of a thread group: signals for the process, its threads, group stop and group exit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use abi::signal::{SIG_DFL, SigAction, SigSet, Signal};
use abi::wait::WaitStatus;
use sync::{Mutex, MutexGuard};

use super::listen::Listeners;
use super::stop::Stop;
use super::{Attention, Dequeued, Pending, SigHand, TaskSignals, TimerSignal, action};
use crate::lock_order;
use crate::task::group::JobReport;

/// Signals of a process.
#[derive(Debug)]
pub struct GroupSignals {
    state: Mutex<State, lock_order::Signal>,
    /// What is in `State::pending`; changed with the lock held.
    pending_set: AtomicU64,
    /// See [`State::exit`].
    exit: Arc<OnceLock<WaitStatus>>,
    pub(super) listeners: Listeners,
}

/// What the lock protects.
#[derive(Debug)]
pub(super) struct State {
    pub(super) actions: Arc<SigHand>,
    pub(super) pending: Pending,
    /// The threads, the oldest first.
    pub(super) members: Vec<Arc<TaskSignals>>,
    /// Where to look first for a thread to take the next signal.
    pub(super) turn: usize,
    /// Set once the process is dying: its status. Set with the lock held, read without it.
    exit: Arc<OnceLock<WaitStatus>>,
    pub(super) stop: Stop,
    /// An init of a pid namespace: what it does not catch cannot hurt it from inside.
    pub(super) protected: bool,
}

impl GroupSignals {
    /// Of a new process without threads. `protected`: it is the init of a pid namespace.
    #[must_use]
    pub fn new(actions: Arc<SigHand>, protected: bool) -> Self {
        let exit = Arc::new(OnceLock::new());
        Self {
            state: Mutex::new(State {
                actions,
                pending: Pending::default(),
                members: Vec::new(),
                turn: 0,
                exit: Arc::clone(&exit),
                stop: Stop::default(),
                protected,
            }),
            pending_set: AtomicU64::new(0),
            exit,
            listeners: Listeners::default(),
        }
    }

    /// Works on the state and keeps the lock-free view of the queue true.
    pub(super) fn with_state<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let result = f(&mut state);
        self.publish(&state);
        result
    }

    pub(super) fn publish(&self, state: &State) {
        self.pending_set.store(state.pending.set().0, Ordering::SeqCst);
    }

    /// Looks at the state without changing the queue.
    pub(super) fn peek(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// A thread joins. False if the process is dying or stopping (or `parent`, the thread that makes it, has something else
    /// to look after): then there must be no new thread, and clone(2) starts again.
    #[must_use]
    pub fn attach(&self, thread: &Arc<TaskSignals>, parent: Option<&TaskSignals>) -> bool {
        let mut state = self.state.lock();
        if state.is_dying() || parent.is_some_and(|p| p.attention().interrupted()) {
            return false;
        }
        state.members.push(Arc::clone(thread));
        true
    }

    /// A thread is on its way out: others take over the signals it was to take. If a group stop waited only for this thread,
    /// the returned notice is for the parent.
    #[must_use = "the parent may have to be told"]
    pub fn detach(&self, thread: &TaskSignals) -> Option<JobReport> {
        self.with_state(|state| {
            thread.set_exiting();
            state.members.retain(|m| !std::ptr::eq(Arc::as_ptr(m), thread));
            state.retarget(thread, thread.blocked().complement());
            thread.with_pending(|p| p.discard(SigSet::FULL));
            if state.is_dying() { None } else { state.leave_stop(thread) }
        })
    }

    /// Signals for the process that no thread has taken yet.
    #[must_use]
    pub fn pending_set(&self) -> SigSet {
        SigSet(self.pending_set.load(Ordering::SeqCst))
    }

    /// The table of actions.
    #[must_use]
    pub fn actions(&self) -> Arc<SigHand> {
        Arc::clone(&self.state.lock().actions)
    }

    /// execve(2): actions of its own, with nothing caught.
    pub fn exec(&self) {
        let mut state = self.state.lock();
        state.actions = state.actions.for_exec();
    }

    /// Replaces the action of a signal, or only reads it; returns the old one. A signal that becomes ignored is thrown away
    /// where it is pending. The caller has refused SIGKILL and SIGSTOP.
    pub fn set_action(&self, signal: Signal, new: Option<SigAction>) -> SigAction {
        let Some(mut new) = new else { return self.actions().get(signal) };
        new.mask = new.mask.blockable();
        self.with_state(|state| {
            let old = state.actions.set(signal, new);
            if action::ignores(&new, signal) {
                state.discard(signal.bit());
            }
            old
        })
    }

    /// Replaces the mask of `me`, the calling thread; returns the old one. Signals for the process that it was to take and
    /// now blocks go to another thread.
    pub fn set_blocked(&self, me: &TaskSignals, mask: SigSet) -> SigSet {
        let old = me.store_blocked(mask);
        self.recalculate(me);
        let newly = me.blocked().difference(old);
        if self.pending_set().intersects(newly) {
            self.with_state(|state| state.retarget(me, newly));
        }
        old
    }

    /// Makes [`Attention::SIGNAL`] of the calling thread true again after its mask or the queues changed.
    pub fn recalculate(&self, me: &TaskSignals) {
        me.attention().clear(Attention::SIGNAL);
        if me.pending_set().union(self.pending_set()).difference(me.blocked()) != SigSet::EMPTY {
            me.attention().note(Attention::SIGNAL);
        }
    }

    /// Takes a signal that is not in `blocked`, of the thread first, then of the process.
    pub(super) fn dequeue(&self, me: &TaskSignals, blocked: SigSet) -> Option<Dequeued> {
        let taken = self.with_state(|state| state.dequeue(me, blocked));
        self.recalculate(me);
        taken
    }

    /// Whether a signal would have no effect on the calling thread's process, for those who ask before they send (the
    /// terminal for SIGTTIN and SIGTTOU).
    #[must_use]
    pub fn ignores_or_blocks(&self, me: &TaskSignals, signal: Signal) -> bool {
        me.blocked().contains(signal) || self.state.lock().actions.get(signal).handler == abi::signal::SIG_IGN
    }

    /// What the process does about its children's end: (SIGCHLD is ignored, SA_NOCLDWAIT, SA_NOCLDSTOP).
    #[must_use]
    pub fn child_rules(&self) -> ChildRules {
        let action = self.state.lock().actions.get(Signal::SIGCHLD);
        ChildRules {
            ignored: action.handler == abi::signal::SIG_IGN,
            no_wait: action.flags.contains(abi::signal::SaFlags::SA_NOCLDWAIT),
            no_stop: action.flags.contains(abi::signal::SaFlags::SA_NOCLDSTOP),
        }
    }

    /// What signals in a queue carry, the oldest first: of the process, or of one thread.
    pub(in crate::task) fn queued_infos(
        &self,
        thread: &TaskSignals,
        shared: bool,
        from: usize,
        count: usize,
    ) -> Vec<abi::siginfo::SigInfo> {
        let state = self.peek();
        match shared {
            true => state.pending.infos(from, count),
            false => thread.with_pending(|pending| pending.infos(from, count)),
        }
    }

    /// Begins the end of the process with `status` and kills its other threads. Returns the status that counts: that of
    /// whoever came first.
    pub fn begin_exit(&self, me: Option<&TaskSignals>, status: WaitStatus) -> WaitStatus {
        let mut state = self.state.lock();
        if let Some(first) = state.exit.get() {
            return *first;
        }
        state.begin_exit(me, status);
        status
    }

    /// The status of a dying process.
    #[must_use]
    pub fn exit_status(&self) -> Option<WaitStatus> {
        self.exit.get().copied()
    }

    /// execve(2): kills all threads but `me`. False if the process is dying already.
    #[must_use]
    pub fn kill_others(&self, me: &TaskSignals) -> bool {
        let mut state = self.state.lock();
        if state.is_dying() {
            return false;
        }
        state.stop.cancel();
        for other in state.members.iter().filter(|m| !std::ptr::eq(Arc::as_ptr(m), me)) {
            other.attention().clear(Attention::STOP);
            other.attention().raise(Attention::KILL);
        }
        me.attention().clear(Attention::STOP);
        true
    }

    /// Takes away the pending signal of a timer that is being deleted.
    pub fn discard_timer(&self, timer: &Arc<dyn TimerSignal>) {
        self.with_state(|state| {
            state.pending.discard_timer(timer);
            for member in &state.members {
                member.with_pending(|p| p.discard_timer(timer));
            }
        });
    }

    /// A handler or the default of a fault's signal: what force_sig does before it sends. The signal can then neither be
    /// blocked nor ignored, and an init dies of it too. `fatal`: not even caught.
    pub(super) fn open_for_forced(&self, me: &TaskSignals, signal: Signal, fatal: bool) {
        self.with_state(|state| {
            let mut action = state.actions.get(signal);
            let blocked = me.blocked().contains(signal);
            if blocked || fatal || action.handler == abi::signal::SIG_IGN {
                action.handler = SIG_DFL;
                state.actions.set(signal, action);
                me.store_blocked(me.blocked().without(signal));
            }
            if action.handler == SIG_DFL {
                state.protected = false;
            }
        });
    }
}

/// What a parent wants to know of its children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChildRules {
    /// SIGCHLD is SIG_IGN: children reap themselves, no signal is sent.
    pub ignored: bool,
    /// SA_NOCLDWAIT: children reap themselves.
    pub no_wait: bool,
    /// SA_NOCLDSTOP: nothing is sent when a child stops or goes on.
    pub no_stop: bool,
}

impl State {
    pub(super) fn is_dying(&self) -> bool {
        self.exit.get().is_some()
    }

    /// Takes signals away from every queue of the process.
    pub(super) fn discard(&mut self, signals: SigSet) {
        self.pending.discard(signals);
        for member in &self.members {
            member.with_pending(|p| p.discard(signals));
        }
    }

    /// Finds other threads for the process's signals in `which`, which `me` will not take.
    fn retarget(&mut self, me: &TaskSignals, which: SigSet) {
        let mut left = self.pending.set().intersection(which);
        for other in self.members.iter().filter(|m| !std::ptr::eq(Arc::as_ptr(m), me) && !m.is_exiting()) {
            if left.is_empty() {
                return;
            }
            if left.difference(other.blocked()) != SigSet::EMPTY {
                left = left.intersection(other.blocked());
                other.attention().raise(Attention::SIGNAL);
            }
        }
    }

    pub(super) fn dequeue(&mut self, me: &TaskSignals, blocked: SigSet) -> Option<Dequeued> {
        let own = me.pending_set().difference(blocked);
        if own != SigSet::EMPTY
            && let Some(taken) = me.with_pending(|p| p.take_synchronous(blocked).or_else(|| p.take(blocked)))
        {
            return Some(taken);
        }
        self.pending.take(blocked)
    }

    pub(super) fn begin_exit(&mut self, me: Option<&TaskSignals>, status: WaitStatus) {
        let _ = self.exit.set(status);
        self.stop.cancel();
        for member in &self.members {
            member.attention().clear(Attention::STOP);
            if me.is_none_or(|me| !std::ptr::eq(Arc::as_ptr(member), me)) {
                member.attention().raise(Attention::KILL);
            }
        }
    }
}
