//! Sleeping on futexes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use abi::{Errno, UserAddr};

use super::table::Record;
use super::{FutexTable, Outcome, Waiter};
use crate::error::{Restart, Result, SysResult, err};
use crate::mm::FutexKey;
use crate::task::CurrentTask;
use crate::time::Clock;

/// When a wait ends by itself.
#[derive(Clone, Debug)]
pub struct Deadline {
    /// On which clock.
    pub clock: Clock,
    /// Nanoseconds on it.
    pub at: i64,
}

/// See [`Deadline`]; `None`: never.
pub type Until = Option<Deadline>;

/// One of the futexes of a futex_waitv(2).
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The word.
    pub addr: UserAddr,
    /// What it must be.
    pub value: u32,
    /// Whether it may be another process's.
    pub shared: bool,
}

impl CurrentTask {
    /// The futex at an address.
    pub fn futex_key(&self, addr: UserAddr, shared: bool) -> Result<FutexKey> {
        if !addr.0.is_multiple_of(4) {
            return err(Errno::EINVAL);
        }
        if addr.0 >= abi::TASK_SIZE {
            return err(Errno::EFAULT);
        }
        if shared { self.mm().futex_key(addr) } else { Ok(self.mm().private_futex_key(addr)) }
    }

    /// FUTEX_WAIT or FUTEX_WAIT_BITSET with a timeout: never made again, but continued by restart_syscall(2).
    pub fn futex_wait_for(
        &mut self,
        addr: UserAddr,
        shared: bool,
        value: u32,
        bitset: u32,
        until: Deadline,
    ) -> SysResult {
        match self.futex_wait(addr, shared, value, bitset, Some(&until)) {
            Err(e) if matches!(e.code(), crate::error::Code::Restart(_)) => {
                self.set_restart_block(Box::new(move |task| task.futex_wait_for(addr, shared, value, bitset, until)));
                Err(Restart::Block.into())
            }
            other => other,
        }
    }

    /// FUTEX_WAIT, FUTEX_WAIT_BITSET: sleeps while the word is `value`, until somebody wakes one of `bitset`. EAGAIN if the
    /// word is not `value`.
    pub fn futex_wait(
        &mut self,
        addr: UserAddr,
        shared: bool,
        value: u32,
        bitset: u32,
        until: Option<&Deadline>,
    ) -> SysResult {
        if bitset == 0 {
            return err(Errno::EINVAL);
        }
        let key = self.futex_key(addr, shared)?;
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
            records.push(Record { key, bitset, waiter: Arc::clone(&waiter), vector: None, pi: None });
        }
        match self.sleep_on(&waiter, until) {
            Ok(_) => Ok(0),
            // Woken in the last moment: that counts.
            Err(_) if table.withdraw(&waiter).is_none() => Ok(0),
            Err(e) => Err(e),
        }
    }

    /// futex_waitv(2): waits for any of several; returns which. The words must all be as expected, else EAGAIN.
    pub fn futex_waitv(&mut self, wanted: &[Wanted], until: Option<&Deadline>) -> SysResult {
        let keys: Vec<_> = wanted.iter().map(|w| self.futex_key(w.addr, w.shared)).collect::<Result<_>>()?;
        let waiter = self.futex_waiter();
        waiter.begin();
        let kernel = Arc::clone(self.kernel());
        let table = &kernel.futexes;
        let mut result = Ok(());
        for (index, (want, key)) in (0u32..).zip(wanted.iter().zip(&keys)) {
            let mut records = table.lock(FutexTable::place(*key));
            result = match self.mm().load_u32(want.addr) {
                Ok(value) if value == want.value => Ok(()),
                Ok(_) => err(Errno::EAGAIN),
                Err(e) => Err(e),
            };
            if result.is_err() {
                break;
            }
            records.push(Record {
                key: *key,
                bitset: u32::MAX,
                waiter: Arc::clone(&waiter),
                vector: Some(index),
                pi: None,
            });
        }
        let slept = result.and_then(|()| self.sleep_on(&waiter, until));
        for key in &keys {
            table.lock(FutexTable::place(*key)).retain(|r| !Arc::ptr_eq(&r.waiter, &waiter));
        }
        match waiter.outcome() {
            Some(Outcome::Woken(index)) => Ok(u64::from(index)),
            _ => slept.and_then(|_| err(Errno::EAGAIN)),
        }
    }

    /// Sleeps until the waiter is marked, a signal comes (ERESTARTSYS) or the time does (ETIMEDOUT).
    pub(super) fn sleep_on(&self, waiter: &Waiter, until: Option<&Deadline>) -> Result<Outcome> {
        loop {
            self.parker().reset();
            if let Some(outcome) = waiter.outcome() {
                return Ok(outcome);
            }
            match self.park(self.futex_deadline(until)?) {
                Ok(()) => {}
                Err(e) if e.is(Errno::ETIMEDOUT) => {
                    // A clock that was set back has not reached it.
                    if until.is_none_or(|u| u.clock.now().is_none_or(|now| now >= u.at)) {
                        return Err(e);
                    }
                }
                Err(e) => return Err(e),
            }
        }
    }

    fn futex_deadline(&self, until: Option<&Deadline>) -> Result<Option<Instant>> {
        let Some(Deadline { clock, at }) = until else { return Ok(None) };
        let now = clock.now().ok_or(Errno::EINVAL)?;
        Ok(clock.when(&self.kernel().clocks, now, *at, 1))
    }

    /// What this task waits with.
    pub(super) fn futex_waiter(&mut self) -> Arc<Waiter> {
        if let Some(waiter) = &self.futex_waiter {
            return Arc::clone(waiter);
        }
        let waiter = Waiter::new(Arc::clone(&self.signals));
        self.futex_waiter = Some(Arc::clone(&waiter));
        waiter
    }
}
