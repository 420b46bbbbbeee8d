//! How other threads reach a context that runs application code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use host::child;
use parking_lot::Mutex;

use crate::stub::KICK;

/// Shared by a context, its interrupters and the address space that it is in.
///
/// A context says where it runs, then looks whether somebody wants something of it; the others do it the other way round.
#[derive(Debug, Default)]
pub(super) struct Control {
    interrupted: AtomicBool,
    running: Mutex<Option<Running>>,
}

/// A thread in a virtual CPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    /// Makes the virtual CPU come back at once if it has not entered yet.
    // Invariant: it points into the shared page of a virtual CPU, which is there as long as this is in a control.
    exit: *const AtomicU8,
    thread: i32,
}

// SAFETY: the pointer is to an atomic, valid as the invariant says, wherever it is used.
unsafe impl Send for Running {}

impl Running {
    /// The calling thread is about to enter.
    ///
    /// # Safety
    /// `exit` is valid until [`Control::leave`] is called on the control that this is given to.
    pub(super) unsafe fn new(exit: *const AtomicU8) -> Self {
        Self { exit, thread: host::clock::thread_id() }
    }
}

impl Control {
    /// Application code is about to run. The caller then tests for interruption once more.
    pub(super) fn enter(&self, running: Running) {
        *self.running.lock() = Some(running);
    }

    /// Application code does not run.
    pub(super) fn leave(&self) {
        *self.running.lock() = None;
    }

    /// Stops application code if it runs. What for, its run loop finds out.
    pub(super) fn kick(&self) {
        if let Some(running) = &*self.running.lock() {
            // SAFETY: the invariant of `Running`; it is in the control while we hold the lock.
            unsafe { &*running.exit }.store(1, Ordering::SeqCst);
            let _ = child::signal_thread(std::process::id().cast_signed(), running.thread, KICK);
        }
    }

    /// Makes this or the next run of the context end.
    pub(super) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        self.kick();
    }

    /// Whether somebody interrupted.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }

    /// The same, and it is done with.
    pub(super) fn take_interrupt(&self) -> bool {
        self.is_interrupted() && self.interrupted.swap(false, Ordering::SeqCst)
    }

    /// A function that interrupts.
    pub(super) fn interrupter(self: &Arc<Self>) -> crate::Interrupter {
        let control = Arc::clone(self);
        crate::Interrupter(Arc::new(move || control.interrupt()))
    }
}

/// Has the kick signal interrupt the thread that it is sent to, and nothing else. It must not be blocked.
pub(super) fn prepare() -> Result<(), abi::Errno> {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: an all-zero sigaction is valid: an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(i32) as usize;
    // A thread that has left the virtual CPU in the meantime goes on with what it does.
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler does nothing, so it may interrupt anything.
    match unsafe { libc::sigaction(KICK, &raw const action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(abi::Errno::EINVAL),
    }
}
