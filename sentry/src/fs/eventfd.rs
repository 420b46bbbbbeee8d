//! eventfd(2): a counter that can be waited for.

use std::any::Any;
use std::sync::Arc;

use abi::Errno;
use abi::poll::{POLLERR, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use sync::{Mutex, WaitQueue};

use crate::error::{Result, err};
use crate::io::{IoDst, IoSrc};
use crate::lock_order::InodeData;
use crate::task::CurrentTask;
use crate::vfs::{File, FileOps};

/// The counter. The largest value that a write may reach is one below `u64::MAX`.
#[derive(Debug)]
pub struct EventFd {
    count: Mutex<u64, InodeData>,
    semaphore: bool,
    queue: WaitQueue,
}

impl EventFd {
    /// A counter that starts at `count`; with `semaphore` (EFD_SEMAPHORE) a read takes one.
    #[must_use]
    pub fn new(count: u64, semaphore: bool) -> Arc<Self> {
        Arc::new(Self { count: Mutex::new(count), semaphore, queue: WaitQueue::new() })
    }

    /// Adds to the counter from inside the kernel, which alone can make it overflow: it stays at `u64::MAX` then.
    pub fn signal(&self, by: u64) {
        let mut count = self.count.lock();
        *count = count.saturating_add(by);
        let overflow = if *count == u64::MAX { POLLERR } else { 0 };
        drop(count);
        self.queue.notify(POLLIN | POLLRDNORM | overflow);
    }
}

impl FileOps for EventFd {
    fn read(&self, _: &File, _: &CurrentTask, _: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        if dst.remaining() < 8 {
            return err(Errno::EINVAL);
        }
        let mut count = self.count.lock();
        if *count == 0 {
            return err(Errno::EAGAIN);
        }
        let value = if self.semaphore { 1 } else { *count };
        *count -= value;
        drop(count);
        self.queue.notify(POLLOUT | POLLWRNORM);
        dst.put(&value.to_ne_bytes())
    }

    fn write(&self, _: &File, _: &CurrentTask, _: &mut u64, src: &mut IoSrc<'_>) -> Result<usize> {
        if src.remaining() < 8 {
            return err(Errno::EINVAL);
        }
        let mut bytes = [0; 8];
        // A blocking write comes again with the source already advanced: look before taking.
        let mut look = src.clone();
        look.take_exact(&mut bytes)?;
        let by = u64::from_ne_bytes(bytes);
        if by == u64::MAX {
            return err(Errno::EINVAL);
        }
        let mut count = self.count.lock();
        match count.checked_add(by) {
            Some(sum) if sum < u64::MAX => *count = sum,
            _ => return err(Errno::EAGAIN),
        }
        drop(count);
        *src = look;
        if by > 0 {
            self.queue.notify(POLLIN | POLLRDNORM);
        }
        Ok(8)
    }

    fn poll(&self, _: &File) -> u32 {
        match *self.count.lock() {
            0 => POLLOUT | POLLWRNORM,
            u64::MAX => POLLIN | POLLRDNORM | POLLERR,
            count if count == u64::MAX - 1 => POLLIN | POLLRDNORM,
            _ => POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM,
        }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn fdinfo(&self) -> String {
        format!("eventfd-count: {:16x}\neventfd-semaphore: {}\n", *self.count.lock(), u8::from(self.semaphore))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
