//! Words in application memory that change at once, for futexes, and the identity of such a word.

use abi::{Errno, UserAddr};

use super::MemoryManager;
use super::access::Need;
use crate::error::{Result, err};

/// What two waiters on one futex have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FutexKey {
    /// Private memory: the address space ([`MemoryManager::id`]) and the address.
    Private {
        /// The address space.
        mm: u64,
        /// The address.
        addr: u64,
    },
    /// Shared memory: the object ([`super::Mappings::id`]) and the offset in it.
    Shared {
        /// The object.
        object: u64,
        /// The offset.
        offset: u64,
    },
}

impl MemoryManager {
    /// Reads an aligned word at once. EINVAL if it is not aligned, EFAULT if it cannot be read.
    pub fn load_u32(&self, addr: UserAddr) -> Result<u32> {
        Self::check_word(addr)?;
        self.with_piece(addr, 4, Need::Read, |slice| Ok(slice.load_u32()?))
    }

    /// Replaces an aligned word by `new` if it is `old`; returns what it was.
    pub fn compare_exchange_u32(&self, addr: UserAddr, old: u32, new: u32) -> Result<u32> {
        Self::check_word(addr)?;
        self.with_piece(addr, 4, Need::Write, |slice| Ok(slice.compare_exchange_u32(old, new)?))
    }

    /// Replaces an aligned word by what `f` makes of it, atomically; returns what it was.
    pub fn fetch_update_u32(&self, addr: UserAddr, f: impl FnMut(u32) -> u32) -> Result<u32> {
        Self::check_word(addr)?;
        self.with_piece(addr, 4, Need::Write, |slice| Ok(slice.fetch_update_u32(f)?))
    }

    /// The identity of the word at `addr` for a futex that may be shared between processes; EFAULT if nothing is mapped
    /// there. For FUTEX_PRIVATE_FLAG use [`Self::private_futex_key`].
    pub fn futex_key(&self, addr: UserAddr) -> Result<FutexKey> {
        Self::check_word(addr)?;
        let key = {
            let space = self.space.read();
            let vma = space.vmas.find(addr).ok_or(Errno::EFAULT)?;
            if vma.prot.is_none() {
                return err(Errno::EFAULT);
            }
            match vma.object_at(addr) {
                Some((object, offset)) if vma.shared() => FutexKey::Shared { object: object.mappings().id(), offset },
                _ => return Ok(self.private_futex_key(addr)),
            }
        };
        // Beyond the end of the object there is no word.
        self.load_u32(addr)?;
        Ok(key)
    }

    /// The identity of the word at `addr` for a futex of this process alone.
    #[must_use]
    pub fn private_futex_key(&self, addr: UserAddr) -> FutexKey {
        FutexKey::Private { mm: self.id, addr: addr.0 }
    }

    fn check_word(addr: UserAddr) -> Result<()> {
        if addr.0.is_multiple_of(4) { Ok(()) } else { err(Errno::EINVAL) }
    }
}
