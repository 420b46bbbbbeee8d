//! Control messages, cmsg(3): files and credentials.

use std::sync::Arc;

use abi::capability::Cap;
use abi::socket::{
    CMSG_HDR_LEN, Cmsghdr, MsgFlags, SCM_CREDENTIALS, SCM_MAX_FD, SCM_RIGHTS, SOL_SOCKET, Ucred, cmsg_align, cmsg_len,
};
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::fs::uring::Ring;
use sentry::net::message::{Ancillary, PeerCred, Received, controls};
use sentry::net::unix::name::ucred_bytes;
use sentry::task::CurrentTask;
use zerocopy::{FromBytes, IntoBytes};

use crate::fd::install;

/// The most control data a message may carry (net.core.optmem_max).
const MAX_CONTROL: usize = 131_072;

/// Reads the control messages of a send.
pub(super) fn load(task: &CurrentTask, addr: UserAddr, len: u64) -> Result<Ancillary> {
    let mut ancillary = Ancillary::default();
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len == 0 || addr.is_null() {
        return Ok(ancillary);
    }
    if len > MAX_CONTROL {
        return err(Errno::ENOBUFS);
    }
    let mut bytes = vec![0; len];
    task.mm().read_bytes(addr, &mut bytes)?;
    for message in controls(&bytes) {
        let (level, kind, data) = message?;
        if level != SOL_SOCKET {
            ancillary.control.push((level, kind, data.to_vec()));
            continue;
        }
        match kind {
            SCM_RIGHTS => take_files(task, data, &mut ancillary)?,
            SCM_CREDENTIALS => ancillary.credentials = Some(credentials(task, data)?),
            _ => return err(Errno::EINVAL),
        }
    }
    Ok(ancillary)
}

fn take_files(task: &CurrentTask, data: &[u8], ancillary: &mut Ancillary) -> Result<()> {
    if !data.len().is_multiple_of(4) {
        return err(Errno::EINVAL);
    }
    for word in data.chunks_exact(4) {
        let fd = word.first_chunk().map_or(-1, |b| i32::from_ne_bytes(*b));
        if ancillary.files.len() == SCM_MAX_FD {
            return err(Errno::EINVAL);
        }
        let file = task.files().get_raw(fd)?;
        // A ring that knows the socket it travels through would keep itself alive.
        if Ring::of(&file).is_ok() {
            return err(Errno::EINVAL);
        }
        ancillary.files.push(task, file)?;
    }
    Ok(())
}

/// SCM_CREDENTIALS: one's own, or any with CAP_SYS_ADMIN (pid), CAP_SETUID, CAP_SETGID.
fn credentials(task: &CurrentTask, data: &[u8]) -> Result<PeerCred> {
    let ucred = Ucred::read_from_bytes(data).map_err(|_| Errno::EINVAL)?;
    let creds = task.creds();
    let uid_fine = [creds.uid, creds.euid, creds.suid].contains(&ucred.uid) || creds.has(Cap::CAP_SETUID);
    let gid_fine = [creds.gid, creds.egid, creds.sgid].contains(&ucred.gid) || creds.has(Cap::CAP_SETGID);
    let pid = if ucred.pid == task.group().tgid() {
        Arc::clone(task.group().pid())
    } else if creds.has(Cap::CAP_SYS_ADMIN) {
        task.pid_ns().pid(ucred.pid).ok_or(Errno::ESRCH)?
    } else {
        return err(Errno::EPERM);
    };
    if uid_fine && gid_fine { Ok(PeerCred { pid, uid: ucred.uid, gid: ucred.gid }) } else { err(Errno::EPERM) }
}

/// Writes the control messages of a receive into `room` bytes at `addr`; returns how many bytes were used and MSG_CTRUNC if
/// something did not fit. Files that do not fit are closed.
pub(super) fn store(
    task: &CurrentTask,
    addr: UserAddr,
    room: u64,
    received: Received,
    flags: MsgFlags,
) -> Result<(u64, MsgFlags)> {
    let room = if addr.is_null() { 0 } else { usize::try_from(room).unwrap_or(usize::MAX).min(MAX_CONTROL) };
    let mut writer = Writer { task, addr, room, used: 0, truncated: false };
    if let Some(credentials) = &received.ancillary.credentials {
        writer.put(SOL_SOCKET, SCM_CREDENTIALS, &ucred_bytes(task, Some(credentials)))?;
    }
    for (level, kind, data) in &received.control {
        writer.put(*level, *kind, data)?;
    }
    if received.ancillary.has_files() {
        let fits = writer.room_for_data() / 4;
        writer.truncated |= received.ancillary.files.len() > fits;
        let mut numbers = Vec::new();
        for file in received.ancillary.files.arrive(fits) {
            match install(task, file, flags.contains(MsgFlags::MSG_CMSG_CLOEXEC)) {
                Ok(fd) => numbers.extend(fd.0.to_ne_bytes()),
                Err(_) => {
                    writer.truncated = true;
                    break;
                }
            }
        }
        if numbers.is_empty() {
            writer.truncated = true;
        } else {
            writer.put(SOL_SOCKET, SCM_RIGHTS, &numbers)?;
        }
    }
    let truncated = if writer.truncated { MsgFlags::MSG_CTRUNC } else { MsgFlags::empty() };
    Ok((u64::try_from(writer.used).unwrap_or(0), truncated))
}

/// Appends control messages to a buffer of the application.
struct Writer<'a> {
    task: &'a CurrentTask,
    addr: UserAddr,
    room: usize,
    used: usize,
    truncated: bool,
}

impl Writer<'_> {
    fn room_for_data(&self) -> usize {
        self.room.saturating_sub(self.used).saturating_sub(CMSG_HDR_LEN)
    }

    /// Writes one message, cut to what fits.
    fn put(&mut self, level: i32, kind: i32, data: &[u8]) -> Result<()> {
        if self.room.saturating_sub(self.used) < CMSG_HDR_LEN {
            self.truncated = true;
            return Ok(());
        }
        self.truncated |= data.len() > self.room_for_data();
        let data = &data[..data.len().min(self.room_for_data())];
        let header = Cmsghdr { cmsg_len: cmsg_len(data.len()) as u64, cmsg_level: level, cmsg_type: kind };
        let at = self.addr.checked_add(self.used as u64)?;
        self.task.mm().write_bytes(at, header.as_bytes())?;
        self.task.mm().write_bytes(at.checked_add(CMSG_HDR_LEN as u64)?, data)?;
        self.used = (self.used + cmsg_align(cmsg_len(data.len()))).min(self.room);
        Ok(())
    }
}
