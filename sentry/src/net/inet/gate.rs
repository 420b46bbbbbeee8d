//! The way out of the sandbox: the protocol engine, the packet socket it sends and receives by, and who waits for what.
//!
//! One thread reads frames and sleeps when there are none; whoever sends drives the engine itself, so that nothing is handed
//! from thread to thread on the way out. Timers are alarms of the kernel's timer thread. Lock: `Gate` over the engine, held
//! while bytes are copied from or to the application. It is not held while frames are given to the host, which may do all
//! the work of the receiver before it returns: one thread does that at a time, for all.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use abi::Errno;
use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM};
use host::packet::Frames;
use netstack::offload::HEADER;
use netstack::packet::{self, Packet};
use netstack::{Engine, Handle, Listening, Offload, StreamState};
use sync::{Mutex, MutexGuard};

use super::device::{Counters, Device};
use super::stack::NetStack;
use super::tcp::End;
use crate::lock_order;
use crate::time::{Alarm, Clocks, Key};

/// The longest frame: as many segments as the host puts together, and what it says of them.
const FRAME: usize = 65_536 + 64 + HEADER;

/// The way out of one network namespace.
#[derive(Debug)]
pub struct Gate {
    this: Weak<Self>,
    net: Weak<NetStack>,
    wire: OwnedFd,
    /// The device it goes through, and what it counts.
    device: u32,
    counters: Arc<Counters>,
    clocks: Arc<Clocks>,
    engine: Mutex<State, lock_order::Gate>,
    ended: AtomicBool,
}

#[derive(Debug)]
struct State {
    engine: Engine,
    watched: HashMap<Handle, Watched>,
    timer: Option<(Instant, Key)>,
    /// Somebody is sending, and sends what others have to send as well.
    sending: bool,
    /// Frames for who sends next, empty.
    spare: Vec<Vec<u8>>,
}

/// A connection that a socket has.
#[derive(Debug)]
struct Watched {
    end: Arc<End>,
    seen: Seen,
}

/// What a socket has been told of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    state: StreamState,
    readable: usize,
    room: usize,
}

/// The engine, held; dropping it drives it and sends what there is to send.
pub(super) struct Driving<'a> {
    gate: &'a Gate,
    state: Option<MutexGuard<'a, State>>,
}

