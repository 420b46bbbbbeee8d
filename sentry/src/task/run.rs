//! The loop of a task's thread: run application code, get an event, handle it, look after signals, go on.
//!
//! A plain system call passes through here without an allocation and without a lock that other tasks share.

use abi::siginfo::{SEGV_MAPERR, SigInfo};
use abi::signal::Signal;
use abi::syscall_nr::{
    SYS_read, SYS_readv, SYS_recvfrom, SYS_recvmsg, SYS_sendmsg, SYS_sendto, SYS_tgkill, SYS_write, SYS_writev,
};
use abi::wait::WaitStatus;
use abi::{Errno, UserAddr};
use platform::{Access, Event, PlatformError, Resume, SyscallArgs};

use super::activity::Activity;
use super::ptrace::Watch;
use super::signal::Death;
use super::{CurrentTask, vsyscall};
use crate::error::SysResult;
use crate::kernel::room;

/// Calls that wake others with locks held, and then only let go of these: whom they wake wakes up afterwards.
const ENDS_SOON: [u64; 9] =
    [SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_tgkill];

/// What a task does next. A checkpoint finds every task in one of these.
#[derive(Clone, Copy, Debug)]
enum RunState {
    /// Go on with application code: after this call, with this result, or after another event.
    GoOn(Option<(SyscallArgs, SysResult)>),
    /// Make this call.
    Syscall(SyscallArgs),
    /// End the thread.
    Exit,
}

impl CurrentTask {
    /// Runs the task until it has ended. The registers that the context holds are loaded first.
    pub(super) fn run(mut self: Box<Self>) {
        self.begin();
        let mut state = RunState::GoOn(None);
        loop {
            state = match state {
                RunState::GoOn(call) => self.go_on(call),
                RunState::Syscall(args) => self.make_call(args),
                RunState::Exit => break,
            };
        }
        self.finish();
    }

    /// First things on the task's own thread.
    fn begin(&mut self) {
        self.task.clocks.start();
        super::here::set(&self.task);
        if self.task.is_leader() {
            self.task.group.cpu_limit_changed();
        }
        self.resume = Some(Resume::Regs);
        if let Some(at) = self.set_child_tid.take() {
            let _ = self.mm.write(at, &self.task.tid());
        }
    }

    /// Looks after signals and stops, then runs application code until the next event.
    fn go_on(&mut self, call: Option<(SyscallArgs, SysResult)>) -> RunState {
        let resume = match self.return_to_user(call) {
            Ok(resume) => resume,
            Err(Death(status)) => {
                self.exit = Some(status);
                return RunState::Exit;
            }
        };
        if self.group().container().is_frozen() {
            self.sleep_frozen();
        }
        if !self.task.attention().enter_app() {
            // Something came in between. A result is not stored yet: a signal may still find the call unfinished.
            return RunState::GoOn(match resume {
                Resume::Return(_) => call,
                Resume::AsIs => None,
                Resume::Regs => {
                    self.resume = Some(resume);
                    None
                }
            });
        }
        let resume = match self.task.ptrace.watch.has(Watch::STEP | Watch::DIRTY) {
            true => self.prepare_run(resume),
            false => resume,
        };
        self.task.kernel().vdso.refresh();
        self.task.clocks.pause();
        let event = self.context.run(self.mm.address_space(), resume);
        self.task.clocks.resume();
        self.task.attention().leave_app();
        self.parker().goes_on();
        if self.stepping {
            self.end_step();
        }
        match event {
            Ok(Event::Syscall(args)) => {
                if self.context.take_hot_site() && !self.is_traced() {
                    self.mm.rewrite(&args);
                }
                RunState::Syscall(args)
            }
            Ok(Event::Fault { addr, access }) => self.fault(addr, access),
            Ok(Event::Exception(exception)) => {
                self.exception_signal(&exception);
                RunState::GoOn(None)
            }
            Ok(Event::Interrupted) => RunState::GoOn(None),
            Err(error) => self.platform_failed(&error),
        }
    }

    /// Sleeps while the container is paused; only death ends it early.
    fn sleep_frozen(&self) {
        let container = self.group().container();
        let id = container.thawed().register(1, self.as_wake());
        loop {
            self.parker().reset();
            if !container.is_frozen() || self.is_dying() {
                break;
            }
            self.set_activity(Activity::Stopped);
            self.parker().park(None);
        }
        self.set_activity(Activity::Run);
        container.thawed().unregister(id);
    }

    /// Nothing was left when it was looked at last. What ended since then, a process that was killed for its memory above all,
    /// has left something.
    #[cold]
    fn is_short_of_room(&self) -> bool {
        room::look_again(|| self.task.kernel().memory_used());
        room::is_short()
    }

    fn make_call(&mut self, args: SyscallArgs) -> RunState {
        if self.task.ptrace.watch.has(Watch::CALLS | Watch::EMULATE | Watch::STEP | Watch::SECCOMP | Watch::DISPATCH) {
            let call = self.watched_call(&args);
            return if self.exit.is_some() { RunState::Exit } else { RunState::GoOn(call) };
        }
        let ends_soon = ENDS_SOON.contains(&args.nr);
        if ends_soon {
            sync::hold_wakes();
        }
        let result = self.dispatch(&args);
        if ends_soon {
            sync::release_wakes();
        }
        if self.exit.is_some() { RunState::Exit } else { RunState::GoOn(Some((args, result))) }
    }

    pub(super) fn dispatch(&mut self, args: &SyscallArgs) -> SysResult {
        let kernel = self.task.kernel();
        let row = if args.compat { None } else { kernel.syscalls.get(args.nr).copied() };
        match row {
            Some(_) if room::is_short() && room::takes(args.nr) && self.is_short_of_room() => Err(Errno::ENOMEM.into()),
            Some(row) if kernel.strace => self.trace_call(&row, args),
            Some(row) => (row.handler)(self, args),
            None => {
                if kernel.strace {
                    tracing::debug!("[{}] syscall_{:#x}() = -1 ENOSYS", self.task.tid(), args.nr);
                }
                Err(Errno::ENOSYS.into())
            }
        }
    }

    fn fault(&mut self, addr: UserAddr, access: Access) -> RunState {
        if vsyscall::contains(addr) {
            match self.emulate_vsyscall(addr) {
                Some(resume) => self.resume = Some(resume),
                None => self.fault_signal(addr, access, SigInfo::fault(Signal::SIGSEGV, SEGV_MAPERR, addr.0)),
            }
            return RunState::GoOn(None);
        }
        match self.mm.handle_fault(addr, access, &mut self.faults) {
            Ok(()) => self.task.usage.count_fault(),
            Err(signal) => self.fault_signal(addr, access, signal.info(addr)),
        }
        RunState::GoOn(None)
    }

    /// The host took the stub away, or refuses what we need: the process cannot go on.
    fn platform_failed(&mut self, error: &PlatformError) -> RunState {
        tracing::warn!(tid = self.task.tid(), %error, "application code cannot run");
        self.exit_group(WaitStatus::signaled(Signal::SIGKILL, false));
        RunState::Exit
    }
}

/// An errno as the register shows it.
pub(super) fn error_value(errno: Errno) -> u64 {
    (-i64::from(errno.raw())).cast_unsigned()
}
