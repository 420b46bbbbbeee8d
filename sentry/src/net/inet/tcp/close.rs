//! Ending: shutdown(2), close(2), and connect(2) with AF_UNSPEC.

use std::sync::Arc;

use abi::Errno;
use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM};

use super::connect::Listener;
use super::{Role, State, TcpSocket, TcpState};
use crate::error::{Result, err};
use crate::net::socket::Shutdown;

const ALL: u32 = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLHUP | POLLRDHUP | POLLERR;

pub(super) fn shutdown(socket: &TcpSocket, how: Shutdown) -> Result<()> {
    let mut state = socket.state.lock();
    let result = match &state.role {
        Role::Fresh => err(Errno::ENOTCONN),
        Role::Listening(_) if !how.read => Ok(()),
        Role::Listening(_) | Role::Connecting(_) => {
            let was_connecting = matches!(state.role, Role::Connecting(_));
            let old = disconnect(&mut state, socket);
            drop(state);
            end(old, false);
            if was_connecting {
                socket.end.set_error(Errno::ECONNRESET);
            }
            socket.end.queue.notify(ALL);
            return Ok(());
        }
        Role::Connected(conn) => {
            let conn = conn.clone();
            state.shut.read |= how.read;
            state.shut.write |= how.write;
            state.untold = false;
            drop(state);
            if conn.state() == TcpState::Close {
                err(Errno::ENOTCONN)
            } else {
                if how.write {
                    conn.finish();
                }
                Ok(())
            }
        }
    };
    socket.end.queue.notify(ALL);
    result
}

/// connect(2) with AF_UNSPEC: forgets the connection, which the peer sees as a reset. The port stays if it was asked for.
pub(super) fn forget(socket: &TcpSocket) {
    let resets = !matches!(socket.tcp_state(), TcpState::Close | TcpState::Listen);
    let mut state = socket.state.lock();
    let old = disconnect(&mut state, socket);
    drop(state);
    end(old, true);
    let _ = socket.end.take_error();
    if resets {
        // The caller's own side hears of it too.
        socket.end.set_error(Errno::ECONNRESET);
    }
    socket.end.queue.notify(ALL);
}

pub(super) fn close(socket: &TcpSocket) {
    let abort = socket.options.linger() == Some(0);
    let mut state = socket.state.lock();
    let old = disconnect(&mut state, socket);
    let lease = state.lease.take();
    drop(state);
    drop(lease);
    end(old, abort);
    socket.end.queue.notify(ALL);
}

/// Makes the socket as if it were new, but for the address and the port that were asked for; returns what it was.
fn disconnect(state: &mut State, socket: &TcpSocket) -> Role {
    let old = std::mem::replace(&mut state.role, Role::Fresh);
    if !state.chosen_port {
        state.lease = None;
    }
    state.shut = Shutdown { read: false, write: false };
    state.untold = false;
    match &state.lease {
        Some(lease) => {
            // It was not listening, or it no longer is: that cannot fail.
            let _ = socket.net.tcp.set_listening(lease, false);
        }
        None => state.bound.set_port(0),
    }
    old
}

/// What the others see of it.
fn end(old: Role, abort: bool) {
    match old {
        Role::Fresh => {}
        Role::Listening(listener) => end_listener(listener),
        Role::Connecting(connecting) => drop(connecting),
        Role::Connected(conn) => conn.close(abort),
    }
}

/// Nobody will accept what is in the backlog: those who connected are reset, those who wait are refused.
fn end_listener(listener: Listener) {
    let (pending, waiting) = listener.into_parts();
    for child in pending {
        let role = std::mem::replace(&mut child.state.lock().role, Role::Fresh);
        if let Role::Connected(conn) = role {
            conn.close(true);
        }
    }
    for client in waiting.iter().filter_map(std::sync::Weak::upgrade) {
        refuse(&client);
    }
}

/// The peer's answer to a connection attempt is a reset.
pub(super) fn refuse(client: &Arc<TcpSocket>) {
    let mut state = client.state.lock();
    if !matches!(state.role, Role::Connecting(_)) {
        return;
    }
    let old = std::mem::replace(&mut state.role, Role::Fresh);
    drop(state);
    drop(old);
    client.end.set_error(Errno::ECONNREFUSED);
    client.end.queue.notify(ALL);
}
