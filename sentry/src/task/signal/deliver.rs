//! Between an event and the next run of application code: stops, death, handlers, restarted calls.

use std::sync::Arc;

use abi::UserAddr;
use abi::resource::Resource;
use abi::siginfo::SigInfo;
use abi::signal::{DefaultAction, SIG_IGN, SS_AUTODISARM, SaFlags, SigAction, Signal, Stack};
use abi::wait::WaitStatus;
use platform::{Resume, SyscallArgs};

use super::arch::{self, Entry};
use super::restart::{Ending, ending};
use super::stop::Joined;
use super::{Attention, Dequeued, GroupSignals, TaskSignals, action};
use crate::error::{Result, SysResult};
use crate::task::CurrentTask;
use crate::task::activity::Activity;

/// The task ends, with this status of its process (or of itself, if another thread is in execve).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death(pub WaitStatus);

/// A call that has returned but not been answered yet.
type Call = (SyscallArgs, SysResult);

/// What the signals of a task ask for.
enum Next {
    Nothing,
    Handle(Dequeued, SigAction),
    Die(WaitStatus),
}

impl CurrentTask {
    /// Everything that comes between an event and the next run. `call`: the event was this system call, with this result.
    /// Returns how to run on.
    pub fn return_to_user(&mut self, call: Option<Call>) -> Result<Resume, Death> {
        if self.resume.is_none()
            && self.own_signals.saved_mask.is_none()
            && !self.attention().any()
            && let Some(resume) = quick(call.as_ref())
        {
            return Ok(resume);
        }
        self.look_after(call)
    }

    /// The long way of [`Self::return_to_user`].
    fn look_after(&mut self, call: Option<Call>) -> Result<Resume, Death> {
        // A call that replaced all registers (execve, rt_sigreturn) has no result to store.
        let mut resume = self.resume.take();
        let mut call = if resume.is_some() { None } else { call };
        loop {
            if self.attention().take(Attention::WORK) {
                self.note_seccomp();
            }
            if self.attention().has(Attention::REQUEST) {
                self.do_work();
            }
            match self.next_signal(&mut call) {
                Next::Die(status) => return Err(Death(status)),
                Next::Handle(taken, action) => {
                    self.handle(&taken, &action, call.take())?;
                    resume = Some(Resume::Regs);
                    self.step_into_handler();
                }
                Next::Nothing => {
                    if let Some(call) = call.take() {
                        resume = Some(self.finish_call(&call)?);
                    }
                    // May open the mask for a signal.
                    if let Some(mask) = self.own_signals.saved_mask.take() {
                        self.set_blocked(mask);
                    }
                    if !self.attention().any() {
                        return Ok(resume.unwrap_or(Resume::AsIs));
                    }
                }
            }
        }
    }

    /// Answers a call that no handler interrupts.
    fn finish_call(&mut self, (args, result): &Call) -> Result<Resume, Death> {
        let restart = match ending(result, None) {
            Ending::Return(rax) => return Ok(Resume::Return(rax)),
            Ending::Again => arch::restart_same,
            Ending::Block => arch::restart_block,
        };
        restart(self.context.regs().map_err(|_| lost())?, args);
        Ok(Resume::Regs)
    }

    /// Starts a handler. A frame that cannot be built ends in SIGSEGV.
    fn handle(&mut self, taken: &Dequeued, action: &SigAction, call: Option<Call>) -> Result<(), Death> {
        if let Some((args, result)) = call {
            let regs = self.context.regs().map_err(|_| lost())?;
            match ending(&result, Some(action)) {
                Ending::Return(rax) => arch::finish(regs, &args, rax),
                Ending::Again => arch::restart_same(regs, &args),
                Ending::Block => arch::restart_block(regs, &args),
            }
        }
        let mask = self.own_signals.saved_mask.unwrap_or_else(|| self.signals.blocked());
        let entry = Entry {
            info: &taken.info,
            action,
            mask,
            altstack: self.own_signals.altstack,
            fault: self.own_signals.fault,
        };
        let fpu = self.context.fpu().map_err(|_| lost())?;
        let regs = self.context.regs().map_err(|_| lost())?;
        regs.rip = self.mm.outside_gates(UserAddr(regs.rip)).0;
        match arch::write_frame(&self.mm, regs, fpu, &entry) {
            Ok(frame) => arch::enter(regs, frame, taken.signal, action.handler),
            Err(_) => {
                let info = SigInfo::kernel(Signal::SIGSEGV);
                self.force(info, taken.signal == Signal::SIGSEGV);
                return Ok(());
            }
        }
        self.context.set_fpu(None).map_err(|_| lost())?;
        self.own_signals.saved_mask = None;
        if self.own_signals.altstack.ss_flags & SS_AUTODISARM != 0 {
            self.own_signals.altstack = Stack::DISABLED;
        }
        let mut blocked = self.signals.blocked().union(action.mask);
        if !action.flags.contains(SaFlags::SA_NODEFER) {
            blocked.insert(taken.signal);
        }
        self.set_blocked(blocked);
        Ok(())
    }

