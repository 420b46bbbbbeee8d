//! How much an address space uses, and its limits.

use std::sync::atomic::{AtomicU64, Ordering};

use abi::resource::Resource;
use abi::{PAGE_SHIFT, PAGE_SIZE};

use super::vma::{Vma, VmaFlags};

/// The resource limits that memory is checked against, setrlimit(2); bytes, `u64::MAX` for none.
#[derive(Debug)]
pub struct MemLimits {
    /// RLIMIT_AS.
    pub address_space: AtomicU64,
    /// RLIMIT_DATA.
    pub data: AtomicU64,
    /// RLIMIT_STACK.
    pub stack: AtomicU64,
    /// RLIMIT_MEMLOCK.
    pub locked: AtomicU64,
}

impl MemLimits {
    /// A soft limit was changed.
    pub fn set(&self, resource: Resource, bytes: u64) {
        let limit = match resource {
            Resource::RLIMIT_AS => &self.address_space,
            Resource::RLIMIT_DATA => &self.data,
            Resource::RLIMIT_STACK => &self.stack,
            Resource::RLIMIT_MEMLOCK => &self.locked,
            _ => return,
        };
        limit.store(bytes, Ordering::Relaxed);
    }

    /// The limits that `soft` gives for each resource.
    pub fn from_soft(soft: impl Fn(Resource) -> u64) -> Self {
        let limits = Self::default();
        for resource in [Resource::RLIMIT_AS, Resource::RLIMIT_DATA, Resource::RLIMIT_STACK, Resource::RLIMIT_MEMLOCK] {
            limits.set(resource, soft(resource));
        }
        limits
    }
}

impl Default for MemLimits {
    /// What Linux starts the first process with.
    fn default() -> Self {
        Self {
            address_space: AtomicU64::new(u64::MAX),
            data: AtomicU64::new(u64::MAX),
            stack: AtomicU64::new(8 << 20),
            locked: AtomicU64::new(8 << 20),
        }
    }
}

impl Clone for MemLimits {
    fn clone(&self) -> Self {
        let copy = |limit: &AtomicU64| AtomicU64::new(limit.load(Ordering::Relaxed));
        Self {
            address_space: copy(&self.address_space),
            data: copy(&self.data),
            stack: copy(&self.stack),
            locked: copy(&self.locked),
        }
    }
}

/// Pages by kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    /// All.
    pub(super) total: u64,
    /// Locked.
    pub(super) locked: u64,
    /// Private and writable, but for stacks.
    pub(super) data: u64,
    /// Executable and not writable.
    pub(super) exec: u64,
    /// Growing.
    pub(super) stack: u64,
    /// The most `total` was.
    pub(super) peak: u64,
}

/// What an address space uses; bytes. For /proc/PID/status, statm and getrusage(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// VmSize.
    pub size: u64,
    /// VmPeak.
    pub peak: u64,
    /// VmLck.
    pub locked: u64,
    /// VmData.
    pub data: u64,
    /// VmStk.
    pub stack: u64,
    /// VmExe and VmLib together.
    pub exec: u64,
    /// VmExe: the program's own code.
    pub text: u64,
    /// RssAnon.
    pub anon: u64,
    /// RssFile.
    pub file: u64,
    /// RssShmem.
    pub shmem: u64,
    /// VmPTE, estimated.
    pub page_tables: u64,
}

impl Usage {
    /// VmRSS.
    #[must_use]
    pub fn resident(&self) -> u64 {
        self.anon + self.file + self.shmem
    }
}

impl Counters {
    pub(super) fn add(&mut self, vma: &Vma) {
        self.apply(vma, |count, pages| *count += pages);
        self.peak = self.peak.max(self.total);
    }

    pub(super) fn remove(&mut self, vma: &Vma) {
        self.apply(vma, |count, pages| *count = count.saturating_sub(pages));
    }

    fn apply(&mut self, vma: &Vma, change: impl Fn(&mut u64, u64)) {
        let pages = vma.range.len() >> PAGE_SHIFT;
        change(&mut self.total, pages);
        if vma.flags.contains(VmaFlags::LOCKED) {
            change(&mut self.locked, pages);
        }
        if vma.flags.contains(VmaFlags::GROWSDOWN) {
            change(&mut self.stack, pages);
        } else if is_data(vma) {
            change(&mut self.data, pages);
        } else if vma.prot.exec && !vma.prot.write {
            change(&mut self.exec, pages);
        }
    }

    /// Whether `pages` more areas like `vma` stay within RLIMIT_AS and RLIMIT_DATA.
    pub(super) fn may_add(&self, vma: &Vma, pages: u64, limits: &MemLimits) -> bool {
        let within =
            |used: u64, limit: &AtomicU64| used.saturating_add(pages) <= limit.load(Ordering::Relaxed) / PAGE_SIZE;
        within(self.total, &limits.address_space)
            && (!is_data(vma) || vma.flags.contains(VmaFlags::GROWSDOWN) || within(self.data, &limits.data))
    }
}

/// Whether an area is checked against all memory there is, as Linux does in its default mode (`overcommit_memory` 0): what
/// could never be there is refused.
pub(super) fn is_committed(vma: &Vma) -> bool {
    let anonymous = vma.object.as_ref().is_none_or(|object| object.file.is_none());
    let private = !vma.shared() && vma.prot.write;
    !vma.flags.intersects(VmaFlags::NORESERVE | VmaFlags::SPECIAL) && (private || (vma.shared() && anonymous))
}

/// Whether an area counts against RLIMIT_DATA.
pub(super) fn is_data(vma: &Vma) -> bool {
    vma.prot.write && !vma.shared()
}
