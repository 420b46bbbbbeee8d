//! Tables of open files: [`FdTable`].
//!
//! A bitmap finds the lowest free descriptor a word at a time. Files are dropped after the table's lock is released: the
//! last reference may do real work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::Errno;
use abi::fcntl::OpenFlags;
use sync::RwLock;

use super::File;
use crate::error::{Result, err};
use crate::lock_order;

/// A table of open files, shared by tasks cloned with CLONE_FILES.
#[derive(Debug)]
pub struct FdTable {
    /// Owner of the POSIX locks that are taken through it.
    id: u64,
    slots: RwLock<Slots, lock_order::FdTable>,
}

#[derive(Clone, Debug, Default)]
struct Slots {
    files: Vec<Option<Slot>>,
    /// One bit a descriptor in use, so that the lowest free one is found quickly.
    used: Vec<u64>,
    /// No free descriptor lies in a word before this one.
    hint: usize,
}

#[derive(Clone, Debug)]
struct Slot {
    file: Arc<File>,
    close_on_exec: bool,
}

impl Default for FdTable {
    fn default() -> Self {
        Self::over(Slots::default())
    }
}

impl FdTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    fn over(slots: Slots) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), slots: RwLock::new(slots) }
    }

    /// A copy, for a task cloned without CLONE_FILES.
    #[must_use]
    pub fn copy(&self) -> Arc<Self> {
        Arc::new(Self::over(self.slots.read().clone()))
    }

    /// A copy without the descriptors `first..=last`, for CLOSE_RANGE_UNSHARE.
    #[must_use]
    pub fn copy_without(&self, first: u32, last: u32) -> Arc<Self> {
        let mut slots = self.slots.read().clone();
        let gone = slots.take_range(first, last);
        let copy = Arc::new(Self::over(slots));
        drop(gone);
        copy
    }

    /// What owns the POSIX locks taken through this table.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The open file of a descriptor. EBADF if there is none or it was opened with O_PATH.
    pub fn get(&self, fd: i32) -> Result<Arc<File>> {
        let file = self.get_raw(fd)?;
        if file.is_path() { err(Errno::EBADF) } else { Ok(file) }
    }

    /// As [`Self::get`], O_PATH descriptors included.
    pub fn get_raw(&self, fd: i32) -> Result<Arc<File>> {
        match self.slots.read().slot(fd) {
            Some(slot) => Ok(Arc::clone(&slot.file)),
            None => err(Errno::EBADF),
        }
    }

    /// The open file, O_PATH included, and whether it is closed by execve(2).
    pub fn get_with_flags(&self, fd: i32) -> Result<(Arc<File>, bool)> {
        match self.slots.read().slot(fd) {
            Some(slot) => Ok((Arc::clone(&slot.file), slot.close_on_exec)),
            None => err(Errno::EBADF),
        }
    }

    /// Gives a file the lowest free descriptor. `limit` is RLIMIT_NOFILE; EMFILE at it.
    pub fn add(&self, file: Arc<File>, close_on_exec: bool, limit: u64) -> Result<i32> {
        self.add_from(0, file, close_on_exec, limit)
    }

    /// Gives a file the lowest free descriptor from `from` on (F_DUPFD); EINVAL if `from` is at the limit.
    pub fn add_from(&self, from: u32, file: Arc<File>, close_on_exec: bool, limit: u64) -> Result<i32> {
        if u64::from(from) >= limit && from > 0 {
            return err(Errno::EINVAL);
        }
        let mut slots = self.slots.write();
        let fd = slots.lowest_free(from as usize);
        if fd as u64 >= limit {
            return err(Errno::EMFILE);
        }
        slots.put(fd, Slot { file, close_on_exec });
        i32::try_from(fd).map_err(|_| Errno::EMFILE.into())
    }

    /// Gives files the lowest free descriptors, all or none (pipe2(2), socketpair(2)).
    pub fn add_pair(&self, files: [Arc<File>; 2], close_on_exec: bool, limit: u64) -> Result<[i32; 2]> {
        let mut slots = self.slots.write();
        let first = slots.lowest_free(0);
        let second = slots.lowest_free(first + 1);
        if second as u64 >= limit {
            return err(Errno::EMFILE);
        }
        let [a, b] = files;
        slots.put(first, Slot { file: a, close_on_exec });
        slots.put(second, Slot { file: b, close_on_exec });
        let number = |fd: usize| i32::try_from(fd).map_err(|_| Errno::EMFILE);
        Ok([number(first)?, number(second)?])
    }

    /// Puts a file at `fd` and returns what was there, which the caller closes with [`File::close`] (dup2(2)). EBADF
    /// beyond the limit.
    pub fn replace(&self, fd: i32, file: Arc<File>, close_on_exec: bool, limit: u64) -> Result<Option<Arc<File>>> {
        let at = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        if at as u64 >= limit {
            return err(Errno::EBADF);
        }
        let mut slots = self.slots.write();
        Ok(slots.put(at, Slot { file, close_on_exec }).map(|slot| slot.file))
    }

    /// Takes a descriptor out; the caller closes it with [`File::close`].
    pub fn remove(&self, fd: i32) -> Result<Arc<File>> {
        let at = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        match self.slots.write().take(at) {
            Some(slot) => Ok(slot.file),
            None => err(Errno::EBADF),
        }
    }

    /// Takes the descriptors `first..=last` out, for close_range(2) and exit.
    #[must_use]
    pub fn remove_range(&self, first: u32, last: u32) -> Vec<Arc<File>> {
        self.slots.write().take_range(first, last)
    }

    /// Takes out what execve(2) closes.
    #[must_use]
    pub fn remove_close_on_exec(&self) -> Vec<Arc<File>> {
        let mut slots = self.slots.write();
        let gone: Vec<usize> =
            (0..slots.files.len()).filter(|&fd| matches!(&slots.files[fd], Some(slot) if slot.close_on_exec)).collect();
        gone.into_iter().filter_map(|fd| slots.take(fd)).map(|slot| slot.file).collect()
    }

    /// Whether execve(2) closes the descriptor.
    pub fn close_on_exec(&self, fd: i32) -> Result<bool> {
        self.slots.read().slot(fd).map(|slot| slot.close_on_exec).ok_or_else(|| Errno::EBADF.into())
    }

    /// F_SETFD.
    pub fn set_close_on_exec(&self, fd: i32, close_on_exec: bool) -> Result<()> {
        let mut slots = self.slots.write();
        let slot = usize::try_from(fd).ok().and_then(|fd| slots.files.get_mut(fd)).and_then(Option::as_mut);
        match slot {
            Some(slot) => {
                slot.close_on_exec = close_on_exec;
                Ok(())
            }
            None => err(Errno::EBADF),
        }
    }

    /// CLOSE_RANGE_CLOEXEC.
    pub fn set_close_on_exec_range(&self, first: u32, last: u32) {
        let mut slots = self.slots.write();
        let end = slots.files.len().min((last as usize).saturating_add(1));
        if let Some(range) = slots.files.get_mut(first as usize..end) {
            range.iter_mut().flatten().for_each(|slot| slot.close_on_exec = true);
        }
    }

    /// Descriptors in use, in order, from `from` on (/proc/PID/fd).
    #[must_use]
    pub fn next_used(&self, from: u32) -> Option<u32> {
        let slots = self.slots.read();
        let rest = slots.files.get(from as usize..)?;
        let at = rest.iter().position(Option::is_some)?;
        u32::try_from(at).ok().map(|at| from + at)
    }

    /// How many descriptors the table has room for (FDSize of /proc/PID/status).
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.slots.read().files.len().next_multiple_of(64).max(64)
    }

    /// Whether the file is open in this table (epoll, unix sockets and F_DUPFD_QUERY ask).
    #[must_use]
    pub fn contains(&self, file: &Arc<File>) -> bool {
        self.slots.read().files.iter().flatten().any(|slot| Arc::ptr_eq(&slot.file, file))
    }
}

