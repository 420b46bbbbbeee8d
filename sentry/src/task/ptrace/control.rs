//! What a tracer tells a tracee to do: go on in one way or another, stop, listen; and what it wants to hear of.

use std::sync::Arc;

use abi::Errno;
use abi::ptrace::PtraceOptions;
use abi::siginfo::SigInfo;
use abi::signal::Signal;

use super::{Go, Kind, Stop, Watch};
use crate::error::{Result, err};
use crate::task::signal::Attention;
use crate::task::{CurrentTask, Task};

/// How a tracee goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// PTRACE_CONT.
    Run,
    /// PTRACE_SYSCALL.
    Calls,
    /// PTRACE_SINGLESTEP.
    Step,
    /// PTRACE_SYSEMU.
    Emulate,
    /// PTRACE_SYSEMU_SINGLESTEP.
    EmulateStep,
}

impl Mode {
    const fn watch(self) -> u8 {
        match self {
            Self::Run => 0,
            Self::Calls => Watch::CALLS,
            Self::Step => Watch::STEP,
            Self::Emulate => Watch::EMULATE,
            Self::EmulateStep => Watch::EMULATE | Watch::STEP,
        }
    }
}

impl CurrentTask {
    /// A tracee of this thread that is stopped and not listening; ESRCH otherwise.
    pub(super) fn commanded(&self, target: &Arc<Task>) -> Result<()> {
        self.with_stop(target, |_| Ok(()))
    }

    /// Looks at, or changes, the stop of a tracee. ESRCH if it is not ours, or not stopped.
    pub(super) fn with_stop<R>(&self, target: &Arc<Task>, f: impl FnOnce(&mut Stop) -> Result<R>) -> Result<R> {
        let mut state = target.ptrace.state.lock();
        let ours = state.tracer.as_ref().is_some_and(|t| std::ptr::eq(t.task.as_ptr(), Arc::as_ptr(&self.task)));
        match state.stop.as_mut() {
            Some(stop) if ours && !stop.listening => f(stop),
            _ => err(Errno::ESRCH),
        }
    }

    /// Lets a tracee go on.
    pub fn ptrace_resume(&self, target: &Arc<Task>, mode: Mode, signal: u64) -> Result<()> {
        self.commanded(target)?;
        let signal = match i32::try_from(signal) {
            Ok(0) => 0,
            Ok(number) => Signal::new(number).map_err(|_| Errno::EIO)?.number(),
            Err(_) => return err(Errno::EIO),
        };
        {
            let mut state = target.ptrace.state.lock();
            let Some(stop) = state.stop.take() else { return err(Errno::ESRCH) };
            target.ptrace.watch.choose(mode.watch());
            let by = (self.group().tgid_in(target.pid_ns()), self.creds().uid);
            state.go = Some(Go { signal, by, stop });
        }
        target.parker().wake();
        Ok(())
    }

    /// PTRACE_INTERRUPT: a seized tracee stops, wherever it is.
    pub fn ptrace_interrupt(&self, target: &Arc<Task>) -> Result<()> {
        if !target.is_traced_by(&self.task) {
            return err(Errno::ESRCH);
        }
        if !target.signals.is_seized() {
            return err(Errno::EIO);
        }
        target.attention().raise(Attention::TRAP);
        Ok(())
    }

    /// PTRACE_LISTEN: a tracee in a group stop stays stopped, and tells when that ends.
    pub fn ptrace_listen(&self, target: &Arc<Task>) -> Result<()> {
        let seized = target.signals.is_seized();
        self.with_stop(target, |stop| {
            if !seized || stop.kind != Kind::Group {
                return err(Errno::EIO);
            }
            stop.listening = true;
            Ok(())
        })?;
        target.parker().wake();
        Ok(())
    }

    /// PTRACE_KILL: as PTRACE_CONT with SIGKILL; nothing happens to one that is not stopped.
    pub fn ptrace_kill(&self, target: &Arc<Task>) -> Result<()> {
        if !target.is_traced_by(&self.task) {
            return err(Errno::ESRCH);
        }
        if self.commanded(target).is_ok() {
            target.send_signal(SigInfo::kernel(Signal::SIGKILL));
        }
        Ok(())
    }

    /// PTRACE_SETOPTIONS.
    pub fn ptrace_set_options(&self, target: &Arc<Task>, options: u64) -> Result<()> {
        self.commanded(target)?;
        let options = u32::try_from(options).ok().and_then(PtraceOptions::from_bits).ok_or(Errno::EINVAL)?;
        self.check_options(options)?;
        if let Some(tracer) = &mut target.ptrace.state.lock().tracer {
            tracer.options = options;
        }
        Ok(())
    }

    /// PTRACE_GETEVENTMSG.
    pub fn ptrace_message(&self, target: &Arc<Task>) -> Result<u64> {
        self.commanded(target)?;
        Ok(target.ptrace.state.lock().message)
    }
}
