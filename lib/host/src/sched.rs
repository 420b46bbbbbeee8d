//! On which CPUs threads may run, sched_setaffinity(2).

use std::mem::size_of;
use std::sync::OnceLock;

use abi::Errno;

use crate::errno::cvt;

/// Words of a CPU mask; hosts with more CPUs than bits are not told apart from those where affinity is denied.
const WORDS: usize = 16;

/// A set of CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuMask([u64; WORDS]);

impl CpuMask {
    /// One CPU; the empty set if its number is too large.
    #[must_use]
    pub fn one(cpu: u32) -> Self {
        let mut words = [0; WORDS];
        if let Some(word) = words.get_mut(cpu as usize / 64) {
            *word = 1 << (cpu % 64);
        }
        Self(words)
    }

    /// The others.
    #[must_use]
    pub fn without(mut self, cpu: u32) -> Self {
        if let Some(word) = self.0.get_mut(cpu as usize / 64) {
            *word &= !(1 << (cpu % 64));
        }
        self
    }

    /// How many CPUs.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether it has a CPU, and all of its CPUs are among those of `other`.
    #[must_use]
    pub fn within(&self, other: &Self) -> bool {
        self.count() > 0 && self.0.iter().zip(&other.0).all(|(own, all)| own & !all == 0)
    }

    /// Those that `tid` may use; 0 is the calling thread.
    pub fn of(tid: i32) -> Result<Self, Errno> {
        let mut words = [0; WORDS];
        // SAFETY: the buffer is live and as long as told; the kernel writes no more.
        cvt(unsafe { libc::syscall(libc::SYS_sched_getaffinity, tid, size_of::<Self>(), words.as_mut_ptr()) })?;
        Ok(Self(words))
    }

    /// Lets `tid` use only those; 0 is the calling thread.
    pub fn apply(&self, tid: i32) -> Result<(), Errno> {
        // SAFETY: the mask is live and as long as told; the kernel only reads it.
        cvt(unsafe { libc::syscall(libc::SYS_sched_setaffinity, tid, size_of::<Self>(), self.0.as_ptr()) })?;
        Ok(())
    }
}

/// The CPU that the calling thread is on.
#[must_use]
pub fn current_cpu() -> u32 {
    // SAFETY: no memory is involved.
    u32::try_from(unsafe { libc::sched_getcpu() }).unwrap_or(0)
}

/// The number of the calling thread.
#[must_use]
pub fn current_thread() -> i32 {
    // SAFETY: no memory is involved.
    unsafe { libc::gettid() }
}

/// The CPUs that this process may use, as it was when this was first asked. `None` if there is no choice between several.
#[must_use]
pub fn all_cpus() -> Option<CpuMask> {
    static ALL: OnceLock<Option<CpuMask>> = OnceLock::new();
    *ALL.get_or_init(|| CpuMask::of(0).ok().filter(|mask| mask.count() > 1))
}

/// Lets the calling thread use all CPUs of the process. Threads start on the CPUs of the thread that made them, and one
/// that runs application code may be bound to a single one: a thread that it starts for something else calls this.
pub fn run_anywhere() {
    if let Some(all) = all_cpus() {
        let _ = all.apply(0);
    }
}