    /// Takes signals until one is to be handled or kills, or none is left; stops in between.
    fn next_signal(&mut self, call: &mut Option<Call>) -> Next {
        let task = Arc::clone(&self.task);
        let (group, me) = (task.group(), &task.signals);
        loop {
            if let Some(notice) = group.signals.take_untold() {
                group.report_job(notice);
                continue;
            }
            if me.attention().killed() {
                return Next::Die(group.signals.exit_status().unwrap_or(WaitStatus::exited(0)));
            }
            if let Joined::Stopped(notice) = group.signals.join_stop(me) {
                if let Some(notice) = notice
                    && (!me.is_traced() || task.is_traced_by_stranger())
                {
                    group.report_job(notice);
                }
                if me.is_traced() {
                    self.stop_in_group(call);
                } else {
                    self.sleep_stopped();
                }
                continue;
            }
            if me.attention().take(Attention::TRAP) {
                if me.is_traced() {
                    self.stop_in_group(call);
                }
                continue;
            }
            let Some((mut taken, mut action, rules)) = group.signals.take_next(me) else { return Next::Nothing };
            if me.is_traced() && taken.signal != Signal::SIGKILL {
                match self.show_signal(taken, call) {
                    Some(left) => taken = left,
                    None => continue,
                }
                if me.attention().killed() {
                    continue;
                }
                action = group.signals.action_for(taken.signal);
            }
            let signal = taken.signal;
            if action.handler == SIG_IGN {
                continue;
            }
            if action::is_caught(&action) {
                return Next::Handle(taken, action);
            }
            match signal.default_action() {
                DefaultAction::Ignore | DefaultAction::Continue => {}
                _ if rules.protected && !abi::signal::SigSet::UNBLOCKABLE.contains(signal) => {}
                DefaultAction::Stop => {
                    // A job that nobody controls must not stop for ever at the terminal.
                    let orphaned = || group.process_group().is_none_or(|pg| pg.is_orphaned());
                    if signal == Signal::SIGSTOP || !orphaned() {
                        group.signals.start_stop(signal, rules.undone);
                    }
                }
                DefaultAction::Terminate => return self.die_of(signal, false),
                DefaultAction::Core => {
                    return self.die_of(signal, group.limits().soft(Resource::RLIMIT_CORE) > 0);
                }
            }
        }
    }

    fn die_of(&self, signal: Signal, core: bool) -> Next {
        Next::Die(self.group().signals.begin_exit(Some(&self.signals), WaitStatus::signaled(signal, core)))
    }

    /// Sleeps until SIGCONT or death.
    fn sleep_stopped(&self) {
        self.set_activity(Activity::Stopped);
        loop {
            self.parker().reset();
            if !self.signals.is_stopped() {
                break;
            }
            if self.attention().killed() {
                self.group().signals.end_stop(&self.signals);
                break;
            }
            if self.attention().has(Attention::TRAP) {
                break;
            }
            self.parker().park(None);
        }
        self.set_activity(Activity::Run);
    }
}

/// The ordinary case: nothing to look after, and a result that can be stored as it is.
#[inline]
fn quick(call: Option<&Call>) -> Option<Resume> {
    let Some((_, result)) = call else { return Some(Resume::AsIs) };
    match ending(result, None) {
        Ending::Return(rax) => Some(Resume::Return(rax)),
        Ending::Again | Ending::Block => None,
    }
}

/// The platform lost the task: it dies as if killed.
fn lost() -> Death {
    Death(WaitStatus::signaled(Signal::SIGKILL, false))
}

/// What the state of the group said when a signal was taken.
#[derive(Clone, Copy, Debug)]
struct Rules {
    protected: bool,
    /// For [`GroupSignals::start_stop`].
    undone: u64,
}

impl GroupSignals {
    /// Takes the next signal of the calling thread, and its action.
    fn take_next(&self, me: &Arc<TaskSignals>) -> Option<(Dequeued, SigAction, Rules)> {
        if !me.attention().has(Attention::SIGNAL) {
            return None;
        }
        let taken = self.with_state(|state| {
            let taken = state.dequeue(me, me.blocked())?;
            // What a tracer makes of the signal comes first.
            let action = match me.is_traced() {
                true => state.actions.get(taken.signal),
                false => state.actions.take_for_delivery(taken.signal),
            };
            Some((taken, action, Rules { protected: state.protected, undone: state.stop.undone() }))
        });
        self.recalculate(me);
        taken
    }

    /// The action of a signal that is delivered now.
    fn action_for(&self, signal: Signal) -> SigAction {
        self.peek().actions.take_for_delivery(signal)
    }

    /// Starts a group stop for a signal that was taken when `undone` was read; SIGCONT since then makes it void.
    fn start_stop(&self, signal: Signal, undone: u64) {
        self.with_state(|state| state.start_stop(signal, undone));
    }
}
