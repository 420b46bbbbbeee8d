//! The tracee's side: it stops, tells its tracer, sleeps, and goes on as it was told.

use std::sync::Arc;

use abi::UserAddr;
use abi::poll::POLLIN;
use abi::ptrace::PTRACE_EVENT_STOP;
use abi::siginfo::{CLD_STOPPED, CLD_TRAPPED, SI_USER, SigInfo};
use abi::signal::Signal;
use abi::wait::WaitStatus;
use platform::{Regs, SyscallArgs};

use super::{Go, Stop};
use crate::error::{Code, Restart, SysResult};
use crate::task::activity::Activity;
use crate::task::signal::{Attention, Dequeued};
use crate::task::{CurrentTask, Task};

/// What a stop is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::task) enum Kind {
    /// A signal is about to be delivered.
    Signal,
    /// A group stop, or PTRACE_INTERRUPT.
    Group,
    /// A PTRACE_EVENT_*.
    Event(u32),
    /// Before a call.
    Entry,
    /// After a call.
    Exit,
    /// A filter asked for it, with this value.
    Seccomp(u32),
}

/// A stop that is about to happen.
#[derive(Clone, Copy, Debug)]
pub(in crate::task) struct Report {
    pub(in crate::task) kind: Kind,
    pub(in crate::task) status: WaitStatus,
    /// `si_code` of the tracer's SIGCHLD: CLD_TRAPPED or CLD_STOPPED.
    pub(in crate::task) code: i32,
    pub(in crate::task) info: Option<SigInfo>,
    pub(in crate::task) message: Option<u64>,
}

/// What the tracer left behind.
#[derive(Clone, Copy, Debug)]
pub(in crate::task) struct Outcome {
    /// The signal to deliver, 0 for none.
    pub(in crate::task) signal: i32,
    by: (i32, u32),
    /// What the stop's siginfo has become.
    info: Option<SigInfo>,
    /// Other registers than before.
    pub(in crate::task) regs: Option<Regs>,
}

/// A call that has returned but was not answered yet.
pub(in crate::task) type Call = (SyscallArgs, SysResult);

impl CurrentTask {
    /// Stops for the tracer with these registers. `None`: nobody traces, or death came.
    pub(in crate::task) fn stop_for_tracer(
        &mut self,
        report: Report,
        regs: Regs,
        call: Option<SyscallArgs>,
    ) -> Option<Outcome> {
        let fpu = self.context.fpu().ok()?;
        let leaving = matches!(report.kind, Kind::Event(abi::ptrace::PTRACE_EVENT_EXIT));
        let tracer = {
            let mut state = self.task.ptrace.state.lock();
            let tracer = state.tracer.as_ref()?.task.upgrade()?;
            if self.is_dying() && !leaving {
                return None;
            }
            if let Some(message) = report.message {
                state.message = message;
            }
            state.go = None;
            state.stop = Some(Box::new(Stop {
                kind: report.kind,
                status: report.status,
                reported: false,
                listening: false,
                info: report.info,
                regs,
                regs_changed: false,
                fpu,
                fpu_changed: false,
                call,
            }));
            self.set_activity(Activity::Traced);
            tracer
        };
        self.tell_tracer(&tracer, report.code, report.status);
        drop(tracer);
        self.task.clocks.pause();
        let go = self.sleep_traced(leaving);
        self.task.clocks.resume();
        self.set_activity(Activity::Run);
        let Go { signal, by, stop } = go?;
        if stop.fpu_changed {
            let _ = self.context.set_fpu(Some(&stop.fpu));
        }
        Some(Outcome { signal, by, info: stop.info, regs: stop.regs_changed.then_some(stop.regs) })
    }

    /// Sleeps until the tracer lets it go on. `None`: death came, or what a listening tracee waits for.
    fn sleep_traced(&self, leaving: bool) -> Option<Go> {
        loop {
            self.parker().reset();
            {
                let mut state = self.task.ptrace.state.lock();
                if let Some(go) = state.go.take() {
                    return Some(go);
                }
                let listening = state.stop.as_ref().is_none_or(|stop| stop.listening);
                let news = listening && self.attention().has(Attention::TRAP | Attention::STOP);
                if news || (!leaving && self.is_dying()) {
                    state.stop = None;
                    return None;
                }
            }
            self.parker().park(None);
        }
    }

    /// SIGCHLD to the tracer's process, and its wait(2)s wake up.
    fn tell_tracer(&self, tracer: &Arc<Task>, code: i32, status: WaitStatus) {
        let group = tracer.group();
        let rules = group.signals.child_rules();
        if !rules.ignored && !rules.no_stop {
            let mut info = self.group().child_info(group, code, status.0 >> 8 & 0x7f);
            info.set_pid(self.tid_in(group.pid().ns()));
            group.send_signal(info);
        }
        group.child_queue.notify(POLLIN);
    }

