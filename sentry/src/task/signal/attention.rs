//! How other threads get a task's attention, wherever it is: asleep in a call, in application code, or on its way.
//!
//! Nothing is lost: who raises a bit does so before looking where the task is, and the task says where it is going before it
//! looks at the bits (all sequentially consistent).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use platform::Interrupter;
use sync::Parker;

/// Reasons for a task not to go on as if nothing had happened.
#[derive(Debug, Default)]
pub struct Attention {
    bits: AtomicU32,
    in_app: AtomicBool,
    parker: Parker,
    interrupter: OnceLock<Interrupter>,
}

impl Attention {
    /// A signal that is not blocked is pending.
    pub const SIGNAL: u32 = 1;
    /// The thread group stops, and the task has not joined in yet.
    pub const STOP: u32 = 2;
    /// The task must die.
    pub const KILL: u32 = 4;
    /// Something else to look after before application code goes on, that does not end a wait.
    pub const WORK: u32 = 8;
    /// The task is to stop for its tracer.
    pub const TRAP: u32 = 16;
    /// Requests of io_uring are ready to go on.
    pub const REQUEST: u32 = 32;
    /// What ends a wait.
    const INTERRUPT: u32 = Self::SIGNAL | Self::STOP | Self::KILL | Self::TRAP | Self::REQUEST;

    /// Of a new task, with nothing to attend to.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bits: AtomicU32::new(0),
            in_app: AtomicBool::new(false),
            parker: Parker::new(),
            interrupter: OnceLock::new(),
        }
    }

    /// Says how to stop the task's application code; once, before it first runs.
    pub fn set_interrupter(&self, interrupter: Interrupter) {
        let _ = self.interrupter.set(interrupter);
    }

    /// Where the task sleeps.
    #[must_use]
    pub fn parker(&self) -> &Parker {
        &self.parker
    }

    /// Raises bits and makes the task see them soon.
    pub fn raise(&self, bits: u32) {
        self.bits.fetch_or(bits, Ordering::SeqCst);
        self.kick();
    }

    /// Raises bits on behalf of the task's own thread, which will look at them itself.
    pub fn note(&self, bits: u32) {
        self.bits.fetch_or(bits, Ordering::SeqCst);
    }

    /// Ends a sleep and stops application code, whatever the bits are.
    pub fn kick(&self) {
        self.parker.wake();
        if self.in_app.load(Ordering::SeqCst)
            && let Some(interrupter) = self.interrupter.get()
        {
            interrupter.interrupt();
        }
    }

    /// Takes bits back.
    pub fn clear(&self, bits: u32) {
        self.bits.fetch_and(!bits, Ordering::SeqCst);
    }

    /// Takes bits back and says whether any of them was raised.
    pub fn take(&self, bits: u32) -> bool {
        self.bits.fetch_and(!bits, Ordering::SeqCst) & bits != 0
    }

    /// Whether there is anything to look after before application code goes on.
    #[must_use]
    pub fn any(&self) -> bool {
        self.bits.load(Ordering::SeqCst) != 0
    }

    /// Whether one of these bits is raised.
    #[must_use]
    pub fn has(&self, bits: u32) -> bool {
        self.bits.load(Ordering::SeqCst) & bits != 0
    }

    /// Whether a wait should end: a signal to deliver, a group stop, or death.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.has(Self::INTERRUPT)
    }

    /// Whether the task must die: ends even waits that no other signal may end.
    #[must_use]
    pub fn killed(&self) -> bool {
        self.has(Self::KILL)
    }

    /// Before application code runs: false means that there is something to look after first.
    #[must_use]
    pub fn enter_app(&self) -> bool {
        self.in_app.store(true, Ordering::SeqCst);
        if self.any() {
            self.in_app.store(false, Ordering::SeqCst);
            return false;
        }
        true
    }

    /// After application code ran.
    pub fn leave_app(&self) {
        self.in_app.store(false, Ordering::Release);
    }

    /// Whether application code is running right now, for /proc and the choice of a thread for a signal.
    #[must_use]
    pub fn in_app(&self) -> bool {
        self.in_app.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::Attention;

    #[test]
    fn raised_bits_keep_application_code_from_running() {
        let attention = Attention::new();
        assert!(attention.enter_app());
        attention.leave_app();
        attention.raise(Attention::SIGNAL);
        assert!(!attention.enter_app());
        assert!(attention.interrupted() && !attention.killed());
        attention.clear(Attention::SIGNAL);
        assert!(attention.enter_app());
    }

    #[test]
    fn a_raise_ends_a_sleep_that_starts_after_it() {
        let attention = Attention::new();
        attention.parker().reset();
        attention.raise(Attention::KILL);
        assert!(attention.parker().park(None));
    }
}
