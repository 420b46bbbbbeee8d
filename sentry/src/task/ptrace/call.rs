//! Stops before and after calls, and single steps.

use abi::ptrace::PtraceOptions;
use abi::sigframe::EFLAGS_TF;
use abi::siginfo::{CLD_TRAPPED, SigInfo, TRAP_BRKPT};
use abi::signal::Signal;
use abi::wait::WaitStatus;
use abi::{Errno, UserAddr};
use platform::{Resume, SyscallArgs};

use super::stop::{Call, Kind, Outcome, Report, raw};
use super::{State, Watch};
use crate::error::SysResult;
use crate::task::CurrentTask;
use crate::task::seccomp::Verdict;

/// PTRACE_GETEVENTMSG at a stop before a call, and after it.
const MESSAGE_ENTRY: u64 = 1;
const MESSAGE_EXIT: u64 = 2;

/// What becomes of a call.
enum Decision {
    /// Make it.
    Make(SyscallArgs),
    /// It was answered; the result is still to be shown to the tracer.
    Answered(SyscallArgs, SysResult),
    /// Registers say it all.
    Over,
}

impl CurrentTask {
    /// Makes a call of a task that is traced or filtered. `None`: the registers in the context are what it returns to.
    pub(in crate::task) fn watched_call(&mut self, args: &SyscallArgs) -> Option<Call> {
        let (args, result) = match self.before_call(*args) {
            Decision::Over => return None,
            Decision::Answered(args, result) => (args, result),
            Decision::Make(args) => {
                let result = self.dispatch(&args);
                (args, result)
            }
        };
        if self.exit.is_some() {
            return Some((args, result));
        }
        self.after_call(args, result)
    }

    fn before_call(&mut self, mut args: SyscallArgs) -> Decision {
        let watch = self.task.ptrace.watch.get();
        if watch & Watch::DISPATCH != 0 && self.hand_back(&args) {
            return Decision::Over;
        }
        if watch & (Watch::CALLS | Watch::EMULATE) != 0 {
            let stopped = self.stop_in_call(&args, Kind::Entry, MESSAGE_ENTRY, None);
            if self.is_dying() {
                return Decision::Over;
            }
            if let Some(outcome) = stopped {
                self.deliver_now(&outcome);
                if let Some(regs) = outcome.regs {
                    args = from_regs(&regs, args.compat);
                }
                if watch & Watch::EMULATE != 0 {
                    return self.give_up(&args, outcome.regs.map_or_else(|| raw(&absent()), |regs| regs.rax));
                }
                if args.nr == u64::MAX {
                    let rax = outcome.regs.map_or_else(|| raw(&absent()), |regs| regs.rax);
                    return Decision::Answered(args, Ok(rax));
                }
            }
        }
        if !self.task.ptrace.watch.has(Watch::SECCOMP) {
            return Decision::Make(args);
        }
        match self.filter_call(&args) {
            Verdict::Allow => Decision::Make(args),
            Verdict::Answer(result) => Decision::Answered(args, result),
            Verdict::Over => Decision::Over,
            Verdict::Changed(args) if args.nr == u64::MAX => {
                let rax = self.context.regs().map_or(0, |regs| regs.rax);
                Decision::Answered(args, Ok(rax))
            }
            Verdict::Changed(args) => Decision::Make(args),
        }
    }

    /// The call is not made; application code goes on behind it.
    fn give_up(&mut self, args: &SyscallArgs, rax: u64) -> Decision {
        if let Ok(regs) = self.context.regs() {
            regs.rax = rax;
            regs.rip = args.ip.0;
            self.resume_with_regs();
        }
        Decision::Over
    }

    fn after_call(&mut self, args: SyscallArgs, result: SysResult) -> Option<Call> {
        let watch = self.task.ptrace.watch.get();
        if watch & Watch::STEP != 0 {
            self.force_signal(SigInfo::fault(Signal::SIGTRAP, TRAP_BRKPT, args.ip.0));
            return Some((args, result));
        }
        if watch & Watch::CALLS == 0 {
            return Some((args, result));
        }
        // execve and rt_sigreturn left registers, and not a result.
        let replaced = self.resume.take();
        let mut call = Some((args, result));
        let Some(mut regs) = self.traced_regs(call.as_ref()) else { return call };
        if replaced.is_some()
            && let Ok(own) = self.context.regs()
        {
            (regs.rax, regs.rip) = (own.rax, own.rip);
        }
        let report = self.call_report(Kind::Exit, MESSAGE_EXIT);
        let outcome = self.stop_for_tracer(report, regs, Some(args));
        self.resume = replaced;
        let Some(outcome) = outcome else { return call };
        self.deliver_now(&outcome);
        if let Some(new) = outcome.regs {
            self.take_regs(&new, &mut call);
        }
        call
    }

