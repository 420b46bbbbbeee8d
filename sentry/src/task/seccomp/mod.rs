//! seccomp(2) inside the sandbox: an application filters its own calls.
//!
//! Filters are a chain from the newest to the oldest, shared by the tasks that inherited it. A task that has any carries
//! [`Watch::SECCOMP`], so that others pay nothing. [`crate::bpf`] checks and runs programs; [`notify`] is the listener's side of
//! SECCOMP_RET_USER_NOTIF.
//!
//! Locks: a task's own state is a leaf; it changes under `Tree`, so that SECCOMP_FILTER_FLAG_TSYNC sees all threads.
//!
//! [`Watch::SECCOMP`]: super::ptrace::Watch::SECCOMP

mod install;
mod notify;

use std::sync::Arc;

use abi::Errno;
use abi::seccomp::*;
use abi::siginfo::{SYS_SECCOMP, SigInfo};
use abi::signal::Signal;
use abi::syscall_nr::{SYS_exit, SYS_read, SYS_rt_sigreturn, SYS_write};
use abi::wait::WaitStatus;
use platform::SyscallArgs;
use sync::Mutex;

use super::{CurrentTask, Task};
use crate::bpf::Program;
use crate::error::SysResult;
use crate::lock_order::Leaf;
use notify::Notifier;

/// What a filter says about a call, made into what happens.
pub(super) enum Verdict {
    /// It is made.
    Allow,
    /// It has this result.
    Answer(SysResult),
    /// It is made with what the tracer left.
    Changed(SyscallArgs),
    /// Registers, or death, say it all.
    Over,
}

/// One task's filters.
#[derive(Debug, Default)]
pub(super) struct Seccomp {
    state: Mutex<State, Leaf>,
}

#[derive(Clone, Debug, Default)]
struct State {
    strict: bool,
    filter: Option<Arc<Filter>>,
    /// Another thread's TSYNC gave this one no_new_privs, which it has not noted yet.
    bound: bool,
}

/// A filter and those before it.
#[derive(Debug)]
struct Filter {
    program: Program,
    before: Option<Arc<Filter>>,
    /// Instructions of the whole chain, as the limit counts them.
    weight: usize,
    notifier: Option<Arc<Notifier>>,
    /// SECCOMP_FILTER_FLAG_LOG.
    log: bool,
}

/// What a filter costs beyond its instructions.
const FILTER_PENALTY: usize = 4;

impl Filter {
    fn chain(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> {
        std::iter::successors(Some(self), |filter| filter.before.as_ref())
    }

    /// The answer that restricts most, of the newest filter that gives it.
    fn decide(self: &Arc<Self>, data: &SeccompData) -> (u32, &Arc<Self>) {
        let rank = |answer: u32| (answer & SECCOMP_RET_ACTION_FULL).cast_signed();
        let mut worst = (SECCOMP_RET_ALLOW, self);
        for filter in self.chain() {
            let answer = filter.program.run(data);
            if rank(answer) < rank(worst.0) {
                worst = (answer, filter);
            }
        }
        worst
    }
}

impl Drop for Filter {
    /// Not by recursion: a chain may be thousands long.
    fn drop(&mut self) {
        self.tell_end();
        let mut next = self.before.take();
        while let Some(filter) = next {
            next = Arc::into_inner(filter).and_then(|mut filter| filter.before.take());
        }
    }
}

impl Task {
    /// SECCOMP_MODE_*, as /proc/PID/status shows it.
    #[must_use]
    pub fn seccomp_mode(&self) -> u32 {
        let state = self.seccomp.state.lock();
        match (state.strict, &state.filter) {
            (true, _) => SECCOMP_MODE_STRICT,
            (false, Some(_)) => SECCOMP_MODE_FILTER,
            (false, None) => SECCOMP_MODE_DISABLED,
        }
    }

    /// How many filters it has.
    #[must_use]
    pub fn seccomp_filters(&self) -> usize {
        self.seccomp.state.lock().filter.as_ref().map_or(0, |filter| filter.chain().count())
    }

    /// PTRACE_SECCOMP_GET_FILTER: the instructions of a filter, the oldest being 0; ENOENT if there is none, EINVAL if it is
    /// not filtered.
    pub fn seccomp_program(&self, index: u64) -> Result<Vec<SockFilter>, Errno> {
        let filter = self.seccomp.state.lock().filter.clone().ok_or(Errno::EINVAL)?;
        let count = filter.chain().count() as u64;
        let from_newest = count.checked_sub(index + 1).ok_or(Errno::ENOENT)?;
        let at = usize::try_from(from_newest).map_err(|_| Errno::ENOENT)?;
        filter.chain().nth(at).map(|filter| filter.program.code().to_vec()).ok_or(Errno::ENOENT)
    }

