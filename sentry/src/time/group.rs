//! The timers of a process.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use abi::Errno;
use abi::resource::{RLIM_INFINITY, Resource};
use abi::signal::Signal;
use sync::Mutex;

use super::cpu_limit::CpuLimit;
use super::itimer::Itimer;
use super::{Clock, Notify, PosixTimer, Setting};
use crate::error::{Result, err};
use crate::lock_order;
use crate::task::ThreadGroup;

/// Interval timers, POSIX timers, the CPU limit. All are made when first used: most processes have none.
#[derive(Debug, Default)]
pub struct GroupTimers {
    itimers: [OnceLock<Arc<Itimer>>; 3],
    posix: Mutex<Posix, lock_order::GroupTimers>,
    cpu_limit: OnceLock<Arc<CpuLimit>>,
}

#[derive(Debug, Default)]
struct Posix {
    timers: BTreeMap<i32, Arc<PosixTimer>>,
    next: i32,
}

impl ThreadGroup {
    /// setitimer(2): `which` is ITIMER_REAL, ITIMER_VIRTUAL or ITIMER_PROF. Returns what was left and the interval.
    pub fn set_itimer(self: &Arc<Self>, which: usize, setting: Setting) -> Result<(i64, i64)> {
        let slot = self.timers.itimers.get(which).ok_or(Errno::EINVAL)?;
        if setting.value == 0 && slot.get().is_none() {
            return Ok((0, 0));
        }
        Ok(slot.get_or_init(|| Itimer::new(which, &self.kernel().clocks, self)).set(setting))
    }

    /// getitimer(2): what is left, and the interval.
    pub fn itimer(&self, which: usize) -> Result<(i64, i64)> {
        let slot = self.timers.itimers.get(which).ok_or(Errno::EINVAL)?;
        Ok(slot.get().map_or((0, 0), |timer| timer.remaining()))
    }

    /// timer_create(2); `None`: the signal of [`Notify::Process`] and its value are the default, SIGALRM with the timer's
    /// number. EAGAIN at RLIMIT_SIGPENDING.
    pub fn create_timer(self: &Arc<Self>, clock: Clock, notify: Option<Notify>) -> Result<i32> {
        let counts = &self.kernel().signal_counts;
        let uid = self.leader().map_or(0, |leader| leader.creds().uid);
        let limit = self.limits().soft(Resource::RLIMIT_SIGPENDING);
        let charge = counts.charge(uid, limit).ok_or(Errno::EAGAIN)?;
        let mut posix = self.timers.posix.lock();
        let id = posix.free_id().ok_or(Errno::EAGAIN)?;
        let default = || Notify::Process { signal: Signal::SIGALRM, value: u64::from(id.unsigned_abs()) };
        let notify = notify.unwrap_or_else(default);
        let timer = PosixTimer::new(id, &self.kernel().clocks, clock, notify, self, Some(charge));
        posix.timers.insert(id, timer);
        Ok(id)
    }

    /// The POSIX timer of a number; EINVAL if there is none.
    pub fn timer(&self, id: i32) -> Result<Arc<PosixTimer>> {
        self.timers.posix.lock().timers.get(&id).cloned().ok_or_else(|| Errno::EINVAL.into())
    }

    /// timer_delete(2).
    pub fn delete_timer(&self, id: i32) -> Result<()> {
        let removed = self.timers.posix.lock().timers.remove(&id);
        match removed {
            Some(timer) => {
                timer.delete();
                Ok(())
            }
            None => err(Errno::EINVAL),
        }
    }

    /// All POSIX timers, for /proc/PID/timers.
    #[must_use]
    pub fn posix_timers(&self) -> Vec<Arc<PosixTimer>> {
        self.timers.posix.lock().timers.values().cloned().collect()
    }

    /// execve(2): POSIX timers go, interval timers stay.
    pub fn exec_timers(&self) {
        let timers = std::mem::take(&mut self.timers.posix.lock().timers);
        for timer in timers.into_values() {
            timer.delete();
        }
    }

    /// The last thread has ended: nothing fires any more.
    pub fn end_timers(&self) {
        self.exec_timers();
        for timer in self.timers.itimers.iter().filter_map(OnceLock::get) {
            timer.set(Setting::default());
        }
    }

    /// RLIMIT_CPU was set, by prlimit(2) or for a new process.
    pub fn cpu_limit_changed(&self) {
        let limited = self.limits().soft(Resource::RLIMIT_CPU) != RLIM_INFINITY;
        if !limited && self.timers.cpu_limit.get().is_none() {
            return;
        }
        if let Some(me) = self.pid().group() {
            self.timers.cpu_limit.get_or_init(|| CpuLimit::new(&self.kernel().clocks, &me)).update();
        }
    }
}

impl Posix {
    /// A number not in use, after the last one given.
    fn free_id(&mut self) -> Option<i32> {
        for _ in 0..=self.timers.len() {
            let id = self.next;
            self.next = self.next.checked_add(1).unwrap_or(0);
            if !self.timers.contains_key(&id) {
                return Some(id);
            }
        }
        None
    }
}
