//! Terminals: pseudo-terminals, tty(4), pty(7), and what `/dev/tty` and `/dev/console` mean.
//!
//! A [`Tty`] is the terminal itself: line discipline, size, who controls it. [`master::Master`] is the screen and keyboard
//! side, [`slave::Slave`] the side programs see. [`job`] is job control, [`ioctl`] tty_ioctl(4). [`console`] joins a terminal
//! to one of the host. Locks: `Tty` over the discipline, held while nothing is copied from or to the application;
//! `TtyControl` over session and foreground group.

pub mod console;
mod discipline;
mod ioctl;
mod job;
pub mod master;
pub mod slave;

use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDNORM, POLLWRNORM};
use abi::siginfo::SigInfo;
use abi::signal::Signal;
use abi::stat::makedev;
use abi::termios::{PacketStatus, Termios, Winsize};
use sync::{Mutex, WaitQueue};
use zerocopy::FromZeros;

use self::discipline::{Discipline, Effects};
use crate::lock_order::{Tty as TtyLevel, TtyControl};
use crate::task::{ControllingTty, ProcessGroup, Session};

/// Major number of pseudo-terminal slaves.
pub const PTS_MAJOR: u32 = 136;

/// A terminal.
#[derive(Debug)]
pub struct Tty {
    this: Weak<Self>,
    /// Its number: N of /dev/pts/N; `None` is the console.
    number: Option<u32>,
    state: Mutex<State, TtyLevel>,
    control: Mutex<Control, TtyControl>,
    /// Readiness of the program's side.
    slave_queue: WaitQueue,
    /// Readiness of the screen's side.
    master_queue: WaitQueue,
    slaves: AtomicUsize,
    /// unlockpt(3) has not been called.
    locked: AtomicBool,
    /// The master is gone: reads end, writes fail.
    hung_up: AtomicBool,
    /// The terminal of the host that it is joined to.
    host: OnceLock<Arc<OwnedFd>>,
}

#[derive(Debug)]
struct State {
    discipline: Discipline,
    size: Winsize,
    /// A slave has been open once; without one the master then reads EIO.
    slave_seen: bool,
    /// TIOCPKT on the master, and the status it will report next.
    packet: bool,
    packet_status: PacketStatus,
    exclusive: bool,
    /// What set bits here name in the settings stays as it is (TIOCSLCKTRMIOS).
    locked: Termios,
}

/// Whose terminal it is.
#[derive(Debug, Default)]
struct Control {
    session: Weak<Session>,
    foreground: Weak<ProcessGroup>,
}

