//! Condition variables over PI futexes: FUTEX_WAIT_REQUEUE_PI and FUTEX_CMP_REQUEUE_PI.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::{Errno, UserAddr};

use super::pi::{Attempt, PiRecord, PiState};
use super::table::{Pair, Record, Woken};
use super::{Deadline, FutexTable, Outcome};
use crate::error::{Code, Restart, Result, SysResult, err};
use crate::mm::FutexKey;
use crate::task::CurrentTask;

impl CurrentTask {
    /// FUTEX_WAIT_REQUEUE_PI: waits on `addr` and comes back as the owner of the PI futex `target`.
    pub fn futex_wait_requeue_pi(
        &mut self,
        addr: UserAddr,
        value: u32,
        bitset: u32,
        target: UserAddr,
        shared: bool,
        until: Option<&Deadline>,
    ) -> SysResult {
        if bitset == 0 || addr == target {
            return err(Errno::EINVAL);
        }
        let (key, target_key) = (self.futex_key(addr, shared)?, self.futex_key(target, shared)?);
        let waiter = self.futex_waiter();
        waiter.begin();
        let kernel = Arc::clone(self.kernel());
        let table = &kernel.futexes;
        let place = FutexTable::place(key);
        {
            let mut records = table.lock(place);
            if self.mm().load_u32(addr)? != value {
                return err(Errno::EAGAIN);
            }
            waiter.bucket.store(place, Ordering::SeqCst);
            table.pi_records.fetch_add(1, Ordering::SeqCst);
            let pi = PiRecord {
                tid: self.tid().unsigned_abs(),
                mm: Arc::clone(self.mm()),
                addr: target,
                state: PiState::Elsewhere(target_key),
            };
            records.push(Record { key, bitset, waiter: Arc::clone(&waiter), vector: None, pi: Some(pi) });
        }
        match self.sleep_on(&waiter, until) {
            Ok(_) => Ok(0),
            Err(e) => match table.withdraw(&waiter) {
                None => Ok(0),
                Some(_) if !matches!(e.code(), Code::Restart(_)) => Err(e),
                Some(record) if record.key == key => Err(Restart::NoIntr.into()),
                // Already moved: the caller finds out that it does not own the lock.
                Some(_) => err(Errno::EAGAIN),
            },
        }
    }

    /// FUTEX_CMP_REQUEUE_PI: the first waiter on `addr` gets the PI futex `target` if it is free, it and up to `requeue` others
    /// wait for it if not. Returns how many.
    pub fn futex_cmp_requeue_pi(
        &self,
        addr: UserAddr,
        target: UserAddr,
        value: u32,
        requeue: usize,
        shared: bool,
    ) -> SysResult {
        let keys = [self.futex_key(addr, shared)?, self.futex_key(target, shared)?];
        if keys[0] == keys[1] {
            return err(Errno::EINVAL);
        }
        let table = &self.kernel().futexes;
        loop {
            let mut woken = Woken::default();
            let result = (|| {
                let mut pair = table.lock_pair(keys[0], keys[1]);
                if self.mm().load_u32(addr)? != value {
                    return err(Errno::EAGAIN);
                }
                self.move_to_pi(table, &mut pair, keys, target, requeue, &mut woken)
            })();
            woken.wake();
            match result {
                Ok(Some(count)) => return Ok(count),
                Ok(None) => std::thread::yield_now(),
                Err(e) => return Err(e),
            }
        }
    }

    /// `None`: the owner is just ending and nothing has been done.
    fn move_to_pi(
        &self,
        table: &FutexTable,
        pair: &mut Pair<'_>,
        keys: [FutexKey; 2],
        target: UserAddr,
        requeue: usize,
        woken: &mut Woken,
    ) -> Result<Option<u64>> {
        let place = FutexTable::place(keys[1]);
        let mut count = 0;
        while count <= requeue as u64 {
            let Some(at) = pair.from().iter().position(|r| r.key == keys[0]) else { break };
            let tid = match pair.from().get(at).and_then(|r| r.pi.as_ref()) {
                Some(PiRecord { tid, state: PiState::Elsewhere(to), .. }) if *to == keys[1] => *tid,
                _ => return err(Errno::EINVAL),
            };
            let others = pair.to().iter().any(|r| r.key == keys[1])
                || pair.from().iter().enumerate().any(|(i, r)| i != at && r.key == keys[0]);
            match self.attempt(target, tid, others)? {
                Attempt::Ending if count == 0 => return Ok(None),
                Attempt::Ending => break,
                Attempt::Taken => {
                    let record = pair.from().remove(at);
                    table.pi_records.fetch_sub(1, Ordering::SeqCst);
                    record.waiter.mark(Outcome::Acquired);
                    woken.push(record.waiter);
                }
                Attempt::Owned(owner) => {
                    let mut record = pair.from().remove(at);
                    record.key = keys[1];
                    if let Some(pi) = &mut record.pi {
                        pi.state = PiState::Locked(owner);
                    }
                    record.waiter.bucket.store(place, Ordering::SeqCst);
                    pair.to().push(record);
                }
            }
            count += 1;
        }
        Ok(Some(count))
    }
}
