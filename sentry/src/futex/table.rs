//! The buckets, and what needs no sleep: waking and moving waiters.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use abi::Errno;
use sync::{Mutex, MutexGuard};

use super::pi::PiRecord;
use super::{Outcome, Waiter};
use crate::error::{Result, err};
use crate::lock_order;
use crate::mm::FutexKey;

/// A power of two.
const BUCKETS: usize = 256;

/// All waiters of the sandbox.
#[derive(Debug)]
pub struct FutexTable {
    buckets: Box<[Bucket]>,
    /// How many records wait for a PI futex, so that an exit need not look for them in vain.
    pub(super) pi_records: AtomicUsize,
}

/// Those whose keys fall together. A cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Bucket {
    records: Mutex<Vec<Record>, lock_order::Futex>,
}

/// One task's wait for one key; the oldest first.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) key: FutexKey,
    pub(super) bitset: u32,
    pub(super) waiter: Arc<Waiter>,
    /// Which of the futexes of a futex_waitv(2); such a record cannot be moved.
    pub(super) vector: Option<u32>,
    pub(super) pi: Option<PiRecord>,
}

/// How many to wake and how many of the rest to move.
#[derive(Clone, Copy, Debug)]
pub struct Requeue {
    /// Wake at most so many.
    pub wake: usize,
    /// Move at most so many.
    pub requeue: usize,
}

/// The waiters to wake when the locks are free.
#[derive(Debug, Default)]
pub(super) struct Woken(Vec<Arc<Waiter>>);

impl Woken {
    pub(super) fn push(&mut self, waiter: Arc<Waiter>) {
        self.0.push(waiter);
    }

    pub(super) fn wake(self) -> usize {
        for waiter in &self.0 {
            waiter.wake();
        }
        self.0.len()
    }
}

/// Two buckets, locked; they may be the same.
pub(super) struct Pair<'a> {
    first: MutexGuard<'a, Vec<Record>>,
    /// `None`: both keys are in `first`.
    second: Option<MutexGuard<'a, Vec<Record>>>,
}

impl Pair<'_> {
    /// The records of the first key's bucket.
    pub(super) fn from(&mut self) -> &mut Vec<Record> {
        &mut self.first
    }

    /// The records of the second key's bucket.
    pub(super) fn to(&mut self) -> &mut Vec<Record> {
        self.second.as_mut().unwrap_or(&mut self.first)
    }
}

impl Default for FutexTable {
    fn default() -> Self {
        Self::new()
    }
}

