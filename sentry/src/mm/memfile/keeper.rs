//! Gives freed memory back to the host: at once what is too long to be kept, and once a sandbox is quiet what was kept for
//! reuse.
//!
//! Where processes come and go, what one frees the next one takes within milliseconds, and a page that is there already costs
//! it half of what a fresh one does. So much is kept while memory is being freed, and little afterwards. A thread sees to that;
//! it exists once there was something to give back, and sleeps while there is nothing.
//!
//! Locks: none while it sleeps; `MemFile` through [`MemFile::trim`] and [`MemFile::give_back_waiting`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::MemFile;

/// A sandbox that frees nothing for this long is quiet.
const QUIET: Duration = Duration::from_millis(300);
/// Enough for a few calls deep.
const STACK: usize = 64 << 10;

/// The thread, and whether it has something to do.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    thread: OnceLock<Thread>,
    started: AtomicBool,
    awake: AtomicBool,
}

impl Keeper {
    /// More is kept than a quiet sandbox should hold.
    pub(super) fn wake(&self, file: &Weak<MemFile>) {
        if self.awake.load(Ordering::Relaxed) || self.awake.swap(true, Ordering::SeqCst) {
            return;
        }
        if !self.hurry(file) {
            // Later perhaps; what is kept has a bound.
            self.awake.store(false, Ordering::SeqCst);
        }
    }

    /// Something waits to be given back. Whether there is a thread that will do it.
    pub(super) fn hurry(&self, file: &Weak<MemFile>) -> bool {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
            return true;
        }
        if self.started.swap(true, Ordering::SeqCst) {
            return true;
        }
        let file = Weak::clone(file);
        let spawned = thread::Builder::new().name("keeper".into()).stack_size(STACK).spawn(move || run(&file));
        if spawned.is_err() {
            self.started.store(false, Ordering::SeqCst);
        }
        spawned.is_ok()
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
    if let Some(file) = file.upgrade() {
        // Before looking: who finds nobody here has left what waits before we look for it.
        let _ = file.keeper.thread.set(thread::current());
    }
    // How much had been freed, and since when no more.
    let mut seen: Option<(u64, Instant)> = None;
    loop {
        let Some(file) = file.upgrade() else { return };
        file.give_back_waiting();
        if !file.keeper.awake.load(Ordering::SeqCst) {
            drop(file);
            seen = None;
            thread::park();
            continue;
        }
        let (frees, now) = (file.frees(), Instant::now());
        let since = seen.filter(|(number, _)| *number == frees).map_or(now, |(_, since)| since);
        seen = Some((frees, since));
        let left = QUIET.saturating_sub(now.saturating_duration_since(since));
        if left.is_zero() {
            // Before looking: whoever frees more from here on wakes us again.
            file.keeper.awake.store(false, Ordering::SeqCst);
            file.trim();
        } else {
            drop(file);
            thread::park_timeout(left);
        }
    }
}