    /// It has ended, and makes no call any more.
    pub(super) fn drop_seccomp(&self) {
        let old = self.seccomp.state.lock().filter.take();
        drop(old);
    }

    /// The filters of a new task. Under `Tree`.
    pub(super) fn inherit_seccomp(&self, child: &Self) {
        let state = self.seccomp.state.lock().clone();
        if state.strict || state.filter.is_some() {
            *child.seccomp.state.lock() = state;
            child.ptrace.watch.set(super::ptrace::Watch::SECCOMP);
        }
    }
}

impl CurrentTask {
    /// Asks the filters about a call.
    pub(super) fn filter_call(&mut self, args: &SyscallArgs) -> Verdict {
        let (strict, filter) = {
            let state = self.task.seccomp.state.lock();
            (state.strict, state.filter.clone())
        };
        if self.is_seccomp_suspended() {
            return Verdict::Allow;
        }
        if strict {
            return self.strict_call(args);
        }
        let Some(filter) = filter else { return Verdict::Allow };
        let (answer, by) = filter.decide(&data(args));
        let value = answer & SECCOMP_RET_DATA;
        match answer & SECCOMP_RET_ACTION_FULL {
            SECCOMP_RET_ALLOW => Verdict::Allow,
            SECCOMP_RET_LOG => {
                tracing::info!(tid = self.tid(), nr = args.nr, "seccomp: logged call");
                Verdict::Allow
            }
            SECCOMP_RET_ERRNO => Verdict::Answer(match i32::try_from(value.min(4095)) {
                Ok(0) | Err(_) => Ok(0),
                Ok(errno) => Err(Errno::from_raw(errno).into()),
            }),
            SECCOMP_RET_TRAP => {
                self.roll_back(args);
                self.force_signal(sigsys(args, value));
                Verdict::Over
            }
            SECCOMP_RET_TRACE => self.ask_tracer(args, value, &filter),
            SECCOMP_RET_USER_NOTIF => match &by.notifier {
                Some(notifier) => self.ask_listener(args, &Arc::clone(notifier)),
                None => Verdict::Answer(Err(Errno::ENOSYS.into())),
            },
            SECCOMP_RET_KILL_THREAD if self.group().live_threads() > 1 => {
                if by.log {
                    tracing::info!(tid = self.tid(), nr = args.nr, "seccomp: killed thread");
                }
                self.exit_thread(WaitStatus::signaled(Signal::SIGSYS, false));
                Verdict::Answer(Ok(0))
            }
            // KILL_PROCESS, and anything unknown.
            _ => {
                self.roll_back(args);
                self.force_fatal(sigsys(args, value));
                Verdict::Over
            }
        }
    }

    fn strict_call(&mut self, args: &SyscallArgs) -> Verdict {
        if [SYS_read, SYS_write, SYS_exit, SYS_rt_sigreturn].contains(&args.nr) && !args.compat {
            return Verdict::Allow;
        }
        self.exit_thread(WaitStatus::signaled(Signal::SIGKILL, false));
        Verdict::Answer(Ok(0))
    }

    /// The tracer may change the call; what it makes of it passes through the filters again.
    fn ask_tracer(&mut self, args: &SyscallArgs, value: u32, filter: &Arc<Filter>) -> Verdict {
        let Ok(changed) = self.tell_seccomp(args, value) else {
            return Verdict::Answer(Err(Errno::ENOSYS.into()));
        };
        if self.is_dying() {
            return Verdict::Over;
        }
        if changed.nr == u64::MAX {
            return Verdict::Changed(changed);
        }
        let (answer, _) = filter.decide(&data(&changed));
        match answer & SECCOMP_RET_ACTION_FULL {
            SECCOMP_RET_TRACE | SECCOMP_RET_ALLOW | SECCOMP_RET_LOG => Verdict::Changed(changed),
            _ => self.filter_call(&changed),
        }
    }

    /// Registers as they were before the call.
    pub(super) fn roll_back(&mut self, args: &SyscallArgs) {
        if let Ok(regs) = self.context.regs() {
            regs.rax = args.nr;
            regs.rip = args.ip.0;
            self.resume_with_regs();
        }
    }
}

fn data(args: &SyscallArgs) -> SeccompData {
    SeccompData {
        #[expect(clippy::cast_possible_truncation, reason = "the number is an int")]
        nr: (args.nr as u32).cast_signed(),
        arch: if args.compat { AUDIT_ARCH_I386 } else { AUDIT_ARCH_X86_64 },
        instruction_pointer: args.ip.0,
        args: args.args,
    }
}

fn sigsys(args: &SyscallArgs, value: u32) -> SigInfo {
    let data = data(args);
    SigInfo::sys(SYS_SECCOMP, args.ip.0, data.nr, data.arch, value.cast_signed())
}
