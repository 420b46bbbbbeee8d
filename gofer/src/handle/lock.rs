//! Record locks of clients of the plain dialect: `Tlock`, `Tgetlock`. (The sentry keeps its locks to itself.)
//!
//! A lock belongs to the open fid, as an open file description lock of the host.

use abi::Errno;
use host::path::errno;
use ninep::message::{Rgetlock, Rlock, Tgetlock, Tlock};
use nix::fcntl::{FcntlArg, fcntl};

use crate::reply::Reply;
use crate::session::Session;

/// Kinds of locks on the wire.
const READ: u8 = 0;
const WRITE: u8 = 1;
const UNLOCK: u8 = 2;

/// Outcomes of `Tlock`.
const SUCCESS: u8 = 0;
const BLOCKED: u8 = 1;

impl Session<'_> {
    /// Never waits: a client that wants to wait is told that the lock is taken, and asks again.
    pub(crate) fn lock(&mut self, ask: &Tlock<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let lock = flock(ask.kind, ask.start, ask.length)?;
        let status = match fcntl(self.fids.get(ask.fid)?.file()?, FcntlArg::F_OFD_SETLK(&lock)).map_err(errno) {
            Ok(_) => SUCCESS,
            Err(Errno::EAGAIN | Errno::EACCES) => BLOCKED,
            Err(errno) => return Err(errno),
        };
        reply.send(&Rlock { status })
    }

    pub(crate) fn getlock(&mut self, ask: &Tgetlock<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let mut lock = flock(ask.kind, ask.start, ask.length)?;
        fcntl(self.fids.get(ask.fid)?.file()?, FcntlArg::F_OFD_GETLK(&mut lock)).map_err(errno)?;
        let kind = match i32::from(lock.l_type) {
            libc::F_RDLCK => READ,
            libc::F_WRLCK => WRITE,
            _ => UNLOCK,
        };
        let (start, length) = (u64::try_from(lock.l_start), u64::try_from(lock.l_len));
        let (Ok(start), Ok(length)) = (start, length) else { return Err(Errno::EOVERFLOW) };
        reply.send(&Rgetlock { kind, start, length, proc_id: ask.proc_id, client_id: ask.client_id })
    }
}

fn flock(kind: u8, start: u64, length: u64) -> Result<libc::flock, Errno> {
    let kind = match kind {
        READ => libc::F_RDLCK,
        WRITE => libc::F_WRLCK,
        UNLOCK => libc::F_UNLCK,
        _ => return Err(Errno::EINVAL),
    };
    let small = |n: i32| i16::try_from(n).map_err(|_| Errno::EINVAL);
    Ok(libc::flock {
        l_type: small(kind)?,
        l_whence: small(libc::SEEK_SET)?,
        l_start: i64::try_from(start).map_err(|_| Errno::EINVAL)?,
        l_len: i64::try_from(length).map_err(|_| Errno::EINVAL)?,
        // Must be zero for locks of open file descriptions.
        l_pid: 0,
    })
}
