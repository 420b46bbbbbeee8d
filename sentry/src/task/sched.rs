//! Scheduling parameters (sched(7)): stored and reported. The host's scheduler runs all threads alike.

use abi::sched::{SCHED_NORMAL, SCHED_RESET_ON_FORK};
use sync::Mutex;

use crate::lock_order::Leaf;

/// The parameters of one task.
#[derive(Debug, Default)]
pub struct Sched {
    values: Mutex<Params, Leaf>,
}

/// Policy, priorities and affinity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// SCHED_NORMAL and so on, without SCHED_RESET_ON_FORK.
    pub policy: u32,
    /// SCHED_RESET_ON_FORK.
    pub reset_on_fork: bool,
    /// Nice value, -20 to 19.
    pub nice: i32,
    /// Real-time priority, 0 to 99.
    pub priority: i32,
    /// Runtime, deadline and period of SCHED_DEADLINE, in nanoseconds.
    pub deadline: (u64, u64, u64),
    /// ioprio_set(2); 0 is none.
    pub ioprio: u32,
    /// CPUs it may run on, bit 0 first; empty means all.
    pub affinity: Vec<u64>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            policy: SCHED_NORMAL,
            reset_on_fork: false,
            nice: 0,
            priority: 0,
            deadline: (0, 0, 0),
            ioprio: 0,
            affinity: Vec::new(),
        }
    }
}

impl Sched {
    /// All parameters.
    #[must_use]
    pub fn get(&self) -> Params {
        self.values.lock().clone()
    }

    /// Changes them.
    pub fn change<T>(&self, f: impl FnOnce(&mut Params) -> T) -> T {
        f(&mut self.values.lock())
    }

    /// What a child starts with.
    #[must_use]
    pub fn inherit(&self) -> Self {
        let mut values = self.get();
        if values.reset_on_fork {
            values = Params {
                nice: values.nice.max(0),
                ioprio: values.ioprio,
                affinity: values.affinity,
                ..Params::default()
            };
        }
        Self { values: Mutex::new(values) }
    }

    /// The policy as sched_getscheduler(2) returns it.
    #[must_use]
    pub fn policy(&self) -> u32 {
        let values = self.values.lock();
        values.policy | if values.reset_on_fork { SCHED_RESET_ON_FORK } else { 0 }
    }

    /// The nice value.
    #[must_use]
    pub fn nice(&self) -> i32 {
        self.values.lock().nice
    }
}
