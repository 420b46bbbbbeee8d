//! Addresses in application memory. They are numbers that only the memory manager can follow.

use core::fmt;

use crate::errno::Errno;

/// Bytes in a page.
pub const PAGE_SIZE: u64 = 4096;
/// log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;
/// One past the highest address an x86-64 application can use with four-level paging (TASK_SIZE_MAX).
pub const TASK_SIZE: u64 = (1 << 47) - PAGE_SIZE;

/// An address in an application's address space. Not checked until it is used, as on Linux.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct UserAddr(pub u64);

impl UserAddr {
    /// The null address.
    pub const NULL: Self = Self(0);

    /// Whether this is the null address.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// `self + len`, EFAULT if that leaves the 64-bit address space.
    pub fn checked_add(self, len: u64) -> Result<Self, Errno> {
        self.0.checked_add(len).map(Self).ok_or(Errno::EFAULT)
    }

    /// `self + len`, wrapping as a register would.
    #[must_use]
    pub const fn wrapping_add(self, len: u64) -> Self {
        Self(self.0.wrapping_add(len))
    }

    /// The start of the page that holds this address.
    #[must_use]
    pub const fn page_down(self) -> Self {
        Self(self.0 & !(PAGE_SIZE - 1))
    }

    /// The first page boundary at or after this address; `None` at the top of the address space.
    #[must_use]
    pub fn page_up(self) -> Option<Self> {
        self.0.checked_add(PAGE_SIZE - 1).map(|v| Self(v & !(PAGE_SIZE - 1)))
    }

    /// Whether the address is a multiple of the page size.
    #[must_use]
    pub const fn is_page_aligned(self) -> bool {
        self.0.is_multiple_of(PAGE_SIZE)
    }

    /// Bytes from the start of the page.
    #[must_use]
    pub const fn page_offset(self) -> u64 {
        self.0 % PAGE_SIZE
    }
}

impl fmt::Debug for UserAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::LowerHex for UserAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

/// A half-open range of application addresses; `start <= end` always.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct UserRange {
    /// First address.
    pub start: UserAddr,
    /// One past the last address.
    pub end: UserAddr,
}

impl UserRange {
    /// `start .. start + len`; EFAULT if it wraps.
    pub fn new(start: UserAddr, len: u64) -> Result<Self, Errno> {
        Ok(Self { start, end: start.checked_add(len)? })
    }

    /// `start .. end`; an inverted pair becomes the empty range at `start`.
    #[must_use]
    pub fn between(start: UserAddr, end: UserAddr) -> Self {
        Self { start, end: end.max(start) }
    }

    /// Bytes in the range.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.0 - self.start.0
    }

    /// Whether the range holds nothing.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.end.0 == self.start.0
    }

    /// Whether `addr` lies inside.
    #[must_use]
    pub fn contains(self, addr: UserAddr) -> bool {
        self.start <= addr && addr < self.end
    }

    /// Whether all of `other` lies inside.
    #[must_use]
    pub fn contains_range(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// The common part, `None` if there is none.
    #[must_use]
    pub fn intersect(self, other: Self) -> Option<Self> {
        let start = self.start.max(other.start);
        let end = self.end.min(other.end);
        (start < end).then_some(Self { start, end })
    }
}

impl fmt::Debug for UserRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}-{:#x}", self.start.0, self.end.0)
    }
}