impl Gate {
    /// Opens the gate: `wire` is a packet socket of the device.
    pub fn open(
        net: &Arc<NetStack>,
        device: &Device,
        wire: OwnedFd,
        engine: Engine,
        clocks: &Arc<Clocks>,
    ) -> std::io::Result<Arc<Self>> {
        let gate = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            net: Arc::downgrade(net),
            wire,
            device: device.index,
            counters: Arc::clone(&device.counters),
            clocks: Arc::clone(clocks),
            engine: Mutex::new(State {
                engine,
                watched: HashMap::new(),
                timer: None,
                sending: false,
                spare: Vec::new(),
            }),
            ended: AtomicBool::new(false),
        });
        let reader = Arc::clone(&gate);
        std::thread::Builder::new().name("network".into()).stack_size(256 << 10).spawn(move || reader.read())?;
        Ok(gate)
    }

    /// Takes the engine.
    pub(super) fn drive(&self) -> Driving<'_> {
        Driving { gate: self, state: Some(self.engine.lock()) }
    }

    /// Looks at the engine without driving it.
    pub(super) fn look<T>(&self, look: impl FnOnce(&mut Engine) -> T) -> T {
        look(&mut self.engine.lock().engine)
    }

    /// Sends an IP packet; `false` if there is no room.
    pub(super) fn send_packet(&self, bytes: &[u8]) -> bool {
        self.drive().engine().send_packet(bytes)
    }

    /// Takes frames in until the sandbox ends.
    fn read(&self) {
        host::sched::run_anywhere();
        let mut frames = Frames::new(FRAME);
        while !self.ended.load(Ordering::Relaxed) {
            if frames.take(self.wire.as_fd()).is_err() {
                // The cable was pulled, which is said once, or a frame was of no use.
                continue;
            }
            let net = self.net.upgrade();
            let mut seen = self.is_watched().then(Vec::new);
            let mut driving = self.drive();
            for (offload, frame) in frames.iter().filter_map(Offload::split) {
                self.counters.count(false, frame.len());
                if let Some(seen) = &mut seen {
                    seen.push(frame.to_vec());
                }
                driving.engine().receive(frame, offload, |local, remote| {
                    net.as_ref().map_or(Listening::Nobody, |net| listens(net, local, remote))
                });
            }
            drop(driving);
            self.show(false, seen.unwrap_or_default());
        }
    }

    /// Puts a frame on the wire as it is; it is lost if the wire does not take it.
    pub(in crate::net) fn send_frame(&self, frame: &[u8]) {
        self.counters.count(true, frame.len());
        let _ = host::packet::send(self.wire.as_fd(), &[&[0; HEADER], frame].concat());
    }

    /// Whether packet sockets look at what goes through.
    fn is_watched(&self) -> bool {
        self.net.upgrade().is_some_and(|net| net.packets.is_watched())
    }

    /// Shows frames to packet sockets.
    fn show(&self, outgoing: bool, frames: Vec<Vec<u8>>) {
        if frames.is_empty() {
            return;
        }
        let Some(net) = self.net.upgrade() else { return };
        let Some(device) = net.with_links(|links| links.device(self.device).cloned()) else { return };
        for frame in frames {
            net.packets.show(&device, outgoing, frame, None);
        }
    }

    /// Drives the engine: tells who waits for something, and sends what there is to send. Somebody who is sending already
    /// sends what others leave as well, and comes back here for the rest.
    fn turn(&self, held: MutexGuard<'_, State>) {
        let mut frames = self.step(held, true);
        while !frames.is_empty() {
            // What the wire does not take is lost, as on any wire, unless it asks for patience.
            let wire = self.wire.as_fd();
            let held_up = frames.iter().position(|frame| host::packet::send(wire, frame) == Err(Errno::EAGAIN));
            let gone = &frames[..held_up.unwrap_or(frames.len())];
            gone.iter().for_each(|frame| self.counters.count(true, frame.len() - HEADER));
            if self.is_watched() {
                self.show(true, gone.iter().map(|frame| frame[HEADER..].to_vec()).collect());
            }
            let mut held = self.engine.lock();
            for frame in frames.drain(held_up.unwrap_or(frames.len())..).rev() {
                held.engine.put_back(frame);
            }
            frames.drain(..).for_each(|frame| held.engine.sent(frame));
            held.spare = frames;
            held.sending = false;
            frames = self.step(held, held_up.is_none());
        }
    }

    /// Drives the engine once and tells who waits for something; what is to be sent is returned, to who sends.
    fn step(&self, mut held: MutexGuard<'_, State>, sends: bool) -> Vec<Vec<u8>> {
        let state = &mut *held;
        let next = state.engine.poll();
        let packets: Vec<_> = std::iter::from_fn(|| state.engine.receive_packet()).collect();
        let accepted: Vec<_> = std::iter::from_fn(|| state.engine.accept()).collect();
        let told = state.news();
        let mut frames = Vec::new();
        if sends && !state.sending {
            frames = std::mem::take(&mut state.spare);
            frames.extend(std::iter::from_fn(|| state.engine.transmit()));
            state.sending = !frames.is_empty();
            if frames.is_empty() {
                state.spare = std::mem::take(&mut frames);
            }
        }
        let shrunk = state.engine.has_shrunk();
        if shrunk {
            state.watched.shrink_to_fit();
        }
        self.set_timer(state, next.and_then(|delay| Instant::now().checked_add(delay)));
        drop(held);
        for (end, events) in told {
            end.queue.notify(events);
        }
        if !packets.is_empty() || !accepted.is_empty() {
            self.hand_over(packets, accepted);
        }
        if shrunk {
            host::own_memory::give_back();
        }
        frames
    }

    /// Hands packets to sockets.
    fn hand_over(&self, packets: Vec<Vec<u8>>, accepted: Vec<(Handle, SocketAddr, SocketAddr)>) {
        let Some(net) = self.net.upgrade() else { return };
        for bytes in packets {
            if let Some(packet) = packet::parse(&bytes) {
                super::datagram::arrive(&net, &packet, self.device);
            }
        }
        for (handle, local, remote) in accepted {
            if let Some(gate) = self.this.upgrade() {
                super::tcp::arrive(&net, &gate, handle, local, remote);
            }
        }
    }
}

