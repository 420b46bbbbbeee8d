//! Names for application memory: the only ways to say where something is. Only [`crate::mm::MemoryManager`] follows them.

use std::fmt;
use std::marker::PhantomData;

use abi::{Errno, UserAddr};

use crate::error::Result;

/// A pointer to a `T` in application memory, not checked yet.
pub struct UserPtr<T> {
    addr: UserAddr,
    target: PhantomData<fn() -> T>,
}

impl<T> UserPtr<T> {
    /// A pointer from an address.
    #[must_use]
    pub const fn new(addr: UserAddr) -> Self {
        Self { addr, target: PhantomData }
    }

    /// The address.
    #[must_use]
    pub const fn addr(self) -> UserAddr {
        self.addr
    }

    /// Whether it is null.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.addr.is_null()
    }

    /// `None` if it is null.
    #[must_use]
    pub fn non_null(self) -> Option<Self> {
        (!self.is_null()).then_some(self)
    }

    /// The `index`th element of the array that starts here.
    pub fn at(self, index: usize) -> Result<Self> {
        let bytes = index.checked_mul(size_of::<T>()).and_then(|b| u64::try_from(b).ok()).ok_or(Errno::EFAULT)?;
        Ok(Self::new(self.addr.checked_add(bytes)?))
    }

    /// The same address as a pointer to something else.
    #[must_use]
    pub const fn cast<U>(self) -> UserPtr<U> {
        UserPtr::new(self.addr)
    }
}

impl<T> Clone for UserPtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for UserPtr<T> {}

impl<T> fmt::Debug for UserPtr<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.addr, f)
    }
}

/// A NUL-terminated string in application memory, not read yet.
#[derive(Clone, Copy)]
pub struct UserCStr(pub UserAddr);

impl fmt::Debug for UserCStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Bytes in application memory, not checked yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserSlice {
    /// First byte.
    pub addr: UserAddr,
    /// How many.
    pub len: usize,
}

impl UserSlice {
    /// `len` bytes at `addr`.
    #[must_use]
    pub const fn new(addr: UserAddr, len: usize) -> Self {
        Self { addr, len }
    }
}
