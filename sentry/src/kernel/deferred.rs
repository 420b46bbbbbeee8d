//! Work that whoever notices it must not do itself, because of the locks it holds: done by a thread of its own.
//!
//! The thread is started by the first job, and sleeps while there is none. Locks: `Deferred`, below everything; jobs run
//! without any.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use sync::{Mutex, Parker};

use crate::lock_order;

/// Something to do soon.
pub trait Job: Send + Sync {
    /// Called by the thread, without any lock.
    fn run(&self);
}

/// The jobs that wait. Whoever adds one sees to it that it is not added again before it has run, so that there are never
/// more than there are objects.
struct Queue {
    jobs: Mutex<VecDeque<Arc<dyn Job>>, lock_order::Deferred>,
    parker: Parker,
    started: AtomicBool,
}

static QUEUE: LazyLock<Queue> =
    LazyLock::new(|| Queue { jobs: Mutex::default(), parker: Parker::new(), started: AtomicBool::new(false) });

/// Has `job` done soon. May be called with any lock held.
pub fn push(job: Arc<dyn Job>) {
    QUEUE.jobs.lock().push_back(job);
    if QUEUE.started.swap(true, Ordering::SeqCst) {
        QUEUE.parker.wake();
    } else {
        let spawned = std::thread::Builder::new().name("deferred".into()).stack_size(256 << 10).spawn(work);
        if spawned.is_err() {
            // The next job tries again.
            QUEUE.started.store(false, Ordering::SeqCst);
        }
    }
}

fn work() {
    host::sched::run_anywhere();
    loop {
        QUEUE.parker.reset();
        let job = QUEUE.jobs.lock().pop_front();
        match job {
            Some(job) => job.run(),
            None => {
                QUEUE.parker.park(None);
            }
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queue")
    }
}
