//! sendto(2), sendmsg(2), sendmmsg(2).

use std::sync::Arc;

use abi::poll::POLLOUT;
use abi::socket::{Mmsghdr, MsgFlags, Msghdr};
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::io::IoSrc;
use sentry::net::message::{Ancillary, SendMsg};
use sentry::net::{Kind, SocketFile};
use sentry::task::CurrentTask;
use sentry::user::{UserPtr, UserSlice};
use sentry::vfs::File;

use super::{address, control, lookup, wait};
use crate::arg::Fd;
use crate::file::iovec;

/// How many messages one sendmmsg or recvmmsg handles (UIO_MAXIOV).
pub(super) const MAX_MESSAGES: u32 = 1024;

/// sendto(2).
pub(crate) fn sendto(
    task: &mut CurrentTask,
    fd: Fd,
    buf: UserAddr,
    len: usize,
    flags: MsgFlags,
    addr: UserAddr,
    addr_len: i32,
) -> Result<usize> {
    let (file, _) = lookup(task, fd)?;
    bytes_on(task, &file, UserSlice::new(buf, len), (!addr.is_null()).then_some((addr, addr_len)), flags)
}

/// Sends bytes, to an address if one is given.
pub(crate) fn bytes_on(
    task: &CurrentTask,
    file: &Arc<File>,
    bytes: UserSlice,
    to: Option<(UserAddr, i32)>,
    flags: MsgFlags,
) -> Result<usize> {
    let to = to.map(|(addr, len)| address::load(task, addr, len)).transpose()?;
    send(task, file, &[bytes], to.as_deref(), Ancillary::default(), flags)
}

/// sendmsg(2).
pub(crate) fn sendmsg(task: &mut CurrentTask, fd: Fd, msg: UserPtr<Msghdr>, flags: MsgFlags) -> Result<usize> {
    let (file, _) = lookup(task, fd)?;
    message_on(task, &file, msg, flags)
}

/// Sends a message.
pub(crate) fn message_on(task: &CurrentTask, file: &Arc<File>, msg: UserPtr<Msghdr>, flags: MsgFlags) -> Result<usize> {
    let header = task.mm().read(msg)?;
    send_header(task, file, &header, flags)
}

/// sendmmsg(2): an error after the first message is reported by the next call.
pub(crate) fn sendmmsg(
    task: &mut CurrentTask,
    fd: Fd,
    msgs: UserPtr<Mmsghdr>,
    count: u32,
    flags: MsgFlags,
) -> Result<usize> {
    let (file, _) = lookup(task, fd)?;
    let mut sent = 0;
    while sent < usize::try_from(count.min(MAX_MESSAGES)).unwrap_or(0) {
        let one = (|| {
            let at = msgs.at(sent)?;
            let mut entry = task.mm().read(at)?;
            let n = send_header(task, &file, &entry.msg_hdr, flags)?;
            entry.msg_len = u32::try_from(n).unwrap_or(u32::MAX);
            task.mm().write(at, &entry)
        })();
        match one {
            Ok(()) => sent += 1,
            Err(e) if sent == 0 => return Err(e),
            Err(_) => break,
        }
    }
    Ok(sent)
}

fn send_header(task: &CurrentTask, file: &Arc<File>, header: &Msghdr, flags: MsgFlags) -> Result<usize> {
    let to = match header.msg_name {
        0 => None,
        _ if header.msg_namelen == 0 => None,
        name => Some(address::load(task, UserAddr(name), header.msg_namelen)?),
    };
    let count = usize::try_from(header.msg_iovlen).unwrap_or(usize::MAX);
    if count > abi::uio::UIO_MAXIOV {
        return err(Errno::EMSGSIZE);
    }
    let slices = iovec::read(task, UserPtr::new(UserAddr(header.msg_iov)), count)?;
    let ancillary = control::load(task, UserAddr(header.msg_control), header.msg_controllen)?;
    send(task, file, &slices, to.as_deref(), ancillary, flags)
}

fn send(
    task: &CurrentTask,
    file: &Arc<File>,
    slices: &[UserSlice],
    to: Option<&[u8]>,
    ancillary: Ancillary,
    flags: MsgFlags,
) -> Result<usize> {
    let socket = super::of(file)?;
    let Some(ops) = file.ops_as::<SocketFile>() else { return err(Errno::ENOTSOCK) };
    let mut src = IoSrc::user(task.mm(), slices);
    let blocking = !file.nonblocking() && !flags.contains(MsgFlags::MSG_DONTWAIT);
    let mut message = SendMsg { src: &mut src, to, ancillary, flags, blocking };
    let stream = socket.kind() == Kind::Stream;
    let mut sent = 0;
    loop {
        let step = wait(task, file, &*socket, POLLOUT, flags, socket.options().send_timeout(), || {
            ops.send(task, &mut message)
        });
        match step {
            Ok(n) => sent += n,
            Err(_) if sent > 0 => return Ok(sent),
            Err(e) => return Err(e),
        }
        // A blocking send on a stream takes everything.
        if !stream || !blocking || message.src.remaining() == 0 {
            return Ok(sent);
        }
    }
}
