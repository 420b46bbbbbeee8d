//! Submissions to requests: chains of linked ones, linked timeouts.

use std::sync::Arc;

use abi::Errno;
use abi::iouring::{IORING_OP_LINK_TIMEOUT, IoUringSqe, SqeFlags};
use sentry::fs::uring::{Deadline, Info, Request, Ring};
use sentry::task::CurrentTask;

use super::ops;

/// A chain under construction: what is to happen one after the other.
#[derive(Default)]
struct Chain {
    links: Vec<Arc<Request>>,
    /// Timeouts, each with the place in the chain of what it limits.
    guards: Vec<(usize, Arc<Request>, Deadline)>,
    /// One of them that could not be made; then none of them is done.
    refused: Option<(Arc<Request>, Errno)>,
}

/// Takes up to `count` submissions; returns how many there were. What cannot be done has a completion that says so, and
/// ends the taking unless IORING_SETUP_SUBMIT_ALL was asked for.
pub(super) fn submit(task: &mut CurrentTask, ring: &Arc<Ring>, count: u32) -> u32 {
    let mut chain = Chain::default();
    let mut taken = 0;
    while taken < count
        && let Some(sqe) = ring.next()
    {
        taken += 1;
        let flags = SqeFlags::from_bits_retain(sqe.flags);
        let fine = chain.add(task, ring, &sqe, flags);
        if !flags.intersects(SqeFlags::IOSQE_IO_LINK | SqeFlags::IOSQE_IO_HARDLINK) {
            std::mem::take(&mut chain).start(ring);
            task.do_work();
        }
        if !fine && !ring.submits_all() {
            break;
        }
    }
    chain.start(ring);
    task.do_work();
    taken
}

impl Chain {
    /// Adds a submission; false if it cannot be done.
    fn add(&mut self, task: &CurrentTask, ring: &Arc<Ring>, sqe: &IoUringSqe, flags: SqeFlags) -> bool {
        let info = Info {
            user_data: sqe.user_data,
            opcode: sqe.opcode,
            fd: sqe.fd,
            quiet: flags.contains(SqeFlags::IOSQE_CQE_SKIP_SUCCESS),
            hard: flags.contains(SqeFlags::IOSQE_IO_HARDLINK),
            drain: flags.contains(SqeFlags::IOSQE_IO_DRAIN),
        };
        let made = match check(sqe, flags) {
            Err(errno) => Err(errno),
            Ok(()) if sqe.opcode == IORING_OP_LINK_TIMEOUT => {
                let guarded = self.links.len().checked_sub(1);
                let free = guarded.filter(|at| self.guards.last().is_none_or(|(last, ..)| last != at));
                match (free, ops::timeout::linked(task, sqe)) {
                    (Some(at), Ok(deadline)) => {
                        self.guards.push((at, ring.request(task, info, None), deadline));
                        return true;
                    }
                    (_, Err(errno)) => Err(errno),
                    (None, _) => Err(Errno::EINVAL),
                }
            }
            Ok(()) => ops::prepare(task, ring, sqe),
        };
        match made {
            Ok(op) => {
                self.links.push(ring.request(task, info, Some(op)));
                true
            }
            Err(errno) => {
                let request = ring.request(task, info, None);
                if self.refused.is_none() {
                    self.refused = Some((request, errno));
                } else {
                    ring.refuse(&request, errno);
                }
                false
            }
        }
    }

    fn start(self, ring: &Ring) {
        if let Some((refused, errno)) = self.refused {
            for request in &self.links {
                ring.refuse(request, Errno::ECANCELED);
            }
            for (_, guard, _) in &self.guards {
                ring.refuse(guard, Errno::ECANCELED);
            }
            ring.refuse(&refused, errno);
            return;
        }
        for (at, guard, deadline) in self.guards {
            if let Some(guarded) = self.links.get(at) {
                guarded.guard_by(guard, deadline);
            }
        }
        let mut links = self.links.into_iter();
        if let Some(first) = links.next() {
            for next in links {
                first.link(next);
            }
            ring.start(&first);
        }
    }
}

/// What no operation takes.
fn check(sqe: &IoUringSqe, flags: SqeFlags) -> Result<(), Errno> {
    if !SqeFlags::all().contains(flags) || sqe.personality != 0 {
        return Err(Errno::EINVAL);
    }
    if flags.contains(SqeFlags::IOSQE_BUFFER_SELECT) {
        return Err(Errno::EOPNOTSUPP);
    }
    Ok(())
}
