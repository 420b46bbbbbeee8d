//! timerfd_create(2): a timer as something to read.

use std::any::Any;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use abi::Errno;
use abi::poll::{POLLIN, POLLRDNORM};
use abi::time::Itimerspec;
use sync::WaitQueue;

use crate::error::{Result, err};
use crate::io::IoDst;
use crate::task::CurrentTask;
use crate::time::{Clock, Clocks, Expired, Setting, Timer};
use crate::vfs::{File, FileOps};

/// The timer and who waits for it.
#[derive(Debug)]
pub struct TimerFd {
    timer: Arc<Timer>,
    /// The clock by its number, and the flags of the last setting: for fdinfo.
    clock_id: i32,
    flags: AtomicU32,
    queue: WaitQueue,
}

impl TimerFd {
    /// A timer on `clock`, which the application calls `clock_id`; off.
    #[must_use]
    pub fn new(clocks: &Arc<Clocks>, clock: Clock, clock_id: i32) -> Arc<Self> {
        Arc::new_cyclic(|me: &Weak<Self>| {
            let sink: Weak<dyn Expired> = me.clone();
            Self { timer: Timer::new(clocks, clock, sink), clock_id, flags: AtomicU32::new(0), queue: WaitQueue::new() }
        })
    }

    /// timerfd_settime(2); returns what was left. `flags` are for fdinfo.
    pub fn set(&self, setting: Setting, flags: u32) -> Itimerspec {
        self.flags.store(flags, Ordering::Relaxed);
        crate::time::spec(self.timer.set(setting, false))
    }

    /// timerfd_gettime(2).
    #[must_use]
    pub fn remaining(&self) -> Itimerspec {
        self.timer.remaining_spec()
    }
}

impl Expired for TimerFd {
    fn expired(&self) {
        self.queue.notify(POLLIN | POLLRDNORM);
    }
}

impl FileOps for TimerFd {
    fn read(&self, _: &File, _: &CurrentTask, _: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        if dst.remaining() < 8 {
            return err(Errno::EINVAL);
        }
        match self.timer.acknowledge() {
            0 => err(Errno::EAGAIN),
            times => dst.put(&times.to_ne_bytes()),
        }
    }

    fn poll(&self, _: &File) -> u32 {
        if self.timer.is_due() { POLLIN | POLLRDNORM } else { 0 }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn fdinfo(&self) -> String {
        let left = self.remaining();
        let time = |t: abi::time::Timespec| format!("({}, {})", t.tv_sec, t.tv_nsec);
        format!(
            "clockid: {}\nticks: {}\nsettime flags: 0{:o}\nit_value: {}\nit_interval: {}\n",
            self.clock_id,
            u32::from(self.timer.is_due()),
            self.flags.load(Ordering::Relaxed),
            time(left.it_value),
            time(left.it_interval)
        )
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
