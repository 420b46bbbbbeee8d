//! getsockopt(2), setsockopt(2).

use abi::capability::Cap;
use abi::socket::{
    AF_PACKET, PACKET_HDRLEN, SO_ACCEPTCONN, SO_DOMAIN, SO_GET_FILTER, SO_PROTOCOL, SO_TYPE, SOL_PACKET, SOL_SOCKET,
};
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::net::{filter, packet};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use super::lookup;
use crate::arg::Fd;

/// The most that an option's value takes.
const MAX_VALUE: usize = 65536;

/// getsockopt(2): the value is cut to the room there is.
pub(crate) fn getsockopt(
    task: &mut CurrentTask,
    fd: Fd,
    level: i32,
    name: i32,
    value: UserAddr,
    len: UserPtr<i32>,
) -> Result<()> {
    let (_, socket) = lookup(task, fd)?;
    let Ok(room) = usize::try_from(task.mm().read(len)?) else { return err(Errno::EINVAL) };
    if (level, name) == (SOL_SOCKET, SO_GET_FILTER) && socket.takes_filters() {
        let instructions = filter::get(task, socket.options().filter(), value, room)?;
        return task.mm().write(len, &i32::try_from(instructions).unwrap_or(i32::MAX));
    }
    let bytes = match (level, name) {
        // Asks about the version that stands where the answer goes.
        (SOL_PACKET, PACKET_HDRLEN) if socket.family() == AF_PACKET => {
            packet::header_len(task.mm().read(UserPtr::new(value))?)?.to_ne_bytes().to_vec()
        }
        (SOL_SOCKET, SO_TYPE) => socket.kind().raw().to_ne_bytes().to_vec(),
        (SOL_SOCKET, SO_DOMAIN) => i32::from(socket.family()).to_ne_bytes().to_vec(),
        (SOL_SOCKET, SO_PROTOCOL) => socket.protocol().to_ne_bytes().to_vec(),
        (SOL_SOCKET, SO_ACCEPTCONN) => i32::from(socket.is_listening()).to_ne_bytes().to_vec(),
        (SOL_SOCKET, _) => match socket.options().get(name).filter(|_| socket.has_option(name)) {
            Some(bytes) => bytes,
            None => socket.getsockopt(task, level, name, room)?,
        },
        _ => socket.getsockopt(task, level, name, room)?,
    };
    let n = bytes.len().min(room);
    task.mm().write_bytes(value, &bytes[..n])?;
    task.mm().write(len, &i32::try_from(n).unwrap_or(i32::MAX))
}

/// setsockopt(2).
pub(crate) fn setsockopt(
    task: &mut CurrentTask,
    fd: Fd,
    level: i32,
    name: i32,
    value: UserAddr,
    len: i32,
) -> Result<()> {
    let (_, socket) = lookup(task, fd)?;
    let len = match usize::try_from(len) {
        Ok(len) => len.min(MAX_VALUE),
        Err(_) => return err(Errno::EINVAL),
    };
    let mut bytes = vec![0; len];
    task.mm().read_bytes(value, &mut bytes)?;
    if level == SOL_SOCKET && filter::is_option(name) && socket.takes_filters() {
        return filter::set(task, socket.options().filter(), name, &bytes);
    }
    let ours = level == SOL_SOCKET && socket.has_option(name);
    if ours && socket.options().set(name, &bytes, task.creds().has(Cap::CAP_NET_ADMIN))? {
        socket.options_changed();
        return Ok(());
    }
    socket.setsockopt(task, level, name, &bytes)
}
