//! Signals that reach the sandbox process from outside, for the container's first process.
//!
//! What the terminal sends (it is our controlling terminal) is for its foreground process group; what somebody sends to our
//! pid is for the container's first process, as it would be under a runtime whose pid is that process.

use std::io;
use std::sync::Arc;

use control::SignalTarget;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::engine::Engine;

const FORWARDED: [Signal; 9] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGTSTP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGCONT,
];

/// si_code of a signal that the kernel sends.
const SI_KERNEL: i32 = 0x80;

/// The signals, blocked in this thread and all that it will make.
#[derive(Debug)]
pub(super) struct Signals(SignalFd);

impl Signals {
    /// Blocks them. Called before there are other threads or a zygote.
    pub(super) fn block() -> io::Result<Self> {
        let set: SigSet = FORWARDED.into_iter().collect();
        set.thread_block()?;
        Ok(Self(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)?))
    }

    /// Forwards them from a thread of its own.
    pub(super) fn forward(self, engine: &Arc<dyn Engine>, id: &str) -> io::Result<()> {
        let (engine, id) = (Arc::clone(engine), id.to_owned());
        let forward = move || {
            while let Ok(Some(info)) = self.0.read_signal() {
                let from_terminal = info.ssi_code == SI_KERNEL;
                let target = if from_terminal { SignalTarget::Foreground(1) } else { SignalTarget::Init };
                if let Ok(signal) = u8::try_from(info.ssi_signo) {
                    let _ = engine.signal(&id, target, signal);
                }
            }
        };
        std::thread::Builder::new().name("signals".into()).stack_size(super::server::STACK).spawn(forward)?;
        Ok(())
    }
}
