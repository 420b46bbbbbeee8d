//! How other threads reach a context that runs application code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use host::child;
use parking_lot::Mutex;

use super::KICK;
use super::pulse::Pulse;

/// Shared by a context, its interrupters and the address space that it is in.
///
/// A context says that it runs, then looks whether somebody wants something of it; the others do it the other way round.
/// All of it is sequentially consistent, so at least one of the two sees the other.
#[derive(Debug, Default)]
pub(crate) struct Control {
    interrupted: AtomicBool,
    running: AtomicBool,
    /// The stub's thread, while there is one to signal.
    stub: Mutex<Option<Target>>,
}

/// A thread of a stub.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) pid: i32,
    pub(crate) tid: i32,
    /// Where it is possible for it not to answer.
    pub(crate) pulse: Option<Arc<Pulse>>,
}

impl Target {
    /// Takes it out of application code.
    pub(crate) fn kick(&self) {
        let _ = child::signal_thread(self.pid, self.tid, KICK);
        if let Some(pulse) = &self.pulse {
            pulse.kicked();
        }
    }
}

impl Control {
    /// Sets whom a kick signals. Before a stub is given up it is taken out here, so that no late kick meets its successor.
    pub(crate) fn set_stub(&self, stub: Option<Target>) {
        *self.stub.lock() = stub;
    }

    /// Application code is about to run. The caller then tests for interruption and for pending work once more.
    pub(crate) fn enter(&self) {
        self.running.store(true, Ordering::SeqCst);
    }

    /// Application code does not run.
    pub(crate) fn leave(&self) {
        self.running.store(false, Ordering::SeqCst);
    }

    /// Whether application code runs, or may run without looking again.
    pub(crate) fn is_running(&self) -> bool {
        self.running.load(Ordering::SeqCst)
    }

    /// Stops application code if it runs. What for, its run loop finds out.
    pub(crate) fn kick(&self) {
        let stub = self.stub.lock();
        if let Some(target) = &*stub
            && self.is_running()
        {
            target.kick();
        }
    }

    /// Makes this or the next run of the context end.
    pub(crate) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        self.kick();
    }

    /// Whether somebody interrupted.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }

    /// The same, and it is done with.
    pub(crate) fn take_interrupt(&self) -> bool {
        self.is_interrupted() && self.interrupted.swap(false, Ordering::SeqCst)
    }

    /// A function that interrupts.
    pub(crate) fn interrupter(self: &Arc<Self>) -> crate::Interrupter {
        let control = Arc::clone(self);
        crate::Interrupter(Arc::new(move || control.interrupt()))
    }
}
