//! Stops that PTRACE_SETOPTIONS asks for: clone, vfork's end, exec, exit, seccomp.

use abi::Errno;
use abi::ptrace::{
    PTRACE_EVENT_CLONE, PTRACE_EVENT_EXEC, PTRACE_EVENT_EXIT, PTRACE_EVENT_FORK, PTRACE_EVENT_SECCOMP,
    PTRACE_EVENT_VFORK, PTRACE_EVENT_VFORK_DONE, PtraceOptions,
};
use abi::sched::CloneFlags;
use abi::siginfo::{CLD_TRAPPED, SI_USER, SigInfo};
use abi::signal::Signal;
use abi::wait::WaitStatus;
use platform::SyscallArgs;

use super::stop::{Kind, Report};
use crate::task::CurrentTask;
use crate::task::pid::Pid;

/// The option that asks for an event.
fn option_of(event: u32) -> PtraceOptions {
    PtraceOptions::from_bits_truncate(1 << event)
}

impl CurrentTask {
    /// Whether the tracer wants to hear of this event.
    pub(in crate::task) fn wants_event(&self, event: u32) -> bool {
        self.is_traced() && self.task.ptrace.state.lock().has_option(option_of(event))
    }

    /// The event that a clone is for the tracer, if it wants to hear of it.
    pub(in crate::task) fn clone_event(&self, flags: CloneFlags, exit_signal: Option<Signal>) -> Option<u32> {
        if !self.is_traced() || flags.contains(CloneFlags::CLONE_UNTRACED) {
            return None;
        }
        let event = if flags.contains(CloneFlags::CLONE_VFORK) {
            PTRACE_EVENT_VFORK
        } else if exit_signal != Some(Signal::SIGCHLD) {
            PTRACE_EVENT_CLONE
        } else {
            PTRACE_EVENT_FORK
        };
        self.wants_event(event).then_some(event)
    }

    /// Tells the tracer of a new task.
    pub(in crate::task) fn tell_clone(&mut self, event: u32, child: &Pid) {
        let number = self.number_for_tracer(child);
        self.event_stop(event, number);
    }

    /// Tells the tracer that a vfork(2) child no longer uses our memory.
    pub(in crate::task) fn tell_vfork_done(&mut self, child: &Pid) {
        if self.wants_event(PTRACE_EVENT_VFORK_DONE) {
            let number = self.number_for_tracer(child);
            self.event_stop(PTRACE_EVENT_VFORK_DONE, number);
        }
    }

    /// execve(2) has replaced the program. `old`: the number that the thread had before.
    pub(in crate::task) fn tell_exec(&mut self, old: &Pid) {
        if !self.is_traced() {
            return;
        }
        if self.wants_event(PTRACE_EVENT_EXEC) {
            let number = self.number_for_tracer(old);
            self.event_stop(PTRACE_EVENT_EXEC, number);
        } else if !self.signals.is_seized() {
            self.send_signal(SigInfo::user(Signal::SIGTRAP, SI_USER, self.group().tgid(), 0));
        }
    }

    /// The thread ends with this status.
    pub(in crate::task) fn tell_exit(&mut self, status: WaitStatus) {
        if self.wants_event(PTRACE_EVENT_EXIT) {
            self.event_stop(PTRACE_EVENT_EXIT, u64::try_from(status.0).unwrap_or(0));
        }
    }

    /// A filter answered SECCOMP_RET_TRACE with `data`. The call as the tracer leaves it; the error: nobody listens.
    pub(in crate::task) fn tell_seccomp(&mut self, args: &SyscallArgs, data: u32) -> Result<SyscallArgs, Errno> {
        if !self.wants_event(PTRACE_EVENT_SECCOMP) {
            return Err(Errno::ENOSYS);
        }
        let event = Some(PTRACE_EVENT_SECCOMP);
        let outcome = self.stop_in_call(args, Kind::Seccomp(data), u64::from(data), event);
        match outcome.and_then(|outcome| outcome.regs) {
            Some(regs) => Ok(super::call::from_regs(&regs, args.compat)),
            None => Ok(*args),
        }
    }

    fn event_stop(&mut self, event: u32, message: u64) {
        let Ok(regs) = self.context.regs().map(|regs| *regs) else { return };
        let status = WaitStatus::ptrace_stopped(Signal::SIGTRAP.number(), event);
        let info = Some(self.event_info(Signal::SIGTRAP, status));
        let report = Report { kind: Kind::Event(event), status, code: CLD_TRAPPED, info, message: Some(message) };
        if let Some(outcome) = self.stop_for_tracer(report, regs, None)
            && let Some(new) = outcome.regs
            && let Ok(regs) = self.context.regs()
        {
            *regs = new;
            self.task.ptrace.watch.set(super::Watch::DIRTY);
        }
    }

    fn number_for_tracer(&self, pid: &Pid) -> u64 {
        let number = self.tracer().map_or(0, |tracer| pid.number_in(tracer.pid_ns()));
        u64::try_from(number).unwrap_or(0)
    }
}