    /// The registers as a tracer sees them: those of a call that returned, with its result and its number.
    pub(in crate::task) fn traced_regs(&mut self, call: Option<&Call>) -> Option<Regs> {
        let mut regs = *self.context.regs().ok()?;
        match call {
            Some((args, result)) => {
                regs.rax = raw(result);
                regs.orig_rax = args.nr;
                regs.rip = args.ip.0;
            }
            None => {
                regs.orig_rax = u64::MAX;
                regs.rip = self.mm.outside_gates(UserAddr(regs.rip)).0;
            }
        }
        Some(regs)
    }

    /// A stop on the way back to application code: `call` is what it returns from. Registers that the tracer changed are
    /// left in the context, and `call` becomes what they say.
    pub(in crate::task) fn stop_on_return(&mut self, report: Report, call: &mut Option<Call>) -> Option<Outcome> {
        let regs = self.traced_regs(call.as_ref())?;
        let outcome = self.stop_for_tracer(report, regs, call.map(|(args, _)| args))?;
        if let Some(new) = outcome.regs {
            self.take_regs(&new, call);
        }
        Some(outcome)
    }

    /// Leaves what the tracer made of the registers in the context; `call` is then a call to be made again, or none.
    pub(super) fn take_regs(&mut self, new: &Regs, call: &mut Option<Call>) {
        let Ok(regs) = self.context.regs() else { return };
        *regs = *new;
        self.task.ptrace.watch.set(super::Watch::DIRTY);
        *call = match (call.as_ref(), restart_of(new.rax)) {
            // Perhaps elsewhere.
            (Some((args, _)), Some(restart)) if new.orig_rax.cast_signed() >= 0 => {
                let args = SyscallArgs { nr: new.orig_rax, ip: abi::UserAddr(new.rip), ..*args };
                Some((args, Err(restart.into())))
            }
            _ => None,
        };
    }

    /// A signal was taken: the tracer decides what becomes of it. `None`: it is not delivered.
    pub(in crate::task) fn show_signal(&mut self, taken: Dequeued, call: &mut Option<Call>) -> Option<Dequeued> {
        let report = Report {
            kind: Kind::Signal,
            status: WaitStatus::ptrace_stopped(taken.signal.number(), 0),
            code: CLD_TRAPPED,
            info: Some(taken.info),
            message: None,
        };
        // Detached in between: as if it had never been traced; killed: the caller looks.
        let Some(outcome) = self.stop_on_return(report, call) else { return Some(taken) };
        let signal = Signal::new(outcome.signal).ok()?;
        let info = match outcome.info {
            Some(info) if info.si_signo == signal.number() => info,
            _ => SigInfo::user(signal, SI_USER, outcome.by.0, outcome.by.1),
        };
        if self.signals.blocked().contains(signal) {
            self.send_signal(info);
            return None;
        }
        Some(Dequeued { signal, info })
    }

    /// A group stop, or PTRACE_INTERRUPT. `call` as for [`Self::stop_on_return`].
    pub(in crate::task) fn stop_in_group(&mut self, call: &mut Option<Call>) {
        let seized = self.signals.is_seized();
        let stopped = self.group().signals.stop_signal();
        if stopped.is_none() && !seized {
            return;
        }
        let signal = stopped.unwrap_or(Signal::SIGTRAP);
        let event = if seized { PTRACE_EVENT_STOP } else { 0 };
        let status = WaitStatus::ptrace_stopped(signal.number(), event);
        let report = Report {
            kind: Kind::Group,
            status,
            code: CLD_STOPPED,
            info: seized.then(|| self.event_info(signal, status)),
            message: None,
        };
        let went_on = self.stop_on_return(report, call).is_some();
        if went_on || self.is_dying() {
            // PTRACE_CONT: it runs, whatever the others do.
            self.group().signals.end_stop(&self.signals);
        }
    }

    /// The siginfo of a stop that is not about a signal.
    pub(in crate::task) fn event_info(&self, signal: Signal, status: WaitStatus) -> SigInfo {
        SigInfo::user(signal, status.0 >> 8, self.tid(), self.creds().user_ns.show_uid(self.creds().uid))
    }
}

/// A result as the register shows it to a tracer, restarts included.
pub(in crate::task) fn raw(result: &SysResult) -> u64 {
    let number = match result {
        Ok(value) => return *value,
        Err(error) => match error.code() {
            Code::Errno(errno) => errno.raw(),
            Code::Restart(Restart::Sys) => 512,
            Code::Restart(Restart::NoIntr) => 513,
            Code::Restart(Restart::NoHand) => 514,
            Code::Restart(Restart::Block) => 516,
        },
    };
    (-i64::from(number)).cast_unsigned()
}

fn restart_of(rax: u64) -> Option<Restart> {
    match rax.cast_signed() {
        -512 => Some(Restart::Sys),
        -513 => Some(Restart::NoIntr),
        -514 => Some(Restart::NoHand),
        -516 => Some(Restart::Block),
        _ => None,
    }
}
