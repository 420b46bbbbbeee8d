//! Resource limits of a process (getrlimit(2)).

use std::sync::atomic::{AtomicU64, Ordering};

use abi::limits::{INR_OPEN_CUR, INR_OPEN_MAX};
use abi::resource::{RLIM_INFINITY, RLIM_NLIMITS, Resource, Rlimit};
use sync::Mutex;

use crate::error::Result;
use crate::lock_order::Leaf;

/// The limits of a process. Reading a soft limit, which every open and write does, takes no lock.
#[derive(Debug)]
pub struct Limits {
    soft: [AtomicU64; RLIM_NLIMITS],
    all: Mutex<[Rlimit; RLIM_NLIMITS], Leaf>,
}

impl Limits {
    /// These limits.
    #[must_use]
    pub fn new(all: [Rlimit; RLIM_NLIMITS]) -> Self {
        Self { soft: all.map(|limit| AtomicU64::new(limit.rlim_cur)), all: Mutex::new(all) }
    }

    /// What a process has if nobody says otherwise, as Linux's init.
    #[must_use]
    pub fn defaults() -> [Rlimit; RLIM_NLIMITS] {
        let mut all = [Rlimit::INFINITY; RLIM_NLIMITS];
        let mut set = |resource: Resource, soft, hard| {
            all[resource as usize] = Rlimit { rlim_cur: soft, rlim_max: hard };
        };
        set(Resource::RLIMIT_STACK, 8 << 20, RLIM_INFINITY);
        set(Resource::RLIMIT_CORE, 0, RLIM_INFINITY);
        set(Resource::RLIMIT_NOFILE, INR_OPEN_CUR, INR_OPEN_MAX);
        set(Resource::RLIMIT_MEMLOCK, 8 << 20, 8 << 20);
        set(Resource::RLIMIT_SIGPENDING, 32768, 32768);
        set(Resource::RLIMIT_NPROC, 32768, 32768);
        set(Resource::RLIMIT_MSGQUEUE, 819_200, 819_200);
        set(Resource::RLIMIT_NICE, 0, 0);
        set(Resource::RLIMIT_RTPRIO, 0, 0);
        all
    }

    /// A soft limit.
    #[must_use]
    pub fn soft(&self, resource: Resource) -> u64 {
        self.soft[resource as usize].load(Ordering::Relaxed)
    }

    /// Both limits of a resource.
    #[must_use]
    pub fn get(&self, resource: Resource) -> Rlimit {
        self.all.lock()[resource as usize]
    }

    /// All limits, for a child.
    #[must_use]
    pub fn all(&self) -> [Rlimit; RLIM_NLIMITS] {
        *self.all.lock()
    }

    /// Replaces the limits of a resource if `allow` accepts the old ones; returns the old ones.
    pub fn set(&self, resource: Resource, new: Rlimit, allow: impl FnOnce(Rlimit) -> Result<()>) -> Result<Rlimit> {
        let mut all = self.all.lock();
        let old = all[resource as usize];
        allow(old)?;
        all[resource as usize] = new;
        self.soft[resource as usize].store(new.rlim_cur, Ordering::Relaxed);
        Ok(old)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(Self::defaults())
    }
}