impl FutexTable {
    /// Without waiters.
    #[must_use]
    pub fn new() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| Bucket::default()).collect(), pi_records: AtomicUsize::new(0) }
    }

    /// Where a key belongs.
    pub(super) fn place(key: FutexKey) -> usize {
        let (a, b) = match key {
            FutexKey::Private { mm, addr } => (mm, addr),
            FutexKey::Shared { object, offset } => (!object, offset),
        };
        // Addresses of futexes differ in their middle bits.
        let mixed = (a.rotate_left(32) ^ (b >> 2)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        usize::try_from(mixed >> 56).unwrap_or(0) % BUCKETS
    }

    pub(super) fn lock(&self, place: usize) -> MutexGuard<'_, Vec<Record>> {
        self.buckets[place % BUCKETS].records.lock()
    }

    pub(super) fn places(&self) -> std::ops::Range<usize> {
        0..self.buckets.len()
    }

    pub(super) fn lock_pair(&self, from: FutexKey, to: FutexKey) -> Pair<'_> {
        let (from, to) = (Self::place(from), Self::place(to));
        if from == to {
            return Pair { first: self.lock(from), second: None };
        }
        let low = self.buckets[from.min(to)].records.lock();
        let high = self.buckets[from.max(to)].records.lock_nested();
        if from < to { Pair { first: low, second: Some(high) } } else { Pair { first: high, second: Some(low) } }
    }

    /// FUTEX_WAKE, FUTEX_WAKE_BITSET: wakes the oldest `count` waiters, at least one as Linux does; returns how many.
    pub fn wake(&self, key: FutexKey, bitset: u32, count: usize) -> Result<usize> {
        let mut woken = Woken::default();
        let result = take(&mut self.lock(Self::place(key)), key, bitset, count.max(1), &mut woken);
        let count = woken.wake();
        result.map(|()| count)
    }

    /// FUTEX_WAKE_OP: changes the second word by `change`, which says whether its waiters are woken too.
    pub fn wake_op(
        &self,
        keys: [FutexKey; 2],
        counts: [usize; 2],
        change: impl FnOnce() -> Result<bool>,
    ) -> Result<usize> {
        let mut woken = Woken::default();
        let result = (|| {
            let mut pair = self.lock_pair(keys[0], keys[1]);
            let second = change()?;
            take(pair.from(), keys[0], u32::MAX, counts[0].max(1), &mut woken)?;
            if second {
                take(pair.to(), keys[1], u32::MAX, counts[1].max(1), &mut woken)?;
            }
            Ok(())
        })();
        let count = woken.wake();
        result.map(|()| count)
    }

    /// FUTEX_REQUEUE, FUTEX_CMP_REQUEUE: wakes some and makes others wait for another word instead. `check` is called with the
    /// buckets locked: EAGAIN if the word changed. Returns how many were woken or moved.
    pub fn requeue(&self, keys: [FutexKey; 2], counts: Requeue, check: impl FnOnce() -> Result<()>) -> Result<usize> {
        let mut woken = Woken::default();
        let result = (|| {
            let mut pair = self.lock_pair(keys[0], keys[1]);
            check()?;
            take(pair.from(), keys[0], u32::MAX, counts.wake, &mut woken)?;
            move_records(&mut pair, keys, counts.requeue)
        })();
        let count = woken.wake();
        result.map(|moved| count + moved)
    }

    /// Takes a waiter's record away; `None` if it was not there: somebody has woken it.
    pub(super) fn withdraw(&self, waiter: &Arc<Waiter>) -> Option<Record> {
        loop {
            let place = waiter.bucket.load(Ordering::SeqCst);
            let mut records = self.lock(place);
            if waiter.bucket.load(Ordering::SeqCst) != place {
                // Requeued meanwhile.
                continue;
            }
            let at = records.iter().position(|r| Arc::ptr_eq(&r.waiter, waiter))?;
            let record = records.remove(at);
            if record.pi.is_some() {
                self.pi_records.fetch_sub(1, Ordering::SeqCst);
            }
            return Some(record);
        }
    }

    /// How many wait for a key.
    #[must_use]
    pub fn waiters(&self, key: FutexKey) -> usize {
        self.lock(Self::place(key)).iter().filter(|r| r.key == key).count()
    }
}

/// Takes up to `count` waiters for `key` out and marks them. EINVAL if one waits for a PI futex, which cannot be woken so.
fn take(records: &mut Vec<Record>, key: FutexKey, bitset: u32, count: usize, woken: &mut Woken) -> Result<()> {
    let mut left = count;
    let mut at = 0;
    while left > 0
        && let Some(record) = records.get(at)
    {
        if record.key != key {
            at += 1;
            continue;
        }
        if record.pi.is_some() {
            return err(Errno::EINVAL);
        }
        if record.bitset & bitset == 0 {
            at += 1;
            continue;
        }
        let record = records.remove(at);
        // One that another of its futexes has woken does not count.
        if record.waiter.mark(Outcome::Woken(record.vector.unwrap_or(0))) {
            woken.push(record.waiter);
            left -= 1;
        }
    }
    Ok(())
}

