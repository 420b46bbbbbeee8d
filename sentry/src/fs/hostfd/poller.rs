//! The thread that waits for files of the host. It exists once somebody has waited for one.
//!
//! Lock: `Leaf` over the table of who waits.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;

use abi::poll::{POLLIN, POLLOUT};
use host::readiness::Readiness;
use sync::{Mutex, WaitQueue};

use crate::lock_order::Leaf;

/// A file on a descriptor of the host.
pub(crate) trait Watched: Send + Sync {
    /// The descriptor.
    fn descriptor(&self) -> BorrowedFd<'_>;

    /// Where what happens is told.
    fn queue(&self) -> &WaitQueue;
}

struct Poller {
    set: Readiness,
    files: Mutex<HashMap<u64, Weak<dyn Watched>>, Leaf>,
}

static NEXT: AtomicU64 = AtomicU64::new(1);

static POLLER: OnceLock<Option<Arc<Poller>>> = OnceLock::new();

fn start() -> Option<Arc<Poller>> {
    let poller = Arc::new(Poller { set: Readiness::new().ok()?, files: Mutex::default() });
    let worker = Arc::clone(&poller);
    thread::Builder::new().name("hostfd".into()).stack_size(128 << 10).spawn(move || worker.run()).ok()?;
    Some(poller)
}

/// A number by which a file is known here.
pub(crate) fn token() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Tells the file's queue when one of `events` holds, once.
pub(crate) fn arm(file: &Arc<dyn Watched>, token: u64, events: u32) {
    add(file, token, events, |set| set.arm(file.descriptor(), events, token));
}

/// Tells the file's queue of everything that happens from now on, and of what holds now.
pub(crate) fn watch(file: &Arc<dyn Watched>, token: u64) {
    add(file, token, POLLIN | POLLOUT, |set| set.watch(file.descriptor(), token));
}

fn add(file: &Arc<dyn Watched>, token: u64, events: u32, add: impl FnOnce(&Readiness) -> io::Result<()>) {
    if let Some(poller) = POLLER.get_or_init(start) {
        poller.files.lock().insert(token, Arc::downgrade(file));
        if add(&poller.set).is_err() {
            // Always ready, as the host says: whoever waits looks again.
            file.queue().notify(events);
        }
    }
}

/// Forgets a file that is being closed.
pub(crate) fn forget(token: u64, fd: BorrowedFd<'_>) {
    // Does not start the thread only to stop waiting.
    if let Some(Some(poller)) = POLLER.get()
        && poller.files.lock().remove(&token).is_some()
    {
        poller.set.forget(fd);
    }
}

impl Poller {
    fn run(&self) {
        host::sched::run_anywhere();
        let mut found = Vec::new();
        while self.set.wait(&mut found).is_ok() {
            for (token, events) in &found {
                let file = self.files.lock().get(token).and_then(Weak::upgrade);
                if let Some(file) = file {
                    file.queue().notify(*events);
                }
            }
        }
    }
}