impl Drop for FdTable {
    /// The last task that used it is gone: what it locked by fcntl(2) is free.
    fn drop(&mut self) {
        let slots = std::mem::take(self.slots.get_mut());
        for slot in slots.files.into_iter().flatten() {
            let _ = slot.file.closed_in(self.id);
        }
    }
}

impl Slots {
    fn slot(&self, fd: i32) -> Option<&Slot> {
        self.files.get(usize::try_from(fd).ok()?)?.as_ref()
    }

    /// The lowest free descriptor from `from` on.
    fn lowest_free(&mut self, from: usize) -> usize {
        let mut word = (from / 64).max(self.hint);
        while let Some(&bits) = self.used.get(word) {
            // Below `from` everything counts as used.
            let below = if word == from / 64 { (1 << (from % 64)) - 1 } else { 0 };
            let free = !(bits | below);
            if free != 0 {
                if from == 0 {
                    self.hint = word;
                }
                return word * 64 + free.trailing_zeros() as usize;
            }
            word += 1;
        }
        if from == 0 {
            self.hint = word;
        }
        from.max(word * 64)
    }

    fn put(&mut self, fd: usize, slot: Slot) -> Option<Slot> {
        if fd >= self.files.len() {
            self.files.resize_with(fd + 1, || None);
            self.used.resize(fd / 64 + 1, 0);
        }
        self.used[fd / 64] |= 1 << (fd % 64);
        self.files[fd].replace(slot)
    }

