//! Operations: what each submission means, decoded once; what it does when it is run.

mod file;
mod net;
mod poll;
mod rw;
pub(super) mod timeout;

use std::sync::{Arc, Weak};

use abi::Errno;
use abi::iouring::{
    IORING_OP_ACCEPT, IORING_OP_ASYNC_CANCEL, IORING_OP_CONNECT, IORING_OP_EPOLL_CTL, IORING_OP_FSYNC,
    IORING_OP_LINKAT, IORING_OP_NOP, IORING_OP_POLL_ADD, IORING_OP_POLL_REMOVE, IORING_OP_READ, IORING_OP_READ_FIXED,
    IORING_OP_READV, IORING_OP_RECV, IORING_OP_RECVMSG, IORING_OP_SEND, IORING_OP_SENDMSG, IORING_OP_SHUTDOWN,
    IORING_OP_SOCKET, IORING_OP_TIMEOUT, IORING_OP_TIMEOUT_REMOVE, IORING_OP_WRITE, IORING_OP_WRITE_FIXED,
    IORING_OP_WRITEV, IoUringSqe, SqeFlags,
};
use sentry::error::Result;
use sentry::fs::uring::{Op, Outcome, Ring, Step};
use sentry::task::CurrentTask;
use sentry::vfs::File;

/// The operation of a submission; an errno for what cannot be asked.
pub(super) fn prepare(task: &CurrentTask, ring: &Arc<Ring>, sqe: &IoUringSqe) -> Result<Op, Errno> {
    let target = Target::of(ring, sqe);
    let sqe = *sqe;
    match sqe.opcode {
        IORING_OP_NOP => Ok(once(|_| Ok(0))),
        IORING_OP_READV | IORING_OP_READ | IORING_OP_READ_FIXED => rw::prepare(task, ring, target, &sqe, false),
        IORING_OP_WRITEV | IORING_OP_WRITE | IORING_OP_WRITE_FIXED => rw::prepare(task, ring, target, &sqe, true),
        IORING_OP_FSYNC => rw::fsync(target, &sqe),
        IORING_OP_POLL_ADD => poll::add(target, &sqe),
        IORING_OP_POLL_REMOVE => poll::remove(ring, &sqe),
        IORING_OP_ASYNC_CANCEL => poll::cancel(ring, &sqe),
        IORING_OP_TIMEOUT => timeout::timeout(task, &sqe),
        IORING_OP_TIMEOUT_REMOVE => timeout::remove(task, ring, &sqe),
        IORING_OP_SENDMSG | IORING_OP_SEND => net::send(target, &sqe),
        IORING_OP_RECVMSG | IORING_OP_RECV => net::recv(target, &sqe),
        IORING_OP_ACCEPT => net::accept(target, &sqe),
        IORING_OP_CONNECT => net::connect(target, &sqe),
        op if has(op) => file::prepare(ring, &target, &sqe),
        _ => Err(Errno::EINVAL),
    }
}

/// Whether there is such an operation.
pub(super) fn has(op: u8) -> bool {
    matches!(
        op,
        IORING_OP_NOP..=IORING_OP_EPOLL_CTL | IORING_OP_SHUTDOWN..=IORING_OP_LINKAT | IORING_OP_SOCKET
    )
}

/// The file of a submission: a descriptor, or the number of a registered file.
pub(super) struct Target {
    pub(super) fd: i32,
    registered: Option<Weak<Ring>>,
}

impl Target {
    fn of(ring: &Arc<Ring>, sqe: &IoUringSqe) -> Self {
        let registered = SqeFlags::from_bits_retain(sqe.flags).contains(SqeFlags::IOSQE_FIXED_FILE);
        Self { fd: sqe.fd, registered: registered.then(|| Arc::downgrade(ring)) }
    }

    pub(super) fn is_registered(&self) -> bool {
        self.registered.is_some()
    }

    pub(super) fn get(&self, task: &CurrentTask) -> Result<Arc<File>> {
        let Some(ring) = &self.registered else { return task.files().get(self.fd) };
        let ring = ring.upgrade().ok_or(Errno::EBADF)?;
        let files = ring.files.lock();
        let index = usize::try_from(self.fd).map_err(|_| Errno::EBADF)?;
        let file = files.as_ref().and_then(|files| files.get(index)).cloned().flatten();
        file.ok_or_else(|| Errno::EBADF.into())
    }
}

/// An operation that ends the first time it is run.
fn once(mut act: impl FnMut(&mut CurrentTask) -> Result<i32> + Send + 'static) -> Op {
    Box::new(move |task| Step::Done(outcome(act(task))))
}

fn outcome(result: Result<i32>) -> Outcome {
    match result {
        Ok(res) => Outcome::of(res),
        Err(e) => Outcome::failed(e.errno()),
    }
}

/// A count as a completion shows it.
fn res(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// What an attempt that may have to wait came to: again when `file` has `events`, if it failed with EAGAIN and may wait.
fn attempted(result: Result<Outcome>, file: Arc<File>, events: u32, may_wait: bool) -> Step {
    match result {
        Ok(outcome) => Step::Done(outcome),
        Err(e) if e.is(Errno::EAGAIN) && may_wait => Step::Wait(file, events),
        Err(e) => Step::Done(Outcome::failed(e.errno())),
    }
}
