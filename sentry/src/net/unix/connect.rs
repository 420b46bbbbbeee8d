//! Making connections: listen, connect, accept.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use abi::Errno;
use abi::poll::{POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use abi::socket::AF_UNSPEC;
use sync::MutexGuard;

use super::{Listener, Peer, Role, State, UnixSocket, name};
use crate::error::{Result, err};
use crate::net::socket::{Connect, Kind, Socket};
use crate::task::CurrentTask;

/// The most a backlog holds (/proc/sys/net/core/somaxconn).
const SOMAXCONN: usize = 4096;

pub(super) fn listen(socket: &UnixSocket, task: &CurrentTask, backlog: i32) -> Result<()> {
    if socket.kind == Kind::Datagram {
        return err(Errno::EOPNOTSUPP);
    }
    // A negative backlog is a huge one.
    let limit = usize::try_from(backlog).unwrap_or(SOMAXCONN).min(SOMAXCONN);
    let mut state = socket.state.lock();
    if state.name.is_none() {
        return err(Errno::EINVAL);
    }
    match &mut state.role {
        Role::Fresh => {
            let credentials = name::credentials(task);
            state.role =
                Role::Listening(Listener { backlog: VecDeque::new(), limit, credentials, waiting: Vec::new() });
            Ok(())
        }
        Role::Listening(listener) => {
            listener.limit = limit;
            Ok(())
        }
        _ => err(Errno::EINVAL),
    }
}

pub(super) fn connect(socket: &UnixSocket, task: &CurrentTask, addr: &[u8]) -> Result<Connect> {
    if socket.kind == Kind::Datagram {
        return direct(socket, task, addr);
    }
    let target = name::find(task, addr, socket.kind)?;
    let credentials = name::credentials(task);
    if std::ptr::eq(socket, &raw const *target) {
        return err(match socket.state.lock().role {
            Role::Fresh => Errno::ECONNREFUSED,
            Role::Connected(_) => Errno::EISCONN,
            _ => Errno::EINVAL,
        });
    }
    let (mut state, mut target_state) = lock_both(socket, &target);
    match state.role {
        Role::Fresh => {}
        Role::Connected(_) => return err(Errno::EISCONN),
        _ => return err(Errno::EINVAL),
    }
    let target_name = target_state.name.as_ref().map(|name| name.bytes().to_vec());
    let Role::Listening(listener) = &mut target_state.role else { return err(Errno::ECONNREFUSED) };
    if target.inbox.refused() {
        return err(Errno::ECONNREFUSED);
    }
    if listener.backlog.len() > listener.limit {
        listener.waiting.retain(|other| other.strong_count() > 0 && other.as_ptr() != Arc::as_ptr(&socket.inbox));
        listener.waiting.push(Arc::downgrade(&socket.inbox));
        return err(Errno::EAGAIN);
    }
    let server = UnixSocket::new(socket.kind);
    server.inbox.set_peer(Arc::downgrade(&socket.inbox));
    socket.inbox.set_peer(Arc::downgrade(&server.inbox));
    {
        let mut server_state = server.state.lock_nested();
        server_state.role = Role::Connected(Peer {
            inbox: Arc::clone(&socket.inbox),
            socket: Weak::clone(&socket.this),
            name: state.name.as_ref().map(|name| name.bytes().to_vec()),
            credentials,
        });
        server_state.name = target_state.name.as_ref().map(name::Name::alias);
    }
    let Role::Listening(listener) = &mut target_state.role else { return err(Errno::ECONNREFUSED) };
    state.role = Role::Connected(Peer {
        inbox: Arc::clone(&server.inbox),
        socket: Arc::downgrade(&server),
        name: target_name,
        credentials: listener.credentials.clone(),
    });
    listener.backlog.push_back(server);
    drop((target_state, state));
    target.inbox.queue.notify(POLLIN | POLLRDNORM);
    socket.inbox.queue.notify(POLLOUT | POLLWRNORM);
    Ok(Connect::Done)
}

/// Locks two sockets, by address: each may be connecting to the other.
fn lock_both<'a>(a: &'a UnixSocket, b: &'a UnixSocket) -> (MutexGuard<'a, State>, MutexGuard<'a, State>) {
    if std::ptr::from_ref(a) < std::ptr::from_ref(b) {
        let a = a.state.lock();
        (a, b.state.lock_nested())
    } else {
        let b = b.state.lock();
        (a.state.lock_nested(), b)
    }
}

/// connect(2) of a datagram socket: sets, or with AF_UNSPEC forgets, the default destination.
fn direct(socket: &UnixSocket, task: &CurrentTask, addr: &[u8]) -> Result<Connect> {
    if addr.starts_with(&AF_UNSPEC.to_ne_bytes()) {
        socket.state.lock().role = Role::Fresh;
        return Ok(Connect::Done);
    }
    let target = name::find(task, addr, Kind::Datagram)?;
    socket.state.lock().role = Role::Directed(Arc::downgrade(&target));
    socket.inbox.queue.notify(POLLOUT | POLLWRNORM);
    Ok(Connect::Done)
}

pub(super) fn accept(socket: &UnixSocket) -> Result<Arc<dyn Socket>> {
    let mut state = socket.state.lock();
    let Role::Listening(listener) = &mut state.role else {
        return err(if socket.kind == Kind::Datagram { Errno::EOPNOTSUPP } else { Errno::EINVAL });
    };
    let Some(accepted) = listener.backlog.pop_front() else {
        return err(if socket.inbox.refused() { Errno::EINVAL } else { Errno::EAGAIN });
    };
    let waiting = std::mem::take(&mut listener.waiting);
    drop(state);
    for inbox in waiting.iter().filter_map(Weak::upgrade) {
        inbox.queue.notify(POLLOUT | POLLWRNORM);
    }
    Ok(accepted)
}
