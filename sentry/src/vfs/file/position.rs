//! The position of an open file: changed under a lock, looked at without.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};

use sync::{Mutex, MutexGuard};

use crate::lock_order::FilePos;

/// An offset that one reader or writer at a time moves, as `f_pos` with its lock.
#[derive(Debug, Default)]
pub(in crate::vfs) struct Position {
    lock: Mutex<(), FilePos>,
    value: AtomicU64,
}

/// The right to move a [`Position`]: what it is set to counts when this is dropped.
#[derive(Debug)]
pub(in crate::vfs) struct PositionGuard<'a> {
    _held: MutexGuard<'a, ()>,
    cell: &'a AtomicU64,
    value: u64,
}

impl Position {
    pub(in crate::vfs) fn lock(&self) -> PositionGuard<'_> {
        let held = self.lock.lock();
        PositionGuard { _held: held, cell: &self.value, value: self.value.load(Ordering::Relaxed) }
    }

    /// What it is, whoever is moving it.
    pub(in crate::vfs) fn get(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }
}

impl Deref for PositionGuard<'_> {
    type Target = u64;
    fn deref(&self) -> &u64 {
        &self.value
    }
}

impl DerefMut for PositionGuard<'_> {
    fn deref_mut(&mut self) -> &mut u64 {
        &mut self.value
    }
}

impl Drop for PositionGuard<'_> {
    fn drop(&mut self) {
        self.cell.store(self.value, Ordering::Relaxed);
    }
}
