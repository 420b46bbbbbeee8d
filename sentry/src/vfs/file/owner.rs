//! Signals about readiness: F_SETOWN, F_SETSIG and O_ASYNC of fcntl(2), and SIGURG, which needs F_SETOWN alone.
//!
//! A wait queue wakes its listeners with whatever locks its source holds, and sending a signal takes others: so a thread of
//! the kernel, started with the first O_ASYNC, sends them.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock, Weak};

use abi::fcntl::OpenFlags;
use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLMSG, POLLOUT, POLLPRI, POLLRDBAND, POLLRDNORM, POLLWRBAND, POLLWRNORM};
use abi::siginfo::{POLL_ERR, POLL_HUP, POLL_IN, POLL_MSG, POLL_OUT, POLL_PRI, SI_KERNEL, SigInfo};
use abi::signal::Signal;
use sync::{WaitId, Wake};

use super::File;
use super::dnotify::DirWatch;
use crate::task::CurrentTask;
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
    /// The registration for SIGURG.
    urgent: Option<WaitId>,
    /// The descriptor that O_ASYNC was last set through, which signals name.
    fd: i32,
    /// F_NOTIFY.
    pub(super) directories: Vec<Arc<DirWatch>>,
}

impl Signals {
    /// Whether a wait queue knows the file.
    pub(super) fn is_listening(&self) -> bool {
        self.listening.is_some() || self.urgent.is_some()
    }
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

    /// The owner is told of urgent data from now on: the file is a stream.
    pub fn signal_urgent(self: &Arc<Self>) {
        let Some(queue) = self.ops.wait_queue() else { return };
        let mut signals = self.signals.lock();
        if signals.urgent.is_none() {
            signals.urgent =
                Some(queue.register(POLLPRI, Arc::new(AsyncWake { file: Arc::downgrade(self), urgent: true })));
        }
    }

    /// Which descriptor signals about readiness name.
    pub fn signal_as(&self, fd: i32) {
        self.signals.lock().fd = fd;
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
            let wake = Arc::new(AsyncWake { file: Arc::downgrade(self), urgent: false });
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

    /// The file goes.
    pub(super) fn stop_signals(&self) {
        self.set_no_async();
        let urgent = self.signals.lock().urgent.take();
        if let (Some(id), Some(queue)) = (urgent, self.ops.wait_queue()) {
            queue.unregister(id);
        }
    }

    /// Readiness is signalled.
    fn signal_ready(&self, events: u32) {
        if !self.flags().contains(OpenFlags::FASYNC) {
            return;
        }
        let (code, band) = reason(events);
        let fd = self.signals.lock().fd;
        signal(&self.owner(), code, band, fd);
    }

    /// Whoever asks to be told of something and has not said who is told is told itself.
    pub(in crate::vfs) fn own_by_default(&self, task: &CurrentTask) {
        self.set_owner(|owner| {
            if let Target::None = owner.target {
                owner.target = Target::Process(Arc::clone(task.group().pid()));
                (owner.uid, owner.euid) = (task.creds().uid, task.creds().euid);
            }
        });
    }

    /// Somebody wants the file that it has a lease of.
    pub(in crate::vfs) fn signal_of_lease(&self, fd: i32) {
        self.signal_of_directory(fd);
    }

    /// Something happened in a directory.
    pub(super) fn signal_of_directory(&self, fd: i32) {
        signal(&self.owner(), POLL_MSG, POLLIN | POLLRDNORM | POLLMSG, fd);
    }
}

/// Sends the signal that the owner asked for; SIGIO tells nothing, as one that the kernel forces.
fn signal(owner: &FileOwner, code: i32, band: u32, fd: i32) {
    let info = match Signal::new(owner.signal) {
        Ok(signal) if owner.signal != 0 => SigInfo::poll(signal, code, band.into(), fd),
        _ => SigInfo::user(Signal::SIGIO, SI_KERNEL, 0, 0),
    };
    tell(owner, info);
}

fn tell(owner: &FileOwner, info: SigInfo) {
    match &owner.target {
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

/// `si_code` and `si_band` for what became ready.
fn reason(events: u32) -> (i32, u32) {
    if events & POLLIN != 0 {
        (POLL_IN, POLLIN | POLLRDNORM)
    } else if events & POLLOUT != 0 {
        (POLL_OUT, POLLOUT | POLLWRNORM | POLLWRBAND)
    } else if events & POLLPRI != 0 {
        (POLL_PRI, POLLPRI | POLLRDBAND)
    } else if events & POLLHUP != 0 {
        (POLL_HUP, POLLHUP | POLLERR)
    } else {
        (POLL_ERR, POLLERR)
    }
}

/// Listens for a file with O_ASYNC, or for urgent data.
struct AsyncWake {
    file: Weak<File>,
    urgent: bool,
}

impl Wake for AsyncWake {
    fn wake(&self, events: u32) {
        // If the thread could not be started there is nobody to tell.
        let _ = sender().send((Weak::clone(&self.file), events, self.urgent));
    }
}

type Message = (Weak<File>, u32, bool);

/// To the thread that sends the signals.
fn sender() -> &'static Sender<Message> {
    static SENDER: OnceLock<Sender<Message>> = OnceLock::new();
    SENDER.get_or_init(|| {
        let (sender, receiver) = channel::<Message>();
        let _ = std::thread::Builder::new().name(String::from("sigio")).spawn(move || {
            host::sched::run_anywhere();
            for (file, events, urgent) in receiver {
                match file.upgrade() {
                    Some(file) if urgent => tell(&file.owner(), SigInfo::user(Signal::SIGURG, SI_KERNEL, 0, 0)),
                    Some(file) => file.signal_ready(events),
                    None => {}
                }
            }
        });
        sender
    })
}