impl Tty {
    /// A new terminal with default settings; pseudo-terminals start locked.
    #[must_use]
    pub fn new(number: Option<u32>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            number,
            state: Mutex::new(State {
                discipline: Discipline::new(Termios::default()),
                size: Winsize::default(),
                slave_seen: false,
                packet: false,
                packet_status: PacketStatus::empty(),
                exclusive: false,
                locked: Termios::new_zeroed(),
            }),
            control: Mutex::default(),
            slave_queue: WaitQueue::new(),
            master_queue: WaitQueue::new(),
            slaves: AtomicUsize::new(0),
            locked: AtomicBool::new(number.is_some()),
            hung_up: AtomicBool::new(false),
            host: OnceLock::new(),
        })
    }

    /// Its number among the pseudo-terminals.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        self.number
    }

    fn me(&self) -> Arc<Self> {
        self.this.upgrade().expect("a method runs on a live terminal")
    }

    /// Bytes from the keyboard; returns how many were taken.
    pub fn keyboard(&self, bytes: &[u8]) -> usize {
        let mut effects = Effects::default();
        let mut state = self.state.lock();
        let taken = state.discipline.input(bytes, &mut effects);
        let echoed = state.discipline.output_len() > 0;
        state.note(&effects);
        drop(state);
        self.apply(&effects, echoed);
        taken
    }

    /// Takes up to `max` bytes for the screen.
    pub fn screen(&self, max: usize) -> Vec<u8> {
        let bytes = self.state.lock().discipline.take_output(max);
        if !bytes.is_empty() {
            self.slave_queue.notify(POLLOUT | POLLWRNORM);
        }
        bytes
    }

    /// Sets the size of the window; the foreground process group hears of a change.
    pub fn resize(&self, size: Winsize) {
        let mut state = self.state.lock();
        if state.size == size {
            return;
        }
        state.size = size;
        drop(state);
        self.signal_foreground(Signal::SIGWINCH);
    }

    /// What input or a change of settings wants done outside of the lock.
    fn apply(&self, effects: &Effects, output: bool) {
        for signal in &effects.signals {
            self.signal_foreground(*signal);
        }
        if effects.readable {
            self.slave_queue.notify(POLLIN | POLLRDNORM);
        }
        if output || effects.flow == Some(false) || effects.flushed {
            self.master_queue.notify(POLLIN | POLLRDNORM | POLLPRI);
        }
        if effects.flow == Some(false) || effects.flushed {
            self.slave_queue.notify(POLLOUT | POLLWRNORM);
        }
    }

    fn signal_foreground(&self, signal: Signal) {
        let group = self.control.lock().foreground.upgrade();
        if let Some(group) = group {
            group.send_signal(SigInfo::kernel(signal));
        }
    }

    /// The keyboard and screen are gone: the session's leader gets SIGHUP, every read ends, every write fails.
    pub fn hang_up(&self) {
        if self.hung_up.swap(true, Ordering::SeqCst) {
            return;
        }
        let control = self.control.lock();
        let (session, foreground) = (control.session.upgrade(), control.foreground.upgrade());
        drop(control);
        if let Some(leader) = session.and_then(|session| session.leader()) {
            leader.send_signal(SigInfo::kernel(Signal::SIGHUP));
            leader.send_signal(SigInfo::kernel(Signal::SIGCONT));
        }
        if let Some(group) = foreground {
            group.send_signal(SigInfo::kernel(Signal::SIGHUP));
            group.send_signal(SigInfo::kernel(Signal::SIGCONT));
        }
        self.slave_queue.notify(POLLIN | POLLRDNORM | POLLOUT | POLLHUP | POLLERR);
    }

    fn is_hung_up(&self) -> bool {
        self.hung_up.load(Ordering::SeqCst)
    }
}

impl State {
    /// Remembers for packet mode what happened.
    fn note(&mut self, effects: &Effects) {
        match effects.flow {
            Some(true) => {
                self.packet_status = self.packet_status - PacketStatus::TIOCPKT_START | PacketStatus::TIOCPKT_STOP
            }
            Some(false) => {
                self.packet_status = self.packet_status - PacketStatus::TIOCPKT_STOP | PacketStatus::TIOCPKT_START
            }
            None => {}
        }
        if effects.flushed {
            self.packet_status |= PacketStatus::TIOCPKT_FLUSHREAD | PacketStatus::TIOCPKT_FLUSHWRITE;
        }
    }
}

impl ControllingTty for Tty {
    fn device(&self) -> u64 {
        self.number.map_or(makedev(5, 1), |number| makedev(PTS_MAJOR, number))
    }

    fn name(&self) -> String {
        self.number.map_or_else(|| "console".to_owned(), |number| format!("pts/{number}"))
    }

    fn foreground(&self) -> Option<Arc<ProcessGroup>> {
        self.control.lock().foreground.upgrade()
    }

    fn host_resized(&self) {
        self.follow_host();
    }

    fn disassociate(&self, session: &Arc<Session>, hangup: bool) {
        let mut control = self.control.lock();
        if control.session.upgrade().is_some_and(|current| !Arc::ptr_eq(&current, session)) {
            return;
        }
        let foreground = control.foreground.upgrade();
        *control = Control::default();
        drop(control);
        if hangup && let Some(group) = foreground {
            group.send_signal(SigInfo::kernel(Signal::SIGHUP));
            group.send_signal(SigInfo::kernel(Signal::SIGCONT));
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
