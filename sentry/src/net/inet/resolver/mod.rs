//! An engine's name server, which answers on a loopback address of the container's network namespace (Docker's 127.0.0.11).
//!
//! What is there is rules of the host's kernel, and no packet of ours passes them: our loopback is our own. So the command
//! line opens a socket there, and questions that nobody in the sandbox hears go out over it. Each gets a number of ours, by
//! which its answer is brought back. Who asks over TCP is answered by [`streams`]. Locks: a leaf over the questions. The thread
//! ends with the sandbox.

mod streams;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sync::Mutex;

use self::streams::Streams;
use super::datagram::answer;
use super::stack::NetStack;
use super::tcp::Served;
use crate::lock_order::Leaf;

/// Where engines have it.
pub(super) const ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 11), 53));
/// How many questions wait for their answers; the oldest is forgotten first.
const MOST: u16 = 1024;
/// Nothing longer comes from a name server over UDP.
const LONGEST: usize = 65_535;
/// How long to wait when one error follows another.
const PAUSE: Duration = Duration::from_millis(100);
const STACK: usize = 128 << 10;

/// The way to that server.
#[derive(Debug)]
pub struct Resolver {
    socket: UdpSocket,
    net: Weak<NetStack>,
    questions: Mutex<Questions, Leaf>,
    streams: Streams,
}

#[derive(Debug)]
struct Questions {
    next: u16,
    list: Vec<Option<Question>>,
}

/// Who asked, under which number, and over which device.
#[derive(Clone, Copy, Debug)]
struct Question {
    from: SocketAddr,
    number: [u8; 2],
    device: u32,
}

impl Resolver {
    /// Answers from now on. The first socket is a UDP socket, connected to the server, the others are TCP sockets that are not.
    pub(super) fn start(net: &Arc<NetStack>, mut sockets: Vec<OwnedFd>) -> io::Result<Arc<Self>> {
        let streams = Streams::start(sockets.drain(1.min(sockets.len())..).collect())?;
        let socket = sockets.pop().ok_or(io::ErrorKind::NotConnected)?;
        let questions = Questions { next: 0, list: vec![None; usize::from(MOST)] };
        let resolver = Arc::new(Self {
            socket: socket.into(),
            net: Arc::downgrade(net),
            questions: Mutex::new(questions),
            streams,
        });
        let reader = Arc::clone(&resolver);
        std::thread::Builder::new().name("resolver".into()).stack_size(STACK).spawn(move || reader.read())?;
        Ok(resolver)
    }

    /// Passes a question on. What is too short to be one is lost.
    pub(super) fn ask(&self, from: SocketAddr, device: u32, bytes: &[u8]) {
        let Some((number, rest)) = bytes.split_first_chunk::<2>() else { return };
        let ours = {
            let mut questions = self.questions.lock();
            let ours = questions.next;
            questions.next = (ours + 1) % MOST;
            if let Some(place) = questions.list.get_mut(usize::from(ours)) {
                *place = Some(Question { from, number: *number, device });
            }
            ours
        };
        // Without room it is lost, as on a full wire.
        let _ = self.socket.send(&[&ours.to_be_bytes(), rest].concat());
    }

    /// Answers who asks over TCP.
    pub(super) fn serve(&self, client: Served) {
        self.streams.serve(client);
    }

    fn read(&self) {
        let mut buffer = vec![0; LONGEST];
        let mut failed = false;
        loop {
            let Ok(length) = self.socket.recv(&mut buffer) else {
                // Nobody answers there; each error is told once. One that stays must not keep us busy.
                if std::mem::replace(&mut failed, true) {
                    std::thread::park_timeout(PAUSE);
                }
                continue;
            };
            failed = false;
            let Some(net) = self.net.upgrade() else { return };
            let Some((ours, rest)) = buffer.get(..length).and_then(|bytes| bytes.split_first_chunk::<2>()) else {
                continue;
            };
            let place = usize::from(u16::from_be_bytes(*ours));
            let question = self.questions.lock().list.get_mut(place).and_then(Option::take);
            if let Some(Question { from, number, device }) = question {
                answer(&net, ADDRESS, from, device, [&number, rest].concat());
            }
        }
    }
}
