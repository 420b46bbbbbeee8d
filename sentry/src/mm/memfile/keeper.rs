//! Gives memory that was kept for reuse back to the host once a sandbox is quiet.
//!
//! Where processes come and go, what one frees the next one takes within milliseconds, and a page that is there already costs
//! it half of what a fresh one does. So much is kept while memory is being freed, and little afterwards. A thread sees to that;
//! it exists once there was something to give back, and sleeps while there is nothing.
//!
//! Locks: none while it sleeps; `MemFile` through [`MemFile::trim`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use super::MemFile;

/// A sandbox that frees nothing for this long is quiet.
const QUIET: Duration = Duration::from_millis(300);
/// Enough for a few calls deep.
const STACK: usize = 64 << 10;

/// The thread, and whether it has something to do.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    thread: OnceLock<Thread>,
    awake: AtomicBool,
}

impl Keeper {
    /// More is kept than a quiet sandbox should hold.
    pub(super) fn wake(&self, file: &Weak<MemFile>) {
        if self.awake.load(Ordering::Relaxed) || self.awake.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(thread) = self.thread.get() {
            return thread.unpark();
        }
        let file = Weak::clone(file);
        match thread::Builder::new().name("keeper".into()).stack_size(STACK).spawn(move || run(&file)) {
            Ok(handle) => {
                let _ = self.thread.set(handle.thread().clone());
            }
            // Later perhaps; what is kept has a bound.
            Err(_) => self.awake.store(false, Ordering::SeqCst),
        }
    }
}

impl Drop for Keeper {
    /// The thread finds the file gone.
    fn drop(&mut self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

fn run(file: &Weak<MemFile>) {
    host::sched::run_anywhere();
    let mut seen = None;
    loop {
        thread::park_timeout(QUIET);
        let Some(file) = file.upgrade() else { return };
        if !file.keeper.awake.load(Ordering::SeqCst) {
            drop(file);
            thread::park();
            continue;
        }
        let frees = file.frees();
        if seen.replace(frees) == Some(frees) {
            // Before looking: whoever frees more from here on wakes us again.
            file.keeper.awake.store(false, Ordering::SeqCst);
            file.trim();
        }
    }
}
