//! Extended attributes.

use std::sync::Arc;

use abi::Errno;

use super::{Client, FidHandle, Result};
use crate::message::{Tclunk, Tgetxattr, Tlistxattr, Tremovexattr, Tsetxattr, Twrite, Txattrcreate, Txattrwalk};
use crate::wire::{Blob, Str};

/// The largest value, XATTR_SIZE_MAX; also of the list of names.
const XATTR_SIZE_MAX: u64 = 65536;

/// `XATTR_REPLACE` of setxattr(2).
const XATTR_REPLACE: u32 = 2;

impl Client {
    /// getxattr(2), the whole value.
    pub fn get_xattr(self: &Arc<Self>, file: &FidHandle, name: &[u8]) -> Result<Vec<u8>> {
        if self.extended() {
            return self.call(&Tgetxattr { fid: file.fid(), name: Str(name) }, |r, _| r.value.0.to_vec());
        }
        self.read_xattr(file, name)
    }

    /// listxattr(2): names, each followed by a NUL.
    pub fn list_xattr(self: &Arc<Self>, file: &FidHandle) -> Result<Vec<u8>> {
        if self.extended() {
            return self.call(&Tlistxattr { fid: file.fid() }, |r, _| r.names.0.to_vec());
        }
        self.read_xattr(file, b"")
    }

    fn read_xattr(self: &Arc<Self>, file: &FidHandle, name: &[u8]) -> Result<Vec<u8>> {
        let open = FidHandle::new(self)?;
        let size = self.call(&Txattrwalk { fid: file.fid(), newfid: open.fid(), name: Str(name) }, |r, _| r.size)?;
        let size = usize::try_from(size.min(XATTR_SIZE_MAX)).map_err(|_| Errno::ERANGE)?;
        let mut value = vec![0; size];
        let got = self.read(&open, &mut value, 0)?;
        value.truncate(got);
        Ok(value)
    }

    /// setxattr(2).
    pub fn set_xattr(self: &Arc<Self>, file: &FidHandle, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        if self.extended() {
            let ask = Tsetxattr { fid: file.fid(), name: Str(name), value: Blob(value), flags };
            return self.call(&ask, |_, _| ());
        }
        self.write_xattr(file, name, value, flags)
    }

    /// removexattr(2).
    pub fn remove_xattr(self: &Arc<Self>, file: &FidHandle, name: &[u8]) -> Result<()> {
        if self.extended() {
            return self.call(&Tremovexattr { fid: file.fid(), name: Str(name) }, |_, _| ());
        }
        // As Linux's own client has it: an empty value that replaces means removal.
        self.write_xattr(file, name, b"", XATTR_REPLACE)
    }

    fn write_xattr(self: &Arc<Self>, file: &FidHandle, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        let open = FidHandle::new(self)?;
        self.walk_to(file, &[], &open)?;
        let size = u64::try_from(value.len()).map_err(|_| Errno::E2BIG)?;
        self.call(&Txattrcreate { fid: open.fid(), name: Str(name), size, flags }, |_, _| ())?;
        let mut done = 0;
        while let Some(rest) = value.get(done..).filter(|rest| !rest.is_empty()) {
            let chunk = rest.get(..self.max_data()).unwrap_or(rest);
            let offset = u64::try_from(done).map_err(|_| Errno::E2BIG)?;
            let n = self.call(&Twrite { fid: open.fid(), offset, data: Blob(chunk) }, |r, _| r.count)?;
            match usize::try_from(n).ok().filter(|n| (1..=chunk.len()).contains(n)) {
                Some(n) => done += n,
                None => return Err(Errno::EIO.into()),
            }
        }
        // The value is set, or refused, when the fid is forgotten; the queued Tclunk then finds no fid.
        self.call(&Tclunk { fid: open.fid() }, |_, _| ())
    }
}
