//! RLIMIT_CPU: SIGXCPU every second beyond the soft limit, SIGKILL at the hard one.

use std::sync::{Arc, Weak};

use abi::resource::{RLIM_INFINITY, Resource};
use abi::siginfo::SigInfo;
use abi::signal::Signal;
use abi::time::NSEC_PER_SEC;

use super::{Clock, Clocks, CpuKind, Expired, Setting, Timer};
use crate::task::ThreadGroup;

/// Watches the CPU time of a process.
#[derive(Debug)]
pub(super) struct CpuLimit {
    group: Weak<ThreadGroup>,
    timer: Arc<Timer>,
}

impl CpuLimit {
    pub(super) fn new(clocks: &Arc<Clocks>, group: &Arc<ThreadGroup>) -> Arc<Self> {
        let clock = Clock::Process(Arc::downgrade(group), CpuKind::All);
        Arc::new_cyclic(|me: &Weak<Self>| {
            let sink: Weak<dyn Expired> = me.clone();
            Self { group: Arc::downgrade(group), timer: Timer::new(clocks, clock, sink) }
        })
    }

    /// The limit was set.
    pub(super) fn update(&self) {
        let Some(group) = self.group.upgrade() else { return };
        let limit = group.limits().get(Resource::RLIMIT_CPU);
        self.wait_for(limit.rlim_cur.min(limit.rlim_max));
    }

    fn wait_for(&self, seconds: u64) {
        let value = match i64::try_from(seconds) {
            _ if seconds == RLIM_INFINITY => 0,
            // Zero is a limit too, and reached as soon as anything runs.
            Ok(seconds) => seconds.saturating_mul(NSEC_PER_SEC).max(1),
            Err(_) => 0,
        };
        self.timer.set(Setting { value, every: 0, absolute: true }, false);
    }
}

impl Expired for CpuLimit {
    fn expired(&self) {
        let Some(group) = self.group.upgrade() else { return };
        let used = group.cpu_time().total().as_secs();
        let limit = group.limits().get(Resource::RLIMIT_CPU);
        if used >= limit.rlim_max {
            group.send_signal(SigInfo::kernel(Signal::SIGKILL));
        } else if used >= limit.rlim_cur {
            group.send_signal(SigInfo::kernel(Signal::SIGXCPU));
            self.wait_for((used + 1).min(limit.rlim_max));
        } else {
            self.update();
        }
    }
}
