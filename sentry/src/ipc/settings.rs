//! Limits of an IPC namespace: /proc/sys/kernel/{shm*,msg*,sem} and /proc/sys/fs/mqueue.

use std::sync::atomic::{AtomicU64, Ordering};

use abi::ipc::{MSGMAX, MSGMNB, MSGMNI, SEMMNI, SEMMNS, SEMMSL, SEMOPM, SHMMNI};

/// The largest value of SHMMAX and SHMALL.
pub const SHM_UNLIMITED: u64 = u64::MAX - (1 << 24);
/// The most objects of one kind: what fits into a number.
const MOST_OBJECTS: u64 = 32768;

/// A limit that may be changed while everything runs.
#[derive(Debug)]
pub struct Limit {
    value: AtomicU64,
    least: u64,
    most: u64,
}

impl Limit {
    const fn new(value: u64, most: u64) -> Self {
        Self::within(value, 0, most)
    }

    const fn within(value: u64, least: u64, most: u64) -> Self {
        Self { value: AtomicU64::new(value), least, most }
    }

    /// Its value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }

    /// As a C int shows it.
    #[must_use]
    pub fn as_int(&self) -> i32 {
        i32::try_from(self.get()).unwrap_or(i32::MAX)
    }

    /// Changes it; `false` if it may not be that.
    #[must_use]
    pub fn set(&self, value: u64) -> bool {
        let fits = (self.least..=self.most).contains(&value);
        if fits {
            self.value.store(value, Ordering::Relaxed);
        }
        fits
    }
}

/// All limits.
#[derive(Debug)]
pub struct Settings {
    /// Bytes of one segment.
    pub shmmax: Limit,
    /// Pages of all segments.
    pub shmall: Limit,
    /// Segments.
    pub shmmni: Limit,
    /// Segments go when nobody has them attached.
    pub shm_rmid_forced: Limit,
    /// Bytes of one message.
    pub msgmax: Limit,
    /// Bytes of one queue, to begin with.
    pub msgmnb: Limit,
    /// Queues.
    pub msgmni: Limit,
    /// Semaphores of a set, of all sets, operations of a call, sets.
    pub sem: [Limit; 4],
    /// POSIX queues.
    pub queues_max: Limit,
    /// Messages of a POSIX queue.
    pub msg_max: Limit,
    /// Bytes of a message of a POSIX queue.
    pub msgsize_max: Limit,
    /// Messages of a POSIX queue whose maker does not say.
    pub msg_default: Limit,
    /// Bytes of its messages.
    pub msgsize_default: Limit,
}

/// The most messages and bytes of a message that a privileged maker of a POSIX queue may ask for.
pub const HARD_MSGMAX: u64 = 65536;
/// See [`HARD_MSGMAX`].
pub const HARD_MSGSIZEMAX: u64 = 16 << 20;

impl Default for Settings {
    fn default() -> Self {
        let int = i32::MAX as u64;
        Self {
            shmmax: Limit::new(SHM_UNLIMITED, u64::MAX),
            shmall: Limit::new(SHM_UNLIMITED, u64::MAX),
            shmmni: Limit::new(SHMMNI as u64, MOST_OBJECTS),
            shm_rmid_forced: Limit::new(0, 1),
            msgmax: Limit::new(MSGMAX as u64, int),
            msgmnb: Limit::new(MSGMNB as u64, int),
            msgmni: Limit::new(MSGMNI as u64, MOST_OBJECTS),
            sem: [
                Limit::new(SEMMSL as u64, int),
                Limit::new(SEMMNS as u64, int),
                Limit::new(SEMOPM as u64, 4096),
                Limit::new(SEMMNI as u64, MOST_OBJECTS),
            ],
            queues_max: Limit::new(256, int),
            msg_max: Limit::within(10, 1, HARD_MSGMAX),
            msgsize_max: Limit::within(8192, 128, HARD_MSGSIZEMAX),
            msg_default: Limit::within(10, 1, HARD_MSGMAX),
            msgsize_default: Limit::within(8192, 128, HARD_MSGSIZEMAX),
        }
    }
}

impl Settings {
    /// Semaphores of a set.
    #[must_use]
    pub fn semmsl(&self) -> u64 {
        self.sem[0].get()
    }

    /// Semaphores of all sets.
    #[must_use]
    pub fn semmns(&self) -> u64 {
        self.sem[1].get()
    }

    /// Operations of one call.
    #[must_use]
    pub fn semopm(&self) -> u64 {
        self.sem[2].get()
    }

    /// Sets.
    #[must_use]
    pub fn semmni(&self) -> u64 {
        self.sem[3].get()
    }
}
