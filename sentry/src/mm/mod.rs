//! Application memory: what is mapped where, and the only way to read or write it.

pub mod memfile;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use abi::{UserAddr, UserRange};
use host::mem::HostSlice;
use platform::{AddressSpace, Platform};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::error::Result;
use crate::user::{UserCStr, UserPtr, UserSlice};

/// One application address space, shared by the tasks that were cloned with CLONE_VM.
#[derive(Debug)]
pub struct MemoryManager {}

impl MemoryManager {
    /// Reads a value. EFAULT where it is not readable.
    pub fn read<T: FromBytes>(&self, ptr: UserPtr<T>) -> Result<T> {
        let _ = ptr;
        todo!()
    }

    /// Writes a value. EFAULT where it is not writable.
    pub fn write<T: IntoBytes + Immutable>(&self, ptr: UserPtr<T>, value: &T) -> Result<()> {
        let _ = (ptr, value);
        todo!()
    }

    /// Fills `bytes` from `addr`; all or EFAULT.
    pub fn read_bytes(&self, addr: UserAddr, bytes: &mut [u8]) -> Result<()> {
        let _ = (addr, bytes);
        todo!()
    }

    /// Writes `bytes` to `addr`; all or EFAULT (with a prefix written).
    pub fn write_bytes(&self, addr: UserAddr, bytes: &[u8]) -> Result<()> {
        let _ = (addr, bytes);
        todo!()
    }

    /// Reads a NUL-terminated string of at most `max` bytes, NUL included; ENAMETOOLONG if there is no NUL in them.
    pub fn read_cstr(&self, at: UserCStr, max: usize) -> Result<Vec<u8>> {
        let _ = (at, max);
        todo!()
    }

    /// Lets `f` read the beginning of `slice` as one piece of contiguous host memory; returns what `f` returned and how
    /// long the piece was.
    pub fn with_slice(
        &self,
        slice: UserSlice,
        f: &mut dyn FnMut(HostSlice<'_>) -> Result<usize>,
    ) -> Result<(usize, usize)> {
        let _ = (slice, f);
        todo!()
    }

    /// Lets `f` write the beginning of `slice`; as [`Self::with_slice`], with copy-on-write resolved.
    pub fn with_slice_mut(
        &self,
        slice: UserSlice,
        f: &mut dyn FnMut(HostSlice<'_>) -> Result<usize>,
    ) -> Result<(usize, usize)> {
        let _ = (slice, f);
        todo!()
    }
}

/// Something that can be mapped: the data of an inode. Implemented by the file systems.
pub trait Mappable: Send + Sync + std::fmt::Debug {
    /// Where the bytes `offset..offset+len` (page aligned) of the object are, for the given access: a host file and the
    /// range in it; at least one page, at most `len`, contiguous. SIGBUS (`Errno::EFAULT`) beyond the end of the object.
    /// For a write to shared memory the pages are allocated. The host range stays valid until the object calls
    /// [`Mappings::invalidate`] for it.
    fn translate(&self, offset: u64, len: u64, write: bool) -> Result<Translation>;

    /// Where the object keeps who has mapped it.
    fn mappings(&self) -> &Mappings;
}

/// A piece of a host file that backs a piece of an object.
#[derive(Clone, Debug)]
pub struct Translation {
    /// The memory file or a donated file.
    pub file: Arc<OwnedFd>,
    /// Where in `file`.
    pub offset: u64,
    /// How many bytes from there on belong to the object.
    pub len: u64,
    /// Whether `file` may be mapped writable there.
    pub writable: bool,
}

/// Which address spaces have mapped an object, so that truncation can take pages away from them.
#[derive(Debug, Default)]
pub struct Mappings {}

impl Mappings {
    /// Takes the host mappings of `offset..offset+len` away from every address space; they come back by faults.
    pub fn invalidate(&self, offset: u64, len: u64) {
        let _ = (offset, len);
        todo!()
    }

    /// Whether anyone has mapped the object (shared, writable).
    #[must_use]
    pub fn any_writable_shared(&self) -> bool {
        todo!()
    }
}

#[expect(unused, reason = "seam")]
fn seam(_: Arc<dyn AddressSpace>, _: Arc<dyn Platform>, _: UserRange) {}
