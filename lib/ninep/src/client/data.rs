//! Contents of regular files.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use abi::Errno;

use super::{Client, Entry, FidHandle, Result};
use crate::flags::{AllocateMode, OpenFlags};
use crate::message::{Tallocate, Tdonate, Tfsync, Tlopen, Tread, Twrite};
use crate::name::Name;
use crate::wire::{Blob, OrZero};

/// A file opened for input and output.
#[derive(Debug)]
pub enum OpenFile {
    /// The host's own descriptor: no further message is needed.
    Host(OwnedFd),
    /// A fid to read and write through.
    Remote(FidHandle),
}

impl Client {
    /// Opens a regular file. `file` itself stays as it is.
    pub fn open(self: &Arc<Self>, file: &FidHandle, flags: OpenFlags) -> Result<OpenFile> {
        if self.extended() {
            let fd = self.call(&Tdonate { fid: file.fid(), flags }, |_, fd| fd)?;
            return Ok(OpenFile::Host(fd.ok_or(Errno::EIO)?));
        }
        let open = FidHandle::new(self)?;
        self.walk_to(file, &[], &open)?;
        self.lopen(&open, flags)?;
        Ok(OpenFile::Remote(open))
    }

    /// The regular file called `name` in `dir`, opened. In the extended dialect that is one round trip. The inner result is
    /// that of opening.
    pub fn lookup_and_open(
        self: &Arc<Self>,
        dir: &FidHandle,
        name: Name<'_>,
        flags: OpenFlags,
    ) -> Result<(Entry, Result<OpenFile>)> {
        if !self.extended() {
            let entry = self.lookup(dir, name)?;
            let opened = self.open(&entry.fid, flags);
            return Ok((entry, opened));
        }
        let (entry, donated) = self.lookup_and(dir, name, |fid| Tdonate { fid, flags }, |_, fd| fd)?;
        let opened = donated.and_then(|fd| Ok(OpenFile::Host(fd.ok_or(Errno::EIO)?)));
        Ok((entry, opened))
    }

    pub(super) fn lopen(&self, fid: &FidHandle, flags: OpenFlags) -> Result<()> {
        self.call(&Tlopen { fid: fid.fid(), flags }, |_, _| ())
    }

    /// Reads from an open fid, pread(2): fewer bytes only at the end of the file.
    pub fn read(&self, open: &FidHandle, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.checked_add(u64::try_from(done).map_err(|_| Errno::EINVAL)?).ok_or(Errno::EINVAL)?;
            let want = rest.len().min(self.max_data());
            let ask = Tread { fid: open.fid(), offset: at, count: u32::try_from(want).map_err(|_| Errno::EINVAL)? };
            let got = self.call(&ask, |r, _| {
                let Some(to) = rest.get_mut(..r.data.0.len()).filter(|to| to.len() <= want) else {
                    return Err(Errno::EIO);
                };
                to.copy_from_slice(r.data.0);
                Ok(to.len())
            })??;
            done += got;
            if got == 0 {
                break;
            }
        }
        Ok(done)
    }

    /// Writes to an open fid, pwrite(2).
    pub fn write(&self, open: &FidHandle, data: &[u8], offset: u64) -> Result<usize> {
        let mut done = 0;
        while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.checked_add(u64::try_from(done).map_err(|_| Errno::EINVAL)?).ok_or(Errno::EINVAL)?;
            let chunk = rest.get(..self.max_data()).unwrap_or(rest);
            match self.call(&Twrite { fid: open.fid(), offset: at, data: Blob(chunk) }, |r, _| r.count) {
                Ok(count) => match usize::try_from(count).ok().filter(|n| (1..=chunk.len()).contains(n)) {
                    Some(n) => done += n,
                    None => break,
                },
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Flushes an open file.
    pub fn fsync(&self, open: &FidHandle, data_only: bool) -> Result<()> {
        self.call(&Tfsync { fid: open.fid(), datasync: OrZero(data_only.into()) }, |_, _| ())
    }

    /// Allocates or frees space; EOPNOTSUPP from the plain dialect.
    pub fn allocate(&self, file: &FidHandle, mode: AllocateMode, offset: u64, length: u64) -> Result<()> {
        if !self.extended() {
            return Err(Errno::EOPNOTSUPP.into());
        }
        self.call(&Tallocate { fid: file.fid(), mode, offset, length }, |_, _| ())
    }
}
