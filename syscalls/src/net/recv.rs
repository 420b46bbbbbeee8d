//! recvfrom(2), recvmsg(2), recvmmsg(2).

use std::sync::Arc;
use std::time::Instant;

use abi::poll::POLLIN;
use abi::socket::{Mmsghdr, MsgFlags, Msghdr};
use abi::time::Timespec;
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::io::IoDst;
use sentry::net::Kind;
use sentry::net::message::{Received, RecvMsg};
use sentry::task::CurrentTask;
use sentry::user::{UserPtr, UserSlice};
use sentry::vfs::File;

use super::send::MAX_MESSAGES;
use super::{address, control, lookup, wait};
use crate::arg::Fd;
use crate::deadline;
use crate::file::iovec;

/// recvfrom(2).
pub(crate) fn recvfrom(
    task: &mut CurrentTask,
    fd: Fd,
    buf: UserAddr,
    len: usize,
    flags: MsgFlags,
    addr: UserAddr,
    addr_len: UserPtr<i32>,
) -> Result<usize> {
    let (file, _) = lookup(task, fd)?;
    let received = recv(task, &file, &[UserSlice::new(buf, len)], flags, false)?;
    if !addr.is_null() {
        address::store(task, addr, addr_len, received.from.as_deref().unwrap_or_default())?;
    }
    Ok(received.len)
}

/// recvmsg(2).
pub(crate) fn recvmsg(task: &mut CurrentTask, fd: Fd, msg: UserPtr<Msghdr>, flags: MsgFlags) -> Result<usize> {
    let (file, _) = lookup(task, fd)?;
    message_on(task, &file, msg, flags)
}

/// Receives bytes, from whomever.
pub(crate) fn bytes_on(task: &CurrentTask, file: &Arc<File>, to: UserSlice, flags: MsgFlags) -> Result<usize> {
    recv(task, file, &[to], flags, false).map(|received| received.len)
}

/// Receives a message.
pub(crate) fn message_on(task: &CurrentTask, file: &Arc<File>, msg: UserPtr<Msghdr>, flags: MsgFlags) -> Result<usize> {
    let mut header = task.mm().read(msg)?;
    let n = recv_header(task, file, &mut header, flags)?;
    task.mm().write(msg, &header)?;
    Ok(n)
}

/// recvmmsg(2): the timeout is looked at between messages, as on Linux.
pub(crate) fn recvmmsg(
    task: &mut CurrentTask,
    fd: Fd,
    msgs: UserPtr<Mmsghdr>,
    count: u32,
    flags: MsgFlags,
    timeout: UserPtr<Timespec>,
) -> Result<usize> {
    let deadline = deadline::relative(task, timeout)?;
    let (file, _) = lookup(task, fd)?;
    let mut flags = flags;
    let mut received = 0;
    while received < usize::try_from(count.min(MAX_MESSAGES)).unwrap_or(0) {
        let one = (|| {
            let at = msgs.at(received)?;
            let mut entry = task.mm().read(at)?;
            let n = recv_header(task, &file, &mut entry.msg_hdr, flags - MsgFlags::MSG_WAITFORONE)?;
            entry.msg_len = u32::try_from(n).unwrap_or(u32::MAX);
            task.mm().write(at, &entry)
        })();
        match one {
            Ok(()) => received += 1,
            Err(e) if received == 0 => return Err(e),
            Err(_) => break,
        }
        if flags.contains(MsgFlags::MSG_WAITFORONE) {
            flags |= MsgFlags::MSG_DONTWAIT;
        }
        if deadline.is_some_and(|at| at <= Instant::now()) {
            break;
        }
    }
    Ok(received)
}

fn recv_header(task: &CurrentTask, file: &Arc<File>, header: &mut Msghdr, flags: MsgFlags) -> Result<usize> {
    let count = usize::try_from(header.msg_iovlen).unwrap_or(usize::MAX);
    if count > abi::uio::UIO_MAXIOV {
        return err(Errno::EMSGSIZE);
    }
    let Ok(name_room) = usize::try_from(header.msg_namelen) else { return err(Errno::EINVAL) };
    let slices = iovec::read(task, UserPtr::new(UserAddr(header.msg_iov)), count)?;
    let received = recv(task, file, &slices, flags, true)?;
    let (len, mut out) = (received.len, received.flags);
    if header.msg_name != 0 {
        let from = received.from.as_deref().unwrap_or_default();
        task.mm().write_bytes(UserAddr(header.msg_name), &from[..from.len().min(name_room)])?;
        header.msg_namelen = i32::try_from(from.len()).unwrap_or(0);
    }
    let (used, truncated) = control::store(task, UserAddr(header.msg_control), header.msg_controllen, received, flags)?;
    header.msg_controllen = used;
    out |= truncated;
    header.msg_flags = (out | (flags & MsgFlags::MSG_CMSG_CLOEXEC)).bits();
    Ok(len)
}

fn recv(
    task: &CurrentTask,
    file: &Arc<File>,
    slices: &[UserSlice],
    flags: MsgFlags,
    wants_ancillary: bool,
) -> Result<Received> {
    let socket = super::of(file)?;
    let mut dst = IoDst::user(task.mm(), slices);
    if flags.contains(MsgFlags::MSG_ERRQUEUE) {
        return socket.recv_error(&mut RecvMsg { dst: &mut dst, flags, wants_ancillary });
    }
    let waits = !file.nonblocking() && !flags.contains(MsgFlags::MSG_DONTWAIT);
    let seen = if waits { flags } else { flags | MsgFlags::MSG_DONTWAIT };
    let mut message = RecvMsg { dst: &mut dst, flags: seen, wants_ancillary };
    let timeout = socket.options().receive_timeout();
    let all =
        flags.contains(MsgFlags::MSG_WAITALL) && !flags.contains(MsgFlags::MSG_PEEK) && socket.kind() == Kind::Stream;
    let mut total = wait(task, file, &*socket, POLLIN, flags, timeout, || socket.recv(task, &mut message))?;
    // MSG_WAITALL: until the buffer is full, the stream ends, files come or something goes wrong.
    while all && message.dst.remaining() > 0 && total.len > 0 && !total.ancillary.has_files() {
        match wait(task, file, &*socket, POLLIN, flags, timeout, || socket.recv(task, &mut message)) {
            Ok(more) if more.len > 0 => {
                total.len += more.len;
                total.ancillary.files.append(more.ancillary.files);
            }
            _ => break,
        }
    }
    Ok(total)
}
