//! Reading and writing application memory, by copy through our own mapping of it.
//!
//! The usual case is one lock and one look-up of the piece that holds the address. Where the platform could not serve the
//! access either, the fault is resolved first, as if the application had touched the memory.

use abi::{Errno, PAGE_SIZE, UserAddr};
use host::mem::HostSlice;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::pages::Piece;
use super::vma::VmaFlags;
use super::{MemoryManager, Space};
use crate::error::{Result, err};
use crate::user::{UserCStr, UserPtr, UserSlice};

/// Values up to this size are read without an allocation.
const SMALL: usize = 256;
/// How much of a string is looked at at once.
const STRING_STEP: usize = 256;

/// What an access needs of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Read,
    Write,
    /// Whatever the application may do there: as ptrace(2) and /proc/PID/mem read.
    ForcedRead,
    /// As they write: to a private copy where the application may not write.
    ForcedWrite,
}

/// How another process's memory is accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteAccess {
    /// process_vm_readv(2), process_vm_writev(2): as the process itself could.
    AsOwner,
    /// ptrace(2), /proc/PID/mem: protections are ignored.
    Forced,
}

impl Need {
    fn writes(self) -> bool {
        matches!(self, Self::Write | Self::ForcedWrite)
    }

    fn forced(self) -> bool {
        matches!(self, Self::ForcedRead | Self::ForcedWrite)
    }

    /// Whether a piece can be used as it is.
    fn is_met(self, piece: &Piece) -> bool {
        match self {
            Self::Read => piece.prot.read,
            Self::Write => piece.prot.write,
            Self::ForcedRead => true,
            Self::ForcedWrite => piece.write_through,
        }
    }
}

impl MemoryManager {
    /// Reads a value. EFAULT where it is not readable.
    pub fn read<T: FromBytes>(&self, ptr: UserPtr<T>) -> Result<T> {
        if size_of::<T>() <= 16 {
            return self.read_sized::<T, 16>(ptr.addr());
        }
        if size_of::<T>() <= SMALL {
            return self.read_sized::<T, SMALL>(ptr.addr());
        }
        let mut bytes = vec![0; size_of::<T>()];
        self.read_bytes(ptr.addr(), &mut bytes)?;
        T::read_from_bytes(&bytes).map_err(|_| Errno::EFAULT.into())
    }

    fn read_sized<T: FromBytes, const N: usize>(&self, addr: UserAddr) -> Result<T> {
        let mut bytes = [0; N];
        let bytes = &mut bytes[..size_of::<T>()];
        self.read_bytes(addr, bytes)?;
        T::read_from_bytes(bytes).map_err(|_| Errno::EFAULT.into())
    }

    /// Writes a value. EFAULT where it is not writable.
    pub fn write<T: IntoBytes + Immutable>(&self, ptr: UserPtr<T>, value: &T) -> Result<()> {
        self.write_bytes(ptr.addr(), value.as_bytes())
    }

    /// Reads consecutive values.
    pub fn read_slice<T: FromBytes + IntoBytes>(&self, ptr: UserPtr<T>, values: &mut [T]) -> Result<()> {
        self.read_bytes(ptr.addr(), values.as_mut_bytes())
    }

    /// Writes consecutive values.
    pub fn write_slice<T: IntoBytes + Immutable>(&self, ptr: UserPtr<T>, values: &[T]) -> Result<()> {
        self.write_bytes(ptr.addr(), values.as_bytes())
    }

