//! Waiting for a process in the foreground: its signals are ours, and so may be its terminal.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use control::{ExitStatus, Reply, Request, SignalTarget};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::channel::Channel;
use crate::terminal::PassThrough;

/// Signals that would end us or that tell of something, all but those that a fault raises.
#[derive(Debug)]
pub(crate) struct Foreground {
    signals: SignalFd,
}

/// What the signals of ours mean for a process in the container.
enum Heard {
    Child,
    Resize,
    Forward(u8),
}

impl Foreground {
    /// Starts to hold back signals. To be called just before what we will wait for is started.
    pub(crate) fn prepare() -> Result<Self> {
        let mut set = SigSet::all();
        for fault in [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGFPE, Signal::SIGILL, Signal::SIGTRAP, Signal::SIGSYS]
        {
            set.remove(fault);
        }
        for own in [Signal::SIGTTIN, Signal::SIGTTOU, Signal::SIGPIPE, Signal::SIGABRT, Signal::SIGURG] {
            set.remove(own);
        }
        set.thread_block().context("cannot block signals")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        // We may wait for long, with what came over the terminal in our memory.
        host::process::hide().context("cannot hide")?;
        Ok(Self { signals: SignalFd::with_flags(&set, flags).context("cannot receive signals")? })
    }

    /// Waits for the end of a sandbox, a child of ours. Signals go on to its pid: the sandbox passes them to the
    /// container's first process.
    pub(crate) fn wait(&self, sandbox: Pid, terminal: Option<OwnedFd>) -> Result<u8> {
        let mut terminal = terminal.map(PassThrough::start).transpose()?;
        // It may have ended before we held back SIGCHLD: look first.
        loop {
            if let Some(status) = ended(sandbox)? {
                if let Some(terminal) = &terminal {
                    drain(terminal);
                }
                return Ok(status);
            }
            self.poll(&mut terminal, None)?;
            while let Some(heard) = self.heard()? {
                match heard {
                    Heard::Child => {}
                    Heard::Resize => terminal.iter().for_each(PassThrough::resize),
                    Heard::Forward(signal) => {
                        let signal = Signal::try_from(i32::from(signal)).ok();
                        let _ = nix::sys::signal::kill(sandbox, signal);
                    }
                }
            }
        }
    }

    /// Waits for the end of a process started by `exec` over that connection.
    pub(crate) fn wait_exec(&self, channel: &Channel, id: &str, pid: u32) -> Result<u8> {
        loop {
            if self.poll(&mut None, Some(channel))?
                && let Some(status) = exited(channel)
            {
                return Ok(status);
            }
            while let Some(heard) = self.heard()? {
                if let Heard::Forward(signal) = heard {
                    let target = SignalTarget::Process(pid);
                    let _ = channel.send(&Request::Signal { id: id.to_owned(), target, signal }, &[]);
                }
            }
        }
    }

    /// Stands in for a process started by `exec`, detached, or for the first one of a container in a pod: whoever waits for us or signals us means that process. With a
    /// terminal we lead its session, so that what is typed there reaches the process' foreground group.
    pub(crate) fn stand_in(&self, channel: &Channel, id: &str, pid: Option<u32>, terminal: Option<OwnedFd>) -> u8 {
        let _ = nix::unistd::setsid();
        if let Some(slave) = terminal {
            let _ = host::tty::set_controlling(&slave);
        }
        loop {
            if self.poll(&mut None, Some(channel)).unwrap_or(true)
                && let Some(status) = exited(channel)
            {
                return status;
            }
            while let Ok(Some(info)) = self.signals.read_signal() {
                let Ok(signal) = u8::try_from(info.ssi_signo) else { continue };
                if i32::from(signal) == Signal::SIGCHLD as i32 {
                    continue;
                }
                let typed = info.ssi_code == SI_KERNEL;
                let target = match (typed, pid) {
                    (true, pid) => SignalTarget::Foreground(pid.unwrap_or(1)),
                    (false, Some(pid)) => SignalTarget::Process(pid),
                    (false, None) => SignalTarget::Init,
                };
                let _ = channel.send(&Request::Signal { id: id.to_owned(), target, signal }, &[]);
            }
        }
    }

    /// Waits until something happens and copies what the terminal has. True if the connection has something.
    fn poll(&self, terminal: &mut Option<PassThrough>, channel: Option<&Channel>) -> Result<bool> {
        let input = std::io::stdin();
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let connection = watch(&mut fds, channel.map(AsFd::as_fd));
        let output = watch(&mut fds, terminal.as_ref().map(PassThrough::master));
        let wanted = terminal.as_ref().filter(|passing| passing.wants_input());
        let input = watch(&mut fds, wanted.map(|_| input.as_fd()));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(e).context("cannot wait"),
        }
        let ready = |index: Option<usize>| index.and_then(|i| fds.get(i)?.any()).unwrap_or_default();
        let (connection, output, input) = (ready(connection), ready(output), ready(input));
        if let Some(passing) = terminal.as_mut() {
            if input {
                passing.copy_input();
            }
            if output && !passing.copy_output() {
                // The container has closed its side; our own terminal is restored.
                *terminal = None;
            }
        }
        Ok(connection)
    }

    fn heard(&self) -> Result<Option<Heard>> {
        let Some(info) = self.signals.read_signal().context("cannot receive signals")? else { return Ok(None) };
        let signal = u8::try_from(info.ssi_signo).unwrap_or_default();
        Ok(Some(match Signal::try_from(i32::from(signal)) {
            Ok(Signal::SIGCHLD) => Heard::Child,
            Ok(Signal::SIGWINCH) => Heard::Resize,
            _ => Heard::Forward(signal),
        }))
    }
}

/// Adds a descriptor to those that are waited for, and returns its place.
fn watch<'a>(fds: &mut Vec<PollFd<'a>>, fd: Option<BorrowedFd<'a>>) -> Option<usize> {
    fds.push(PollFd::new(fd?, PollFlags::POLLIN));
    Some(fds.len() - 1)
}

/// si_code of a signal that the kernel sends.
const SI_KERNEL: i32 = 0x80;

/// The exit status of a process started by `exec`, if that is what comes next over its connection.
fn exited(channel: &Channel) -> Option<u8> {
    match channel.recv::<Reply>() {
        Ok((Reply::Exited(status), _)) => Some(status.shell_code()),
        // The answer to a signal.
        Ok(_) => None,
        // The sandbox was killed, and the process with it.
        Err(_) => Some(ExitStatus::Signal(9).shell_code()),
    }
}

/// The exit status of a child, if it has ended.
fn ended(pid: Pid) -> Result<Option<u8>> {
    match waitpid(pid, Some(WaitPidFlag::WNOHANG)).context("cannot wait for the sandbox")? {
        WaitStatus::Exited(_, code) => Ok(Some(u8::try_from(code).unwrap_or(u8::MAX))),
        WaitStatus::Signaled(_, signal, _) => Ok(Some(128 | u8::try_from(signal as i32).unwrap_or_default())),
        _ => Ok(None),
    }
}

/// Copies what was written before the end and is still in the terminal.
fn drain(terminal: &PassThrough) {
    loop {
        let mut fds = [PollFd::new(terminal.master(), PollFlags::POLLIN)];
        let readable = poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0);
        let [fd] = fds;
        if !readable
            || !fd.revents().is_some_and(|events| events.contains(PollFlags::POLLIN))
            || !terminal.copy_output()
        {
            return;
        }
    }
}
