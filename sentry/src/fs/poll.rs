//! Waiting for several files at once: what poll(2) and select(2) share.

use std::sync::Arc;
use std::time::Instant;

use abi::Errno;
use abi::poll::{POLLERR, POLLHUP};

use crate::error::Result;
use crate::task::CurrentTask;
use crate::vfs::File;

/// A file and what is asked of it; `None` is a slot that never becomes ready.
#[derive(Debug)]
pub struct Watch {
    /// The file, kept open while we wait.
    pub file: Option<Arc<File>>,
    /// POLL* bits asked for.
    pub events: u32,
    /// POLL* bits that hold; POLLERR and POLLHUP need not be asked for.
    pub happened: u32,
}

/// Waits until at least one watch has something; returns how many have. 0 once `deadline` has passed. A slot with
/// `happened` already set (a bad descriptor's POLLNVAL) counts as ready.
pub fn poll(task: &CurrentTask, watches: &mut [Watch], deadline: Option<Instant>) -> Result<usize> {
    let ready = look(watches);
    if ready > 0 || deadline.is_some_and(|at| at <= Instant::now()) {
        return Ok(ready);
    }
    // Listen first, look again, then sleep: nothing that happens in between is missed.
    let mut listening = Vec::with_capacity(watches.len());
    for watch in watches.iter() {
        if let Some(file) = &watch.file
            && let Some(queue) = file.ops().wait_queue()
        {
            listening.push((Arc::clone(file), queue.register(watch.events | POLLERR | POLLHUP, task.as_wake())));
        }
    }
    let result = loop {
        task.reset_wake();
        let ready = look(watches);
        if ready > 0 {
            break Ok(ready);
        }
        match task.park(deadline) {
            Ok(()) => {}
            Err(e) if e.is(Errno::ETIMEDOUT) => break Ok(look(watches)),
            Err(e) => break Err(e),
        }
    };
    for (file, id) in listening {
        if let Some(queue) = file.ops().wait_queue() {
            queue.unregister(id);
        }
    }
    result
}

fn look(watches: &mut [Watch]) -> usize {
    let mut ready = 0;
    for watch in watches {
        if let Some(file) = &watch.file {
            watch.happened = file.ops().poll(file) & (watch.events | POLLERR | POLLHUP);
        }
        ready += usize::from(watch.happened != 0);
    }
    ready
}