    fn take(&mut self, fd: usize) -> Option<Slot> {
        let slot = self.files.get_mut(fd)?.take()?;
        self.used[fd / 64] &= !(1 << (fd % 64));
        self.hint = self.hint.min(fd / 64);
        Some(slot)
    }

    fn take_range(&mut self, first: u32, last: u32) -> Vec<Arc<File>> {
        let end = self.files.len().min((last as usize).saturating_add(1));
        (first as usize..end).filter_map(|fd| self.take(fd)).map(|slot| slot.file).collect()
    }
}

/// Whether a new descriptor is closed by execve(2).
#[must_use]
pub fn wants_close_on_exec(flags: OpenFlags) -> bool {
    flags.contains(OpenFlags::O_CLOEXEC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::file::tests::null_file;

    #[test]
    fn the_lowest_free_descriptor_is_given() {
        let table = FdTable::new();
        for expected in 0..200 {
            assert_eq!(table.add(null_file(), false, 1024).ok(), Some(expected));
        }
        for fd in [150, 3, 64] {
            assert!(table.remove(fd).is_ok());
        }
        let given: Vec<_> = (0..4).filter_map(|_| table.add(null_file(), false, 1024).ok()).collect();
        assert_eq!(given, [3, 64, 150, 200]);
        assert_eq!(table.add_from(500, null_file(), true, 1024).ok(), Some(500));
        assert_eq!(table.add_from(500, null_file(), true, 1024).ok(), Some(501));
        assert_eq!(table.add(null_file(), false, 1024).ok(), Some(201));
        assert_eq!(table.remove_close_on_exec().len(), 2);
        assert_eq!(table.add(null_file(), false, 202).unwrap_err().errno(), Errno::EMFILE);
        assert_eq!(table.remove(700).unwrap_err().errno(), Errno::EBADF);
        assert_eq!(table.remove(-1).unwrap_err().errno(), Errno::EBADF);
    }

    #[test]
    fn ranges_are_taken_out() {
        let table = FdTable::new();
        for _ in 0..10 {
            assert!(table.add(null_file(), false, 64).is_ok());
        }
        assert_eq!(table.remove_range(2, u32::MAX).len(), 8);
        assert_eq!(table.next_used(0), Some(0));
        assert_eq!(table.next_used(2), None);
        assert_eq!(table.copy_without(1, 1).next_used(1), None);
    }
}