/// Makes up to `count` waiters for the first key wait for the second.
fn move_records(pair: &mut Pair<'_>, keys: [FutexKey; 2], count: usize) -> Result<usize> {
    let mut moved = 0;
    let mut at = 0;
    let place = FutexTable::place(keys[1]);
    // Moved within one bucket, a record must not be met again.
    let mut rest = pair.from().len();
    while moved < count && at < rest {
        let Some(record) = pair.from().get(at) else { break };
        if record.key != keys[0] || record.vector.is_some() {
            at += 1;
            continue;
        }
        if record.pi.is_some() {
            return err(Errno::EINVAL);
        }
        let mut record = pair.from().remove(at);
        rest -= 1;
        record.key = keys[1];
        record.waiter.bucket.store(place, Ordering::SeqCst);
        pair.to().push(record);
        moved += 1;
    }
    Ok(moved)
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    use abi::signal::SigSet;

    use super::*;
    use crate::task::signal::TaskSignals;

    pub(in crate::futex) fn key(n: u64) -> FutexKey {
        FutexKey::Private { mm: 1, addr: n * 4 }
    }

    fn enqueue(table: &FutexTable, key: FutexKey, bitset: u32) -> Arc<Waiter> {
        let waiter = Waiter::new(TaskSignals::new(SigSet::EMPTY));
        waiter.bucket.store(FutexTable::place(key), Ordering::SeqCst);
        table.lock(FutexTable::place(key)).push(Record {
            key,
            bitset,
            waiter: Arc::clone(&waiter),
            vector: None,
            pi: None,
        });
        waiter
    }

    #[test]
    fn the_oldest_matching_waiters_are_woken_and_no_others() {
        let table = FutexTable::new();
        let waiters: Vec<_> = [1, 2, 1, 3].map(|bits| enqueue(&table, key(7), bits)).into();
        let other = enqueue(&table, key(8), 1);
        assert_eq!(table.wake(key(7), 1, 2).ok(), Some(2));
        let woken: Vec<_> = waiters.iter().map(|w| w.outcome().is_some()).collect();
        assert_eq!(woken, [true, false, true, false]);
        assert_eq!(table.wake(key(7), u32::MAX, 0).ok(), Some(1));
        assert!(waiters[1].outcome().is_some() && other.outcome().is_none());
        assert_eq!(table.wake(key(9), u32::MAX, 5).ok(), Some(0));
    }

    #[test]
    fn requeued_waiters_hear_of_the_new_word() {
        let table = FutexTable::new();
        let waiters: Vec<_> = (0..4).map(|_| enqueue(&table, key(1), u32::MAX)).collect();
        let counts = Requeue { wake: 1, requeue: 2 };
        assert_eq!(table.requeue([key(1), key(2)], counts, || Ok(())).ok(), Some(3));
        assert_eq!((table.waiters(key(1)), table.waiters(key(2))), (1, 2));
        assert_eq!(table.wake(key(2), u32::MAX, 10).ok(), Some(2));
        let woken: Vec<_> = waiters.iter().map(|w| w.outcome().is_some()).collect();
        assert_eq!(woken, [true, true, true, false]);
        let changed = table.requeue([key(1), key(2)], counts, || err(Errno::EAGAIN));
        assert!(changed.is_err_and(|e| e.is(Errno::EAGAIN)));
        // To the same word: nobody is met twice.
        assert_eq!(table.requeue([key(1), key(1)], Requeue { wake: 0, requeue: 9 }, || Ok(())).ok(), Some(1));
    }

    #[test]
    fn a_withdrawn_waiter_is_not_woken_even_after_a_requeue() {
        let table = FutexTable::new();
        let waiter = enqueue(&table, key(1), u32::MAX);
        assert!(table.requeue([key(1), key(5)], Requeue { wake: 0, requeue: 1 }, || Ok(())).is_ok());
        assert!(table.withdraw(&waiter).is_some());
        assert!(table.withdraw(&waiter).is_none());
        assert_eq!(table.wake(key(5), u32::MAX, 1).ok(), Some(0));
    }

    #[test]
    fn wake_op_wakes_the_second_word_only_if_asked_to() {
        let table = FutexTable::new();
        let (a, b) = (enqueue(&table, key(1), u32::MAX), enqueue(&table, key(2), u32::MAX));
        assert_eq!(table.wake_op([key(1), key(2)], [1, 1], || Ok(false)).ok(), Some(1));
        assert!(a.outcome().is_some() && b.outcome().is_none());
        assert_eq!(table.wake_op([key(1), key(2)], [1, 1], || Ok(true)).ok(), Some(1));
        assert!(b.outcome().is_some());
    }

    #[test]
    fn no_wake_up_is_lost_between_threads() {
        let table = FutexTable::new();
        let word = AtomicU32::new(0);
        const ROUNDS: u32 = 2000;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let waiter = Waiter::new(TaskSignals::new(SigSet::EMPTY));
                for round in 0..ROUNDS {
                    // As a wait does: look with the bucket locked, then sleep.
                    while word.load(Ordering::SeqCst) == round {
                        waiter.begin();
                        waiter.task().attention().parker().reset();
                        {
                            let mut records = table.lock(FutexTable::place(key(1)));
                            if word.load(Ordering::SeqCst) != round {
                                break;
                            }
                            let waiter = Arc::clone(&waiter);
                            records.push(Record { key: key(1), bitset: 1, waiter, vector: None, pi: None });
                        }
                        while waiter.outcome().is_none() {
                            let parker = waiter.task().attention().parker();
                            let soon = std::time::Instant::now() + Duration::from_secs(20);
                            assert!(parker.park(Some(soon)), "a wake-up was lost");
                        }
                    }
                }
            });
            for round in 0..ROUNDS {
                word.store(round + 1, Ordering::SeqCst);
                let woken = table.wake(key(1), 1, 1);
                assert!(woken.is_ok_and(|n| n <= 1));
            }
        });
    }
}
