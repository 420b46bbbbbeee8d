//! The thread that waits for files of the host. It exists once somebody has waited for one.
//!
//! Lock: `Leaf` over the table of who waits.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;

use host::readiness::Readiness;
use sync::Mutex;

use super::HostFd;
use crate::lock_order::Leaf;

struct Poller {
    set: Readiness,
    files: Mutex<HashMap<u64, Weak<HostFd>>, Leaf>,
}

static POLLER: OnceLock<Option<Arc<Poller>>> = OnceLock::new();

fn start() -> Option<Arc<Poller>> {
    let poller = Arc::new(Poller { set: Readiness::new().ok()?, files: Mutex::default() });
    let worker = Arc::clone(&poller);
    thread::Builder::new().name("hostfd".into()).stack_size(128 << 10).spawn(move || worker.run()).ok()?;
    Some(poller)
}

/// Tells the file's queue when one of `events` holds, once.
pub(super) fn arm(file: &Arc<HostFd>, events: u32) {
    if let Some(poller) = POLLER.get_or_init(start) {
        poller.files.lock().insert(file.token, Arc::downgrade(file));
        if poller.set.arm(file.fd.as_fd(), events, file.token).is_err() {
            // Always ready, as the host says: whoever waits looks again.
            file.queue.notify(events);
        }
    }
}

/// Forgets a file that is being closed.
pub(super) fn forget(token: u64, fd: BorrowedFd<'_>) {
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
                    file.queue.notify(*events);
                }
            }
        }
    }
}
