//! A stub while this thread traces it: its registers, and what can be done to it between two stretches of application code.
//!
//! Only the thread that attached may call anything here but [`Tracee::kill`]; the kernel refuses it to others.

use std::sync::Arc;
use std::thread::ThreadId;

use abi::Errno;
use host::child::{self, Waited};
use host::ptrace::{self, Go};
use parking_lot::Mutex;

use super::memory::{Memory, RECORDS};
use super::placement::Seat;
use super::stop::Stop;
use super::text;
use crate::regs::{REGS_RAX, Regs};
use crate::stub::commands::Record;
use crate::stub::{host_error, sanitise, zygote};
use crate::traits::PlatformError;

/// A stub that this process traces.
#[derive(Debug)]
pub(super) struct Tracee {
    tid: i32,
    memory: Arc<Memory>,
    tracer: ThreadId,
    seat: Option<Arc<Seat>>,
    /// Locked by the tracer alone, so never waited for.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The application's registers.
    regs: Regs,
    /// Whether `regs` is what the application has.
    known: bool,
    /// Whether the stub has other registers now, because we put it to work.
    borrowed: bool,
    /// A change of rax alone, not in the stub yet.
    rax: Option<u64>,
    /// Dead and reaped, or released: not ours to touch any more.
    gone: bool,
}

impl Tracee {
    /// Starts to trace an idle stub of `memory`. Its application registers are all zero.
    pub(super) fn attach(tid: i32, memory: &Arc<Memory>) -> Result<Arc<Self>, PlatformError> {
        // First of all, so that the stub wakes up here and not on a CPU that sleeps.
        Self::attach_in(Seat::take(tid), tid, memory)
    }

    /// The same for a trial, wherever the two happen to run.
    pub(super) fn attach_unbound(tid: i32, memory: &Arc<Memory>) -> Result<Arc<Self>, PlatformError> {
        Self::attach_in(None, tid, memory)
    }

    fn attach_in(seat: Option<Arc<Seat>>, tid: i32, memory: &Arc<Memory>) -> Result<Arc<Self>, PlatformError> {
        let state = State { regs: Regs::start(0, 0), known: true, borrowed: true, rax: None, gone: false };
        let tracee = Self {
            tid,
            memory: Arc::clone(memory),
            tracer: std::thread::current().id(),
            seat,
            state: Mutex::new(state),
        };
        match tracee.stop_parked() {
            Ok(()) => Ok(Arc::new(tracee)),
            Err(error) => {
                tracee.kill();
                Err(error)
            }
        }
    }

    fn stop_parked(&self) -> Result<(), PlatformError> {
        let options = libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACESYSGOOD;
        ptrace::seize(self.tid, options).map_err(|errno| self.failed("PTRACE_SEIZE", errno))?;
        ptrace::interrupt(self.tid).map_err(|errno| self.failed("PTRACE_INTERRUPT", errno))?;
        let mut state = self.state.lock();
        while self.wait(&mut state)? != Stop::Trap {
            self.go(Go::Continue)?;
        }
        if text::is_parked(self.get_regs()?.rip) {
            return Ok(());
        }
        // Stopped before it had finished starting: start over.
        let (file, offset) = self.memory.command_page();
        let file = std::os::fd::AsRawFd::as_raw_fd(&file) as u64;
        let start = text::start(zygote::sentry_pid(), offset, file);
        match self.execute(&mut state, &start)? {
            true => Ok(()),
            false => Err(host_error("start of a stub", Errno::EFAULT)),
        }
    }

    pub(super) fn tid(&self) -> i32 {
        self.tid
    }

    pub(super) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Whether the calling thread is the tracer.
    pub(super) fn is_ours(&self) -> bool {
        self.tracer == std::thread::current().id()
    }

    /// The application's registers.
    pub(super) fn regs(&self) -> Result<Regs, PlatformError> {
        let mut state = self.state.lock();
        self.learn(&mut state)?;
        Ok(state.regs)
    }

    /// Replaces the application's registers, which must have been made valid.
    pub(super) fn set_regs(&self, regs: &Regs) {
        let mut state = self.state.lock();
        state.regs = *regs;
        state.known = true;
        state.borrowed = true;
        state.rax = None;
    }

    /// Replaces the application's rax.
    pub(super) fn set_rax(&self, value: u64) {
        let mut state = self.state.lock();
        state.regs.rax = value;
        state.rax = Some(value);
    }

    /// Copies the vector state into `area`; returns its length.
    pub(super) fn xstate(&self, area: &mut [u8]) -> Result<usize, PlatformError> {
        ptrace::get_xstate(self.tid, area).map_err(|errno| self.failed("PTRACE_GETREGSET", errno))
    }

    /// Replaces the vector state.
    pub(super) fn set_xstate(&self, area: &[u8]) -> Result<(), PlatformError> {
        ptrace::set_xstate(self.tid, area).map_err(|errno| self.failed("PTRACE_SETREGSET", errno))
    }

    /// Puts the application's registers in place. After this only [`Self::run`] may follow.
    pub(super) fn make_ready(&self) -> Result<(), PlatformError> {
        let mut state = self.state.lock();
        // The kernel would take these for a call to restart if a signal came now.
        if state.rax.is_some_and(|rax| (-516..=-512).contains(&rax.cast_signed())) {
            self.learn(&mut state)?;
            state.regs.orig_rax = u64::MAX;
            state.borrowed = true;
        }
        if state.borrowed {
            let mut regs = state.regs;
            sanitise::bases(&mut regs);
            self.put_regs(&regs)?;
            state.borrowed = false;
        } else if let Some(rax) = state.rax {
            ptrace::set_reg(self.tid, REGS_RAX, rax).map_err(|errno| self.failed("PTRACE_POKEUSER", errno))?;
        }
        state.rax = None;
        Ok(())
    }

