//! Questions to the engine's name server over TCP, for answers that are too long for a packet.
//!
//! Each of a few sockets of the host's has a thread, which serves one program after the other: it connects the socket, passes
//! questions and answers, each with its length in front, and disconnects it. Whoever says nothing for a while is hung up on.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use abi::sockaddr::SockaddrIn;
use abi::socket::{AF_INET, AF_UNSPEC};
use zerocopy::IntoBytes;

use super::ADDRESS;
use crate::net::inet::tcp::Served;

/// How many programs wait for one socket.
const MOST: usize = 32;
/// How long a program may be silent.
const PATIENCE: Duration = Duration::from_secs(10);
const STACK: usize = 128 << 10;

/// The sockets' threads.
#[derive(Debug)]
pub(super) struct Streams {
    threads: Vec<SyncSender<Served>>,
    turn: AtomicUsize,
}

impl Streams {
    /// Begins to serve. The sockets wait for a limited time, as they were given.
    pub(super) fn start(sockets: Vec<OwnedFd>) -> io::Result<Self> {
        let mut threads = Vec::new();
        for socket in sockets {
            let (sender, receiver) = sync_channel(MOST);
            std::thread::Builder::new()
                .name("resolver".into())
                .stack_size(STACK)
                .spawn(move || run(&socket, &receiver))?;
            threads.push(sender);
        }
        Ok(Self { threads, turn: AtomicUsize::new(0) })
    }

    /// Serves a program; one too many is hung up on.
    pub(super) fn serve(&self, client: Served) {
        let mut client = client;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        for at in 0..self.threads.len() {
            let Some(thread) = self.threads.get(turn.wrapping_add(at) % self.threads.len()) else { break };
            match thread.try_send(client) {
                Ok(()) => return,
                Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => client = back,
            }
        }
    }
}

fn run(socket: &OwnedFd, clients: &Receiver<Served>) {
    for client in clients {
        if host::net::connect(socket.as_fd(), &name(AF_INET)).is_ok() {
            while pass(&client, socket.as_fd()).is_some() {}
        }
        // Unspecified is nowhere: the socket can be connected again.
        let _ = host::net::connect(socket.as_fd(), &name(AF_UNSPEC));
        drop(client);
    }
}

/// Passes one question and its answer.
fn pass(client: &Served, server: BorrowedFd<'_>) -> Option<()> {
    let mut length = [0; 2];
    client.read_exact(&mut length, PATIENCE)?;
    let mut message = length.to_vec();
    message.resize(2 + usize::from(u16::from_be_bytes(length)), 0);
    client.read_exact(message.get_mut(2..)?, PATIENCE)?;
    host::file::write_all(server, &message).ok()?;
    read_exact(server, &mut length)?;
    message = length.to_vec();
    message.resize(2 + usize::from(u16::from_be_bytes(length)), 0);
    read_exact(server, message.get_mut(2..)?)?;
    client.write_all(&message, PATIENCE)
}

fn read_exact(server: BorrowedFd<'_>, mut buffer: &mut [u8]) -> Option<()> {
    while !buffer.is_empty() {
        let n = host::file::read(server, buffer).ok().filter(|n| *n > 0)?;
        buffer = buffer.get_mut(n..)?;
    }
    Some(())
}

fn name(family: u16) -> Vec<u8> {
    let SocketAddr::V4(server) = ADDRESS else { return Vec::new() };
    let (port, ip) = (server.port().to_be_bytes(), server.ip().octets());
    SockaddrIn { sin_family: family, sin_port: port, sin_addr: ip, ..SockaddrIn::default() }.as_bytes().to_vec()
}