/// Whether somebody accepts a connection, and how it is to behave.
fn listens(net: &Arc<NetStack>, local: SocketAddr, remote: SocketAddr) -> Listening {
    match net.tcp.listener(local, remote) {
        None => Listening::Nobody,
        Some(listener) if listener.has_room() => Listening::Accepts(listener.stream_options()),
        Some(_) => Listening::Full,
    }
}

impl Driving<'_> {
    /// The engine.
    pub(super) fn engine(&mut self) -> &mut Engine {
        &mut self.state.as_mut().expect("it is taken when this is dropped").engine
    }

    /// Tells an end of what happens to a connection from now on.
    pub(super) fn watch(&mut self, handle: Handle, end: &Arc<End>) {
        let state = self.state.as_mut().expect("it is taken when this is dropped");
        let seen = look_at(&state.engine, handle);
        let known = state.watched.insert(handle, Watched { end: Arc::clone(end), seen });
        // It was reset before anybody watched.
        if known.is_none() && seen.state == StreamState::Reset {
            end.connection_lost(false);
        }
    }

    /// Nobody is told any more, and the connection ends by itself.
    pub(super) fn release(&mut self, handle: Handle, reset: bool) {
        let state = self.state.as_mut().expect("it is taken when this is dropped");
        if state.watched.remove(&handle).is_some() {
            state.engine.release(handle, reset);
        }
    }
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        if let Some(held) = self.state.take() {
            self.gate.turn(held);
        }
    }
}

impl State {
    /// What sockets are to be told.
    fn news(&mut self) -> Vec<(Arc<End>, u32)> {
        let mut told = Vec::new();
        while let Some(handle) = self.engine.changed() {
            let Some(watched) = self.watched.get_mut(&handle) else { continue };
            let now = look_at(&self.engine, handle);
            let events = changes(watched.seen, now);
            let before = std::mem::replace(&mut watched.seen, now);
            if events != 0 {
                if now.state == StreamState::Reset {
                    watched.end.connection_lost(before.state == StreamState::Opening);
                }
                told.push((Arc::clone(&watched.end), events));
            }
        }
        told
    }
}

fn look_at(engine: &Engine, handle: Handle) -> Seen {
    Seen { state: engine.state(handle), readable: engine.readable(handle), room: engine.send_room(handle).0 }
}

fn changes(before: Seen, now: Seen) -> u32 {
    let mut events = 0;
    if now.readable > before.readable {
        events |= POLLIN | POLLRDNORM;
    }
    if now.room > before.room {
        events |= POLLOUT | POLLWRNORM;
    }
    if now.state != before.state {
        events |= POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLRDHUP | POLLHUP | POLLERR;
    }
    events
}

impl Gate {
    fn set_timer(&self, state: &mut State, at: Option<Instant>) {
        match (at, &state.timer) {
            // The one that is set comes early enough: it looks again.
            (Some(at), Some((set, _))) if *set <= at && *set > Instant::now() => {}
            (Some(at), _) => {
                if let Some((_, key)) = state.timer.take() {
                    self.clocks.timers().cancel(key);
                }
                let alarm: Weak<dyn Alarm> = self.this.clone();
                state.timer = Some((at, self.clocks.timers().set(at, alarm)));
            }
            (None, _) => {}
        }
    }
}

impl Alarm for Gate {
    fn fire(&self) {
        self.engine.lock().timer = None;
        drop(self.drive());
    }
}

/// Whether an address is reached through the gate rather than within the sandbox.
#[must_use]
pub fn build_udp(from: SocketAddr, to: SocketAddr, ttl: u8, tos: u8, payload: &[u8]) -> Option<Vec<u8>> {
    let inner = packet::udp((from.ip(), from.port()), (to.ip(), to.port()), payload)?;
    build(from.ip(), to.ip(), packet::UDP, ttl, tos, &inner)
}

/// An IP packet.
#[must_use]
pub fn build(from: IpAddr, to: IpAddr, protocol: u8, ttl: u8, tos: u8, payload: &[u8]) -> Option<Vec<u8>> {
    packet::build(&Packet { from, to, protocol, ttl, tos, payload })
}
