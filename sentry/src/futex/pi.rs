//! Futexes that name their owner: FUTEX_LOCK_PI and its kin. The word holds the owner's tid, and FUTEX_WAITERS when the owner
//! must ask the kernel to unlock. The lock is handed to the longest waiter; priorities are not inherited.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::futex::{FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS};
use abi::{Errno, UserAddr};

use super::table::{Record, Woken};
use super::{Deadline, FutexTable, Outcome};
use crate::error::{Code, Restart, Result, SysResult, err};
use crate::mm::{FutexKey, MemoryManager};
use crate::task::CurrentTask;
use crate::task::signal::TaskSignals;

/// What is special about a record that waits for a PI futex.
#[derive(Clone, Debug)]
pub(super) struct PiRecord {
    /// The waiter's number, as the word will show it.
    pub(super) tid: u32,
    /// The word, through the waiter's memory.
    pub(super) mm: Arc<MemoryManager>,
    pub(super) addr: UserAddr,
    pub(super) state: PiState,
}

/// Where it waits.
#[derive(Clone, Debug)]
pub(super) enum PiState {
    /// On the word, which this task owns.
    Locked(Arc<TaskSignals>),
    /// On another word, to be moved to this one (FUTEX_WAIT_REQUEUE_PI).
    Elsewhere(FutexKey),
}

/// What came of trying to take a word.
pub(super) enum Attempt {
    /// The word names the new owner.
    Taken,
    /// It belongs to this task, and says that somebody waits.
    Owned(Arc<TaskSignals>),
    /// Its owner is just ending: try again.
    Ending,
}

impl CurrentTask {
    /// FUTEX_LOCK_PI, FUTEX_LOCK_PI2; with `only_try` FUTEX_TRYLOCK_PI.
    pub fn futex_lock_pi(
        &mut self,
        addr: UserAddr,
        shared: bool,
        until: Option<&Deadline>,
        only_try: bool,
    ) -> SysResult {
        let key = self.futex_key(addr, shared)?;
        let place = FutexTable::place(key);
        let tid = self.tid().unsigned_abs();
        let waiter = self.futex_waiter();
        let kernel = Arc::clone(self.kernel());
        let table = &kernel.futexes;
        waiter.begin();
        loop {
            let mut records = table.lock(place);
            let others = records.iter().any(|r| r.key == key);
            match self.attempt(addr, tid, others)? {
                Attempt::Taken => return Ok(0),
                Attempt::Owned(_) if only_try => return err(Errno::EAGAIN),
                Attempt::Ending => {
                    drop(records);
                    std::thread::yield_now();
                    if self.interrupted() {
                        return Err(Restart::NoIntr.into());
                    }
                }
                Attempt::Owned(owner) => {
                    waiter.bucket.store(place, Ordering::SeqCst);
                    table.pi_records.fetch_add(1, Ordering::SeqCst);
                    let pi = PiRecord { tid, mm: Arc::clone(self.mm()), addr, state: PiState::Locked(owner) };
                    records.push(Record {
                        key,
                        bitset: u32::MAX,
                        waiter: Arc::clone(&waiter),
                        vector: None,
                        pi: Some(pi),
                    });
                    break;
                }
            }
        }
        match self.sleep_on(&waiter, until) {
            Ok(_) => Ok(0),
            // It was handed over in the last moment.
            Err(_) if table.withdraw(&waiter).is_none() => Ok(0),
            Err(e) if matches!(e.code(), Code::Restart(_)) => Err(Restart::NoIntr.into()),
            Err(e) => Err(e),
        }
    }

    /// FUTEX_UNLOCK_PI: hands the futex to the longest waiter.
    pub fn futex_unlock_pi(&self, addr: UserAddr, shared: bool) -> SysResult {
        let key = self.futex_key(addr, shared)?;
        let tid = self.tid().unsigned_abs();
        let table = &self.kernel().futexes;
        let mut woken = Woken::default();
        let result = (|| {
            let mut records = table.lock(FutexTable::place(key));
            loop {
                let value = self.mm().load_u32(addr)?;
                if value & FUTEX_TID_MASK != tid {
                    return err(Errno::EPERM);
                }
                let next = next_owner(&records, key);
                let new = next.map_or(0, |at| word_for(&records, at, key));
                if self.mm().compare_exchange_u32(addr, value, new)? != value {
                    continue;
                }
                if let Some(at) = next {
                    hand_over(table, &mut records, at, key, &mut woken);
                }
                return Ok(0);
            }
        })();
        woken.wake();
        result
    }

