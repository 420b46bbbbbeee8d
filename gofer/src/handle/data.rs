//! Contents: `Tread`, `Twrite`, `Tfsync`, `Tallocate`.

use abi::Errno;
use host::path::errno;
use ninep::Blob;
use ninep::flags::AllocateMode;
use ninep::message::{Rallocate, Rfsync, Rread, Rwrite, Tallocate, Tfsync, Tread, Twrite};
use nix::fcntl::{FallocateFlags, OFlag, fallocate};
use nix::sys::uio::{pread, pwrite};
use nix::unistd::{fdatasync, fsync};

use crate::fids::Open;
use crate::reply::Reply;
use crate::session::Session;

impl Session<'_> {
    pub(crate) fn read(&mut self, ask: &Tread, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let count = usize::try_from(ask.count).unwrap_or(usize::MAX).min(reply.room(4));
        let state = self.fids.get(ask.fid)?;
        if let Open::XattrValue(value) = &state.open {
            let from = usize::try_from(ask.offset).unwrap_or(usize::MAX).min(value.len());
            let rest = value.get(from..).unwrap_or_default();
            return reply.send(&Rread { data: Blob(rest.get(..count).unwrap_or(rest)) });
        }
        let file = state.file()?;
        let offset = i64::try_from(ask.offset).map_err(|_| Errno::EINVAL)?;
        if self.scratch.len() < count {
            self.scratch.resize(count, 0);
        }
        let buffer = self.scratch.get_mut(..count).unwrap_or_default();
        let n = pread(file, buffer, offset).map_err(errno)?;
        reply.send(&Rread { data: Blob(buffer.get(..n).unwrap_or_default()) })
    }

    pub(crate) fn write(&mut self, ask: &Twrite<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let state = self.fids.get_mut(ask.fid)?;
        let n = if let Open::XattrWrite(write) = &mut state.open {
            let end = write.value.len().saturating_add(ask.data.0.len());
            if usize::try_from(ask.offset) != Ok(write.value.len()) || end > write.size {
                return Err(Errno::EINVAL);
            }
            write.value.extend_from_slice(ask.data.0);
            ask.data.0.len()
        } else {
            let offset = i64::try_from(ask.offset).map_err(|_| Errno::EINVAL)?;
            pwrite(state.file()?, ask.data.0, offset).map_err(errno)?
        };
        reply.send(&Rwrite { count: u32::try_from(n).map_err(|_| Errno::EIO)? })
    }

    /// A fid need not be open to be synced.
    pub(crate) fn fsync(&mut self, ask: &Tfsync, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let state = self.fids.get(ask.fid)?;
        let reopened;
        let fd = match &state.open {
            Open::File(fd) => fd,
            Open::Dir(stream) => stream.fd(),
            _ => {
                reopened = self.reopen(&state.node, OFlag::O_RDONLY)?;
                &reopened
            }
        };
        if ask.datasync.0 == 0 { fsync(fd) } else { fdatasync(fd) }.map_err(errno)?;
        reply.send(&Rfsync {})
    }

    pub(crate) fn allocate(&mut self, ask: &Tallocate, reply: &mut Reply<'_>) -> Result<(), Errno> {
        self.writable()?;
        let node = &self.fids.get(ask.fid)?.node;
        let known = AllocateMode::KEEP_SIZE
            | AllocateMode::PUNCH_HOLE
            | AllocateMode::COLLAPSE_RANGE
            | AllocateMode::ZERO_RANGE
            | AllocateMode::INSERT_RANGE;
        let bits = i32::try_from(ask.mode.bits()).ok().filter(|_| known.contains(ask.mode)).ok_or(Errno::EOPNOTSUPP)?;
        let (offset, length) = (i64::try_from(ask.offset), i64::try_from(ask.length));
        let (Ok(offset), Ok(length)) = (offset, length) else { return Err(Errno::EFBIG) };
        let file = self.open_file(node, ninep::flags::OpenFlags::READ_WRITE)?;
        fallocate(&file, FallocateFlags::from_bits_truncate(bits), offset, length).map_err(errno)?;
        reply.send(&Rallocate {})
    }
}