    /// Stops while a call is being made: its registers can be changed, and are loaded when it returns.
    pub(in crate::task) fn stop_in_call(
        &mut self,
        args: &SyscallArgs,
        kind: Kind,
        message: u64,
        event: Option<u32>,
    ) -> Option<Outcome> {
        let regs = self.traced_regs(Some(&(*args, absent())))?;
        let mut report = self.call_report(kind, message);
        if let Some(event) = event {
            report.status = WaitStatus::ptrace_stopped(Signal::SIGTRAP.number(), event);
            report.info = Some(self.event_info(Signal::SIGTRAP, report.status));
        }
        let outcome = self.stop_for_tracer(report, regs, Some(*args))?;
        if let Some(new) = outcome.regs
            && let Ok(regs) = self.context.regs()
        {
            *regs = new;
            self.task.ptrace.watch.set(Watch::DIRTY);
        }
        Some(outcome)
    }

    fn call_report(&self, kind: Kind, message: u64) -> Report {
        let good = self.task.ptrace.state.lock().has_option(PtraceOptions::PTRACE_O_TRACESYSGOOD);
        let signal = Signal::SIGTRAP.number() | if good { 0x80 } else { 0 };
        let status = WaitStatus::ptrace_stopped(signal, 0);
        let info = self.event_info(Signal::SIGTRAP, status);
        Report { kind, status, code: CLD_TRAPPED, info: Some(info), message: Some(message) }
    }

    /// At stops that are not about a signal, PTRACE_CONT sends one.
    fn deliver_now(&self, outcome: &Outcome) {
        if let Ok(signal) = Signal::new(outcome.signal) {
            self.send_signal(SigInfo::kernel(signal));
        }
    }

    /// A handler is about to run: a single step ends before its first instruction.
    pub(in crate::task) fn step_into_handler(&mut self) {
        if !self.task.ptrace.watch.has(Watch::STEP) {
            return;
        }
        let status = WaitStatus::ptrace_stopped(Signal::SIGTRAP.number(), 0);
        let info = Some(self.event_info(Signal::SIGTRAP, status));
        let report = Report { kind: Kind::Signal, status, code: CLD_TRAPPED, info, message: Some(0) };
        self.stop_on_return(report, &mut None);
    }

    /// PTRACE_O_SUSPEND_SECCOMP.
    pub(in crate::task) fn is_seccomp_suspended(&self) -> bool {
        self.is_traced() && self.task.ptrace.state.lock().has_option(PtraceOptions::PTRACE_O_SUSPEND_SECCOMP)
    }

    /// Before application code runs: a step is prepared, and changed registers are loaded.
    #[cold]
    pub(in crate::task) fn prepare_run(&mut self, resume: Resume) -> Resume {
        let step = self.task.ptrace.watch.has(Watch::STEP);
        let Ok(regs) = self.context.regs() else { return resume };
        if let Resume::Return(rax) = resume {
            regs.rax = rax;
        }
        if step && regs.eflags & EFLAGS_TF == 0 {
            regs.eflags |= EFLAGS_TF;
            self.stepping = true;
        }
        self.task.ptrace.watch.clear(Watch::DIRTY);
        Resume::Regs
    }

    /// After application code ran a step: the flag is not the application's.
    #[cold]
    pub(in crate::task) fn end_step(&mut self) {
        self.stepping = false;
        if let Ok(regs) = self.context.regs() {
            regs.eflags &= !EFLAGS_TF;
            self.task.ptrace.watch.set(Watch::DIRTY);
        }
    }
}

impl State {
    pub(super) fn has_option(&self, option: PtraceOptions) -> bool {
        self.tracer.as_ref().is_some_and(|tracer| tracer.options.contains(option))
    }
}

/// What a call shows before it is made.
fn absent() -> SysResult {
    Err(Errno::ENOSYS.into())
}

/// The call that registers stand for.
pub(in crate::task) fn from_regs(regs: &platform::Regs, compat: bool) -> SyscallArgs {
    // The number is an int.
    let nr = regs.orig_rax & 0xffff_ffff;
    SyscallArgs {
        nr: if nr == 0xffff_ffff { u64::MAX } else { nr },
        args: [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9],
        ip: UserAddr(regs.rip),
        compat,
    }
}
