//! Tracing: ptrace(2), both sides of it.
//!
//! A tracee stops by itself, on its own thread: it leaves a [`Stop`] with a copy of its registers in its [`Tracee`], tells the
//! tracer, and sleeps until the tracer leaves a [`Go`] there. So no other thread ever touches a running task's context.
//! What a running tracee must do differently is in the bits of [`Watch`], one load on the way of a call.
//!
//! - `attach`: who traces whom, and how that ends; `attend` in [`super::wait`] is how a tracer hears of stops;
//! - `stop`: the tracee's side of a stop; `call`: stops at calls, stepping; `event`: clone, exec, exit;
//! - `control`: letting a tracee go on; `inspect`, `regset`: looking into one that is stopped.
//!
//! Locks: who traces whom changes under `Tree`; a process's tracees are under `Tracees`, one tracee's state under `Ptrace`.

mod attach;
mod call;
mod control;
mod event;
mod inspect;
mod regset;
mod stop;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};

use abi::ptrace::PtraceOptions;
use abi::siginfo::SigInfo;
use abi::wait::WaitStatus;
use platform::{FpuState, Regs, SyscallArgs};
use sync::Mutex;

use super::Task;
use crate::lock_order;

pub use control::Mode;
pub use regset::RegSet;
use stop::Kind;

/// The options that there are.
const ALL_OPTIONS: PtraceOptions = PtraceOptions::all();

/// A task, as somebody who may be traced.
#[derive(Debug, Default)]
pub(super) struct Tracee {
    state: Mutex<State, lock_order::Ptrace>,
    /// What its own thread must do differently.
    pub(super) watch: Watch,
}

#[derive(Debug, Default)]
struct State {
    tracer: Option<Tracer>,
    /// It is stopped; taken by whoever lets it go on.
    stop: Option<Box<Stop>>,
    /// What the tracer decided, for the tracee to see when it wakes.
    go: Option<Go>,
    /// PTRACE_GETEVENTMSG.
    message: u64,
    /// A thread that has ended, while its tracer has not waited for it.
    ended: Option<WaitStatus>,
}

/// Who traces a task.
#[derive(Clone, Debug)]
struct Tracer {
    task: Weak<Task>,
    /// PTRACE_SEIZE rather than PTRACE_ATTACH or PTRACE_TRACEME.
    seized: bool,
    options: PtraceOptions,
    /// It may look into anybody: execve then raises rights as if nobody traced.
    capable: bool,
}

/// A tracee that is stopped.
#[derive(Debug)]
struct Stop {
    kind: Kind,
    /// What wait4(2) says.
    status: WaitStatus,
    /// The tracer has waited for it.
    reported: bool,
    /// PTRACE_LISTEN: it is stopped, but not for the tracer to command.
    listening: bool,
    /// PTRACE_GETSIGINFO; a group stop without PTRACE_SEIZE has none.
    info: Option<SigInfo>,
    regs: Regs,
    regs_changed: bool,
    fpu: FpuState,
    fpu_changed: bool,
    /// The call that it is in, or returns from.
    call: Option<SyscallArgs>,
}

/// How a tracee goes on.
#[derive(Debug)]
struct Go {
    /// The signal to deliver instead of the one that it stopped for, 0 for none.
    signal: i32,
    /// Who decided it, for the siginfo of another signal: pid and uid.
    by: (i32, u32),
    /// The stop, with what the tracer changed in it.
    stop: Box<Stop>,
}

/// What a task's own thread has to do besides running application code and making calls. Its own thread sets the bits, and
/// its tracer while it is stopped; other threads only set [`Watch::SECCOMP`] and take bits of tracing away.
#[derive(Debug, Default)]
pub(super) struct Watch(AtomicU8);

impl Watch {
    /// Stop before and after each call.
    pub(super) const CALLS: u8 = 1;
    /// Stop before each call, and do not make it.
    pub(super) const EMULATE: u8 = 2;
    /// Stop after one instruction.
    pub(super) const STEP: u8 = 4;
    /// Registers were changed in the context, and are to be loaded.
    pub(super) const DIRTY: u8 = 8;
    /// Calls pass through filters.
    pub(super) const SECCOMP: u8 = 16;
    /// Calls are handed back: `PR_SET_SYSCALL_USER_DISPATCH`.
    pub(super) const DISPATCH: u8 = 32;
    /// All that a tracer sets.
    const TRACING: u8 = Self::CALLS | Self::EMULATE | Self::STEP;

    #[inline]
    pub(super) fn get(&self) -> u8 {
        self.0.load(Ordering::Acquire)
    }

    #[inline]
    pub(super) fn has(&self, bits: u8) -> bool {
        self.get() & bits != 0
    }

    pub(super) fn set(&self, bits: u8) {
        self.0.fetch_or(bits, Ordering::AcqRel);
    }

    pub(super) fn clear(&self, bits: u8) {
        self.0.fetch_and(!bits, Ordering::AcqRel);
    }

    fn choose(&self, tracing: u8) {
        self.clear(Self::TRACING);
        self.set(tracing);
    }
}

impl Task {
    /// The task that traces it.
    #[must_use]
    pub fn tracer(&self) -> Option<Arc<Task>> {
        self.ptrace.state.lock().tracer.as_ref()?.task.upgrade()
    }

    /// Whether it is traced.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.signals.is_traced()
    }

    /// Whether execve must not give it rights: its tracer could use them.
    pub(super) fn tracer_is_weak(&self) -> bool {
        self.ptrace.state.lock().tracer.as_ref().is_some_and(|tracer| !tracer.capable)
    }

    /// The registers and the call of a task that is stopped for its tracer.
    #[must_use]
    pub fn stopped_in(&self) -> Option<(Regs, Option<SyscallArgs>)> {
        let state = self.ptrace.state.lock();
        state.stop.as_ref().map(|stop| (stop.regs, stop.call))
    }
}
