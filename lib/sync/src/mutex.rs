//! Mutex and RwLock with a level in their type.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use crate::level::{Held, Level};

/// A mutual exclusion lock at level `L`.
pub struct Mutex<T: ?Sized, L: Level> {
    level: PhantomData<L>,
    inner: parking_lot::Mutex<T>,
}

/// Access to what a [`Mutex`] protects.
pub struct MutexGuard<'a, T: ?Sized> {
    inner: parking_lot::MutexGuard<'a, T>,
    _held: Held,
}

impl<T, L: Level> Mutex<T, L> {
    /// A new, free lock.
    pub const fn new(value: T) -> Self {
        Self { level: PhantomData, inner: parking_lot::Mutex::new(value) }
    }

    /// The value, when nobody else can hold the lock any more.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T: ?Sized, L: Level> Mutex<T, L> {
    /// Takes the lock.
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        let held = Held::enter::<L>(false);
        MutexGuard { inner: self.inner.lock(), _held: held }
    }

    /// Takes the lock while another of the same level is held. The caller orders the two by something fixed (address,
    /// inode number, depth in a tree).
    #[track_caller]
    pub fn lock_nested(&self) -> MutexGuard<'_, T> {
        let held = Held::enter::<L>(true);
        MutexGuard { inner: self.inner.lock(), _held: held }
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let inner = self.inner.try_lock()?;
        Some(MutexGuard { inner, _held: Held::enter::<L>(true) })
    }

    /// Direct access through a unique reference.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }
}

impl<T: Default, L: Level> Default for Mutex<T, L> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug, L: Level> fmt::Debug for Mutex<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// A reader-writer lock at level `L`.
pub struct RwLock<T: ?Sized, L: Level> {
    level: PhantomData<L>,
    inner: parking_lot::RwLock<T>,
}

/// Shared access to what a [`RwLock`] protects.
pub struct RwLockReadGuard<'a, T: ?Sized> {
    inner: parking_lot::RwLockReadGuard<'a, T>,
    _held: Held,
}

/// Exclusive access to what a [`RwLock`] protects.
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    inner: parking_lot::RwLockWriteGuard<'a, T>,
    _held: Held,
}

impl<T, L: Level> RwLock<T, L> {
    /// A new, free lock.
    pub const fn new(value: T) -> Self {
        Self { level: PhantomData, inner: parking_lot::RwLock::new(value) }
    }
}

impl<T: ?Sized, L: Level> RwLock<T, L> {
    /// Takes the lock to read.
    #[track_caller]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        let held = Held::enter::<L>(false);
        RwLockReadGuard { inner: self.inner.read(), _held: held }
    }

    /// Takes the lock to write.
    #[track_caller]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        let held = Held::enter::<L>(false);
        RwLockWriteGuard { inner: self.inner.write(), _held: held }
    }

    /// As [`Self::write`], while another lock of the same level is held; see [`Mutex::lock_nested`].
    #[track_caller]
    pub fn write_nested(&self) -> RwLockWriteGuard<'_, T> {
        let held = Held::enter::<L>(true);
        RwLockWriteGuard { inner: self.inner.write(), _held: held }
    }

    /// As [`Self::read`], while another lock of the same level is held; see [`Mutex::lock_nested`].
    #[track_caller]
    pub fn read_nested(&self) -> RwLockReadGuard<'_, T> {
        let held = Held::enter::<L>(true);
        RwLockReadGuard { inner: self.inner.read(), _held: held }
    }

    /// Direct access through a unique reference.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }
}

impl<T: Default, L: Level> Default for RwLock<T, L> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug, L: Level> fmt::Debug for RwLock<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::{Level, Mutex};

    struct Low;
    impl Level for Low {
        const NAME: &'static str = "low";
        const RANK: u16 = 1;
    }
    struct High;
    impl Level for High {
        const NAME: &'static str = "high";
        const RANK: u16 = 2;
    }

    #[test]
    fn rising_order_is_accepted() {
        let (low, high) = (Mutex::<_, Low>::new(1), Mutex::<_, High>::new(2));
        let a = low.lock();
        let b = high.lock();
        assert_eq!(*a + *b, 3);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "lock order: low taken while holding high")]
    fn falling_order_panics() {
        let (low, high) = (Mutex::<_, Low>::new(1), Mutex::<_, High>::new(2));
        let _b = high.lock();
        let _a = low.lock();
    }
}