    /// Runs application code until the stub stops.
    pub(super) fn run(&self) -> Result<Stop, PlatformError> {
        let mut state = self.state.lock();
        state.known = false;
        if let Some(seat) = &self.seat {
            seat.count();
        }
        self.go(Go::SysEmu)?;
        self.wait(&mut state)
    }

    /// Makes host calls in the stub, in order. The error is that of the first call that failed.
    pub(super) fn batch(&self, records: &[Record]) -> Result<Result<(), Errno>, PlatformError> {
        let mut state = self.state.lock();
        for chunk in records.chunks(RECORDS) {
            for (index, record) in chunk.iter().enumerate() {
                self.memory.write_record(index, record);
            }
            if !self.execute(&mut state, &text::batch(0, chunk.len() as u64))? {
                let errno = self.get_regs()?.rax.cast_signed().wrapping_neg();
                return Ok(Err(Errno::from_raw(errno as i32)));
            }
        }
        Ok(Ok(()))
    }

    /// Makes another stub that shares this one's memory.
    pub(super) fn clone_sibling(&self) -> Result<i32, PlatformError> {
        let mut state = self.state.lock();
        let regs = text::sibling(zygote::sentry_pid());
        self.execute(&mut state, &regs)?;
        match self.get_regs()?.rax.cast_signed() {
            pid if pid > 0 => Ok(pid as i32),
            errno => Err(host_error("clone of a stub", Errno::from_raw(errno.wrapping_neg() as i32))),
        }
    }

    /// Stops tracing: the stub parks in its memory. Kills it if that does not work; returns whether it did.
    pub(super) fn release(&self) -> bool {
        let ready = self.is_ours() && !self.is_gone() && self.put_regs(&text::park()).is_ok();
        let parked = ready && ptrace::detach(self.tid).is_ok();
        if parked {
            self.stand_up();
            self.state.lock().gone = true;
            self.memory.park(self.tid);
        } else {
            self.kill();
        }
        parked
    }

    /// Whether the stub is dead or released.
    pub(super) fn is_gone(&self) -> bool {
        self.state.lock().gone
    }

    /// Kills the stub and reaps it. Any thread may do so.
    pub(super) fn kill(&self) {
        let mut state = self.state.lock();
        if !state.gone {
            state.gone = true;
            self.stand_up();
            child::kill_and_reap(self.tid);
        }
    }

    /// Lets the stub execute some of our text. Returns whether it ended well (`int3`, not `ud2`).
    fn execute(&self, state: &mut State, regs: &Regs) -> Result<bool, PlatformError> {
        self.learn(state)?;
        state.borrowed = true;
        self.put_regs(regs)?;
        loop {
            self.go(Go::Continue)?;
            match self.wait(state)? {
                Stop::Signal(libc::SIGTRAP) => return Ok(true),
                Stop::Signal(libc::SIGILL) => return Ok(false),
                Stop::Signal(libc::SIGSEGV | libc::SIGBUS | libc::SIGSYS) => {
                    return Err(host_error("call in a stub", Errno::EFAULT));
                }
                Stop::Signal(_) | Stop::Trap | Stop::Syscall => {}
            }
        }
    }

    fn stand_up(&self) {
        if let Some(seat) = &self.seat {
            seat.leave();
        }
    }

    fn learn(&self, state: &mut State) -> Result<(), PlatformError> {
        if !state.known {
            state.regs = self.get_regs()?;
            state.known = true;
        }
        if let Some(rax) = state.rax {
            state.regs.rax = rax;
        }
        Ok(())
    }

    fn get_regs(&self) -> Result<Regs, PlatformError> {
        let mut words = [0; ptrace::REGS];
        ptrace::get_regs(self.tid, &mut words).map_err(|errno| self.failed("PTRACE_GETREGS", errno))?;
        Ok(Regs::from_words(words))
    }

    fn put_regs(&self, regs: &Regs) -> Result<(), PlatformError> {
        ptrace::set_regs(self.tid, &regs.to_words()).map_err(|errno| self.failed("PTRACE_SETREGS", errno))
    }

    fn go(&self, go: Go) -> Result<(), PlatformError> {
        match ptrace::resume(self.tid, go) {
            // Killed while it was stopped: its death is what the next wait reports.
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(host_error("ptrace", errno)),
        }
    }

    fn wait(&self, state: &mut State) -> Result<Stop, PlatformError> {
        match child::wait(self.tid) {
            Ok(Waited::Signal(signal)) => Ok(Stop::of_signal(signal)),
            Ok(Waited::Event(_)) => Ok(Stop::Trap),
            Ok(Waited::Dead | Waited::Nothing) | Err(_) => {
                state.gone = true;
                self.stand_up();
                Err(PlatformError::StubDied)
            }
        }
    }

    /// ESRCH about a tracee of ours means that it was killed.
    fn failed(&self, what: &'static str, errno: Errno) -> PlatformError {
        if errno == Errno::ESRCH { PlatformError::StubDied } else { host_error(what, errno) }
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        self.kill();
    }
}
