//! Signals about readiness: F_SETOWN, F_SETSIG and O_ASYNC of fcntl(2).
//!
//! A wait queue wakes its listeners with whatever locks its source holds, and sending a signal takes others: so a thread of
//! the kernel, started with the first O_ASYNC, sends them.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock, Weak};

use abi::fcntl::OpenFlags;
use abi::poll::{POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use abi::siginfo::{POLL_MSG, SI_USER, SigInfo};
use abi::signal::Signal;
use sync::{WaitId, Wake};

use super::File;
use crate::task::pid::Pid;

/// Whom to signal.
#[derive(Clone, Debug, Default)]
pub enum Target {
    /// Nobody.
    #[default]
    None,
    /// A thread (F_OWNER_TID).
    Thread(Arc<Pid>),
    /// A process.
    Process(Arc<Pid>),
    /// A process group.
    Group(Arc<Pid>),
}

/// Whom to signal, and how.
#[derive(Clone, Debug, Default)]
pub struct FileOwner {
    /// Whom.
    pub target: Target,
    /// F_SETSIG: 0 is SIGIO without information.
    pub signal: i32,
    /// Who set it: real and effective user.
    pub uid: u32,
    /// See `uid`.
    pub euid: u32,
}

/// What a file keeps about it.
#[derive(Debug, Default)]
pub(super) struct Signals {
    owner: Option<Box<FileOwner>>,
    listening: Option<WaitId>,
}

impl File {
    /// Who is signalled.
    #[must_use]
    pub fn owner(&self) -> FileOwner {
        self.signals.lock().owner.as_deref().cloned().unwrap_or_default()
    }

    /// Changes who is signalled.
    pub fn set_owner(&self, change: impl FnOnce(&mut FileOwner)) {
        change(self.signals.lock().owner.get_or_insert_default());
    }

    /// Begins or ends to signal readiness.
    pub(super) fn set_async(self: &Arc<Self>, on: bool) {
        let Some(queue) = self.ops.wait_queue() else { return };
        if !on {
            self.set_no_async();
            return;
        }
        let mut signals = self.signals.lock();
        if signals.listening.is_none() {
            let wake = Arc::new(AsyncWake(Arc::downgrade(self)));
            // An end of a pipe hears nothing of the other direction.
            let mut events = u32::MAX;
            if !self.flags().readable() {
                events &= !(POLLIN | POLLRDNORM);
            }
            if !self.flags().writable() {
                events &= !(POLLOUT | POLLWRNORM);
            }
            signals.listening = Some(queue.register(events, wake));
        }
    }

    pub(super) fn set_no_async(&self) {
        let listening = self.signals.lock().listening.take();
        if let (Some(id), Some(queue)) = (listening, self.ops.wait_queue()) {
            queue.unregister(id);
        }
    }

    /// Sends the signal.
    fn signal_owner(&self, band: u32) {
        if !self.flags().contains(OpenFlags::FASYNC) {
            return;
        }
        let owner = self.owner();
        let info = match Signal::new(owner.signal) {
            Ok(signal) if owner.signal != 0 => SigInfo::poll(signal, POLL_MSG, band.into(), -1),
            _ => SigInfo::user(Signal::SIGIO, SI_USER, 0, 0),
        };
        match owner.target {
            Target::None => {}
            Target::Thread(pid) => {
                if let Some(task) = pid.task() {
                    task.send_signal(info);
                }
            }
            Target::Process(pid) => {
                if let Some(group) = pid.group() {
                    group.send_signal(info);
                }
            }
            Target::Group(pid) => {
                if let Some(group) = pid.process_group() {
                    group.send_signal(info);
                }
            }
        }
    }
}

/// Listens for a file with O_ASYNC.
struct AsyncWake(Weak<File>);

impl Wake for AsyncWake {
    fn wake(&self, events: u32) {
        // If the thread could not be started there is nobody to tell.
        let _ = sender().send((Weak::clone(&self.0), events));
    }
}

type Message = (Weak<File>, u32);

/// To the thread that sends the signals.
fn sender() -> &'static Sender<Message> {
    static SENDER: OnceLock<Sender<Message>> = OnceLock::new();
    SENDER.get_or_init(|| {
        let (sender, receiver) = channel::<Message>();
        let _ = std::thread::Builder::new().name(String::from("sigio")).spawn(move || {
            host::sched::run_anywhere();
            for (file, events) in receiver {
                if let Some(file) = file.upgrade() {
                    file.signal_owner(events);
                }
            }
        });
        sender
    })
}