    /// Fills `bytes` from `addr`; all or EFAULT.
    pub fn read_bytes(&self, addr: UserAddr, bytes: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let rest = &mut bytes[done..];
            let at = addr.wrapping_add(done as u64);
            done += self.with_piece(at, rest.len(), Need::Read, |slice| Ok(slice.read(rest)?))?;
        }
        Ok(())
    }

    /// Writes `bytes` to `addr`; all or EFAULT (with a prefix written).
    pub fn write_bytes(&self, addr: UserAddr, bytes: &[u8]) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            let at = addr.wrapping_add(done as u64);
            done += self.with_piece(at, rest.len(), Need::Write, |slice| Ok(slice.write(rest)?))?;
        }
        Ok(())
    }

    /// Zeroes `len` bytes from `addr` on; all or EFAULT (with a prefix zeroed).
    pub fn zero_bytes(&self, addr: UserAddr, len: usize) -> Result<()> {
        let mut done = 0;
        while done < len {
            let at = addr.wrapping_add(done as u64);
            done += self.with_piece(at, len - done, Need::Write, |slice| Ok(slice.zero()?))?;
        }
        Ok(())
    }

    /// Reads a NUL-terminated string of at most `max` bytes, NUL included; ENAMETOOLONG if there is no NUL in them. The
    /// result has no NUL.
    pub fn read_cstr(&self, at: UserCStr, max: usize) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        let mut buffer = [0; STRING_STEP];
        while text.len() < max {
            let addr = at.0.checked_add(text.len() as u64)?;
            // Not past the page's end, so that a string at the end of memory does not touch what follows.
            let page = usize::try_from(PAGE_SIZE - addr.page_offset()).unwrap_or(STRING_STEP);
            let want = page.min(STRING_STEP).min(max - text.len());
            let n = self.with_piece(addr, want, Need::Read, |slice| Ok(slice.read(&mut buffer[..want])?))?;
            let piece = &buffer[..n];
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&piece[..end]);
                return Ok(text);
            }
            text.extend_from_slice(piece);
        }
        err(Errno::ENAMETOOLONG)
    }

    /// Lets `f` read the beginning of `slice` as one piece of contiguous host memory; returns what `f` returned and how
    /// long the piece was.
    ///
    /// `f` runs with the address space locked: it takes no lock below `Mm`, touches no application memory but the piece,
    /// and does not wait for other tasks.
    pub fn with_slice(
        &self,
        slice: UserSlice,
        f: &mut dyn FnMut(HostSlice<'_>) -> Result<usize>,
    ) -> Result<(usize, usize)> {
        self.with_counted(slice, Need::Read, f)
    }

    /// Lets `f` write the beginning of `slice`; as [`Self::with_slice`], with copy-on-write resolved.
    pub fn with_slice_mut(
        &self,
        slice: UserSlice,
        f: &mut dyn FnMut(HostSlice<'_>) -> Result<usize>,
    ) -> Result<(usize, usize)> {
        self.with_counted(slice, Need::Write, f)
    }

    /// Reads another process's memory; returns how much could be read before the first byte that could not, EFAULT if
    /// none.
    pub fn read_remote(&self, addr: UserAddr, bytes: &mut [u8], access: RemoteAccess) -> Result<usize> {
        let need = if access == RemoteAccess::Forced { Need::ForcedRead } else { Need::Read };
        let open = self.open_to_others(addr, bytes.len())?;
        let bytes = &mut bytes[..open];
        let mut done = 0;
        while done < bytes.len() {
            let rest = &mut bytes[done..];
            let at = addr.wrapping_add(done as u64);
            match self.with_piece(at, rest.len(), need, |slice| Ok(slice.read(rest)?)) {
                Ok(n) => done += n,
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// Writes another process's memory; as [`Self::read_remote`].
    pub fn write_remote(&self, addr: UserAddr, bytes: &[u8], access: RemoteAccess) -> Result<usize> {
        let need = if access == RemoteAccess::Forced { Need::ForcedWrite } else { Need::Write };
        let bytes = &bytes[..self.open_to_others(addr, bytes.len())?];
        let mut done = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            let at = addr.wrapping_add(done as u64);
            match self.with_piece(at, rest.len(), need, |slice| Ok(slice.write(rest)?)) {
                Ok(n) => done += n,
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// How many of the `len` bytes at `addr` come before memory that others must not look at, memfd_secret(2). EFAULT if
    /// that begins at once.
    fn open_to_others(&self, addr: UserAddr, len: usize) -> Result<usize> {
        let end = addr.0.saturating_add(len as u64);
        let space = self.space.read();
        let touched = space.vmas.upwards(addr).take_while(|vma| vma.range.start.0 < end);
        let secret = touched.into_iter().find(|vma| vma.flags.contains(VmaFlags::SECRET));
        let before = secret.map_or(u64::MAX, |vma| vma.range.start.0.saturating_sub(addr.0));
        match usize::try_from(before).unwrap_or(usize::MAX) {
            0 if len > 0 => err(Errno::EFAULT),
            before => Ok(len.min(before)),
        }
    }

    fn with_counted(
        &self,
        slice: UserSlice,
        need: Need,
        f: &mut dyn FnMut(HostSlice<'_>) -> Result<usize>,
    ) -> Result<(usize, usize)> {
        let mut len = 0;
        let result = self.with_piece(slice.addr, slice.len, need, |piece| {
            len = piece.len();
            f(piece)
        })?;
        Ok((result, len))
    }

    /// Runs `f` on the bytes at `addr`, at most `len`, as far as they are contiguous.
    #[inline]
    pub(super) fn with_piece<T>(
        &self,
        addr: UserAddr,
        len: usize,
        need: Need,
        f: impl FnOnce(HostSlice<'_>) -> Result<T>,
    ) -> Result<T> {
        // Another thread may undo what a fault brought, but not for ever.
        for _ in 0..1000 {
            let space = self.space.read();
            if let Some(slice) = space.slice(&self.memfile, addr, len, need)? {
                return f(slice);
            }
            drop(space);
            self.fault_in(addr, need)?;
        }
        err(Errno::EFAULT)
    }

    #[cold]
    fn fault_in(&self, addr: UserAddr, need: Need) -> Result<()> {
        self.change(|change| change.resolve(addr, need.writes(), need.forced()).map_err(|_| Errno::EFAULT.into()))
    }
}

impl Space {
    #[inline]
    pub(super) fn slice<'a>(
        &'a self,
        memfile: &'a super::memfile::MemFile,
        addr: UserAddr,
        len: usize,
        need: Need,
    ) -> Result<Option<HostSlice<'a>>> {
        match self.pages.find(addr) {
            Some(piece) if need.is_met(piece) => piece.slice(memfile, addr, len).map(Some),
            _ => Ok(None),
        }
    }
}