    /// Tries to make the word name `tid`; `others` wait already. The word's bucket is locked.
    pub(super) fn attempt(&self, addr: UserAddr, tid: u32, others: bool) -> Result<Attempt> {
        loop {
            let value = self.mm().load_u32(addr)?;
            let owner = value & FUTEX_TID_MASK;
            if owner == tid {
                return err(Errno::EDEADLK);
            }
            if owner == 0 {
                let new = tid | value & FUTEX_OWNER_DIED | if others { FUTEX_WAITERS } else { 0 };
                if self.mm().compare_exchange_u32(addr, value, new)? == value {
                    return Ok(Attempt::Taken);
                }
                continue;
            }
            let task = self.pid_ns().task(owner.cast_signed()).ok_or(Errno::ESRCH)?;
            if task.signals.is_exiting() {
                return Ok(Attempt::Ending);
            }
            if value & FUTEX_WAITERS != 0
                || self.mm().compare_exchange_u32(addr, value, value | FUTEX_WAITERS)? == value
            {
                return Ok(Attempt::Owned(Arc::clone(&task.signals)));
            }
        }
    }

    /// The task ends: who waits for a futex that it owns gets it, marked as left by a dead owner.
    pub(super) fn abandon_pi_futexes(&self) {
        let table = &self.kernel().futexes;
        if table.pi_records.load(Ordering::SeqCst) == 0 {
            return;
        }
        for place in table.places() {
            let mut woken = Woken::default();
            let mut records = table.lock(place);
            while let Some(key) = records.iter().find(|r| is_owned_by(r, &self.signals)).map(|r| r.key) {
                let Some(at) = next_owner(&records, key) else { break };
                let new = word_for(&records, at, key) | FUTEX_OWNER_DIED;
                if let Some(pi) = records.get(at).and_then(|r| r.pi.clone()) {
                    // The memory may be gone; the waiter is told all the same.
                    let _ = pi.mm.fetch_update_u32(pi.addr, |_| new);
                }
                hand_over(table, &mut records, at, key, &mut woken);
            }
            drop(records);
            woken.wake();
        }
    }
}

/// Where the record of the longest waiter is.
fn next_owner(records: &[Record], key: FutexKey) -> Option<usize> {
    records.iter().position(|r| r.key == key && r.pi.as_ref().is_some_and(|pi| matches!(pi.state, PiState::Locked(_))))
}

fn is_owned_by(record: &Record, task: &Arc<TaskSignals>) -> bool {
    match record.pi.as_ref().map(|pi| &pi.state) {
        Some(PiState::Locked(owner)) => Arc::ptr_eq(owner, task),
        _ => false,
    }
}

/// What the word says when the waiter at `at` owns it.
fn word_for(records: &[Record], at: usize, key: FutexKey) -> u32 {
    let tid = records.get(at).and_then(|r| r.pi.as_ref()).map_or(0, |pi| pi.tid);
    let more = records.iter().enumerate().any(|(i, r)| i != at && r.key == key && r.pi.is_some());
    tid | if more { FUTEX_WAITERS } else { 0 }
}

/// The waiter at `at` is the owner now; the others wait for it.
fn hand_over(table: &FutexTable, records: &mut Vec<Record>, at: usize, key: FutexKey, woken: &mut Woken) {
    let new = records.remove(at);
    table.pi_records.fetch_sub(1, Ordering::SeqCst);
    for record in records.iter_mut().filter(|r| r.key == key) {
        if let Some(PiRecord { state: PiState::Locked(owner), .. }) = &mut record.pi {
            *owner = Arc::clone(new.waiter.task());
        }
    }
    new.waiter.mark(Outcome::Acquired);
    woken.push(new.waiter);
}
