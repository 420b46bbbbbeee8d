//! A thread of a stub, seen from here: what it reports, and what it is told to go on with.
//!
//! Neighbour: [`super::looking`] is about what passes through memory.

use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use abi::{Errno, UserAddr};
use host::child::{self, Waited};
use host::sched::{self, CpuMask};
use host::{futex, notify};
use parking_lot::Mutex;

use super::area::{self, Area};
use super::direct;
use super::frame::Frame;
use super::spin::{Eagerness, Spin};
use super::text;
use crate::event::SyscallArgs;
use crate::stub::control::Target;
use crate::stub::pulse::{Mortal, Pulse};
use crate::stub::{KICK, host_error};
use crate::traits::PlatformError;

const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
/// How long we sleep before we look whether the stub still lives, where nothing else would tell.
const LOOK: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 500 });
/// How long a new thread has to come up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stub process as such: its first thread is a child of ours.
#[derive(Debug)]
pub(super) struct Leader {
    pid: i32,
    gone: Mutex<bool>,
    doomed: AtomicBool,
}

/// How a thread and we hand over to each other.
#[derive(Debug)]
pub(super) enum Link {
    /// By notifications: each of its calls waits for our answer.
    Listener(OwnedFd),
    /// By a word in its area: it only has reports.
    Futex,
}

/// A thread that waits for our answer.
#[derive(Debug)]
pub(super) struct Thread {
    leader: Arc<Leader>,
    pub(super) tid: i32,
    pub(super) area: Area,
    pub(super) link: Link,
    pub(super) waiting: Waiting,
    pub(super) pulse: Arc<Pulse>,
    pub(super) spin: Spin,
    /// The CPU that it is kept off while we look.
    pub(super) kept_off: Cell<Option<u32>>,
    /// How many calls through gates had to take the ordinary way, as far as we know.
    misses: u32,
}

/// Where a thread waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// With nothing of its own to go on with; in the notification.
    Parked(u64),
    /// In a call of the application, the notification.
    Call(u64, SyscallArgs),
    /// In a direct call of the application ([`super::direct`]).
    Direct(SyscallArgs),
    /// The same, in a notification, because it took long.
    Waited(u64),
    /// In a report, the notification; all it has to go on with is in the frame.
    Report(u64, Report),
    /// The same, through memory.
    Told(Report),
}

/// Why a thread reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) signal: i32,
    pub(super) frame: Frame,
    pub(super) fs_base: u64,
    pub(super) gs_base: u64,
}

impl Leader {
    pub(super) fn new(pid: i32) -> Self {
        Self { pid, gone: Mutex::new(false), doomed: AtomicBool::new(false) }
    }

    /// Whether the process still exists; reaps it if it does not.
    pub(super) fn lives(&self) -> bool {
        let mut gone = self.gone.lock();
        if !*gone && !matches!(child::poll(self.pid), Ok(Waited::Nothing)) {
            *gone = true;
        }
        !*gone
    }

    /// Whether it was killed by us or found dead.
    pub(super) fn is_doomed(&self) -> bool {
        self.doomed.load(Ordering::Relaxed)
    }

    /// Ends the process, and returns when nothing of it is left.
    pub(super) fn end(&self) {
        let mut gone = self.gone.lock();
        self.doomed.store(true, Ordering::Relaxed);
        if !*gone {
            *gone = true;
            child::kill_and_reap(self.pid);
        }
    }
}

impl Mortal for Leader {
    /// Kills the process; it is reaped later.
    fn doom(&self) {
        let gone = self.gone.lock();
        self.doomed.store(true, Ordering::Relaxed);
        if !*gone {
            let _ = child::kill(self.pid, libc::SIGKILL);
        }
    }
}

impl Thread {
    /// Waits for a new thread to come up and park. `area` and `link` are what it was given, and come back if it fails.
    pub(super) fn arrive(
        leader: &Arc<Leader>,
        area: Area,
        link: Link,
        eagerness: Eagerness,
    ) -> Result<Self, (PlatformError, Area, Link)> {
        let up = wait_up(&area, area::UP, leader);
        let ready = match &link {
            Link::Listener(listener) => up.and_then(|()| be_synchronous(listener)),
            Link::Futex => up,
        };
        if let Err(error) = ready {
            return Err((error, area, link));
        }
        let tid = area.word(area::TID).load(Ordering::Relaxed).cast_signed();
        let owner: Weak<Leader> = Arc::downgrade(leader);
        let pulse = Pulse::new(owner);
        let mut thread = Self {
            leader: Arc::clone(leader),
            tid,
            area,
            link,
            waiting: Waiting::Parked(0),
            pulse,
            spin: Spin::new(eagerness),
            kept_off: Cell::new(None),
            misses: 0,
        };
        match thread.receive() {
            Ok(Waiting::Parked(_)) => Ok(thread),
            Ok(_) => Err((thread.misbehaves(), thread.area, thread.link)),
            Err(error) => Err((error, thread.area, thread.link)),
        }
    }

    /// From a call of the application to a report with all registers; the call returns `value`.
    pub(super) fn finish_call(&mut self, value: u64) -> Result<Report, PlatformError> {
        if let Waiting::Direct(_) = self.waiting {
            return self.finish_direct();
        }
        self.look_no_longer();
        // The signal waits, because the call does not let it in once we have received it. But it wakes the thread once, and
        // that on another CPU would cost many times what all the rest does.
        let all = sched::all_cpus();
        if all.is_some() {
            let _ = CpuMask::one(sched::current_cpu()).apply(self.tid);
        }
        self.target().kick();
        self.answer(value);
        let reported = self.receive();
        if let Some(all) = all {
            let _ = all.apply(self.tid);
        }
        match reported? {
            Waiting::Report(_, report) if report.signal == KICK => Ok(report),
            _ => Err(self.misbehaves()),
        }
    }

    /// The call of the application that it is in.
    pub(super) fn call(&self) -> Option<&SyscallArgs> {
        match &self.waiting {
            Waiting::Call(_, call) | Waiting::Direct(call) => Some(call),
            _ => None,
        }
    }

    /// Answers a call. Returns false if a report has come meanwhile.
    pub(super) fn answer_call(&mut self, value: u64) -> Result<bool, PlatformError> {
        if let Waiting::Direct(_) = self.waiting {
            return self.answer_direct(value);
        }
        self.answer(value);
        Ok(true)
    }

    /// A report that was written into the area.
    pub(super) fn written_report(&self, id: u64) -> Result<Waiting, PlatformError> {
        let read = |at| self.area.read(at);
        let bases = (read(area::FS), read(area::GS));
        self.report(id, read(area::SIGNAL), (read(area::INFO), read(area::UCONTEXT)), bases)
    }

    /// Has it wait in a notification, whatever it is in.
    pub(super) fn settle(&mut self) -> bool {
        if let Waiting::Told(_) = self.waiting {
            self.stop_looking();
            self.pulse.kicked();
            direct::ask_again(&self.area);
            let reported = matches!(self.receive(), Ok(Waiting::Report(..)));
            direct::set_looking(&self.area, false);
            if !reported {
                self.leader.doom();
            }
            return reported;
        }
        self.look_no_longer();
        self.call().is_none() || self.finish_call(0).is_ok()
    }

    /// Has it end itself. Returns whether it did.
    pub(super) fn end(&mut self) -> bool {
        if !self.settle() {
            return false;
        }
        self.answer(0);
        self.next().is_err()
    }

    /// It has to come back soon.
    pub(super) fn doubt(&self) {
        self.pulse.kicked();
    }

    /// For kicks.
    pub(super) fn target(&self) -> Target {
        Target { pid: self.leader.pid, tid: self.tid, pulse: Some(Arc::clone(&self.pulse)) }
    }

    pub(super) fn area(&self) -> &Area {
        &self.area
    }

    pub(super) fn into_area(self) -> Area {
        self.area
    }

    pub(super) fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// Lets it return to a frame, with a clean slate if another context begins.
    pub(super) fn resume(&mut self, frame: Frame, bases: (u64, u64), clean: bool) -> Result<(), PlatformError> {
        self.area.write(area::FS, bases.0);
        self.area.write(area::GS, bases.1);
        let answer = frame.address(&self.area) | u64::from(clean);
        if let Waiting::Told(_) = self.waiting {
            if direct::answer_report(&self.area, answer, self.spin.is_active()) {
                return Ok(());
            }
            // It reports once more, by a notification.
            self.stop_looking();
            let Waiting::Report(..) = self.receive()? else { return Err(self.misbehaves()) };
            direct::set_looking(&self.area, false);
        }
        self.answer(answer);
        Ok(())
    }

    /// Nothing that it has to go on with counts any more.
    pub(super) fn forget(&mut self) {
        if let Waiting::Report(id, _) = self.waiting {
            self.waiting = Waiting::Parked(id);
        }
    }

    /// Answers what it waits for. If it died, the next [`Self::receive`] says so.
    pub(super) fn answer(&self, value: u64) {
        match (&self.link, self.waiting) {
            (
                Link::Listener(listener),
                Waiting::Parked(id) | Waiting::Call(id, _) | Waiting::Report(id, _) | Waiting::Waited(id),
            ) => {
                let _ = notify::answer(listener.as_fd(), id, value);
            }
            (Link::Listener(_), Waiting::Direct(_) | Waiting::Told(_)) => {}
            (Link::Futex, _) => {
                self.area.write(area::ANSWER, value);
                let turn = self.area.word(area::TURN);
                turn.store(0, Ordering::Release);
                futex::wake(turn, 1);
            }
        }
    }

    /// Waits for the next event of application code, and looks for direct calls first if that seems worth it. `stop` tells
    /// that we are wanted elsewhere.
    pub(super) fn next_event(&mut self, stop: &dyn Fn() -> bool) -> Result<Waiting, PlatformError> {
        if let Some(found) = self.look(stop)? {
            self.waiting = found;
            return Ok(found);
        }
        let received = self.receive()?;
        match received {
            Waiting::Call(..) if !direct::misses(&self.area, &mut self.misses) => self.spin.interfered(),
            _ => self.spin.missed(),
        }
        Ok(received)
    }

    /// Waits until it waits for us. If it never will again, its process is of no use any more.
    pub(super) fn receive(&mut self) -> Result<Waiting, PlatformError> {
        self.pulse.wait();
        let received = self.next();
        self.pulse.came();
        match received {
            Ok(waiting) => self.waiting = waiting,
            Err(_) => self.leader.doom(),
        }
        received
    }

    fn next(&mut self) -> Result<Waiting, PlatformError> {
        let waiting = match &self.link {
            Link::Listener(listener) => {
                let call = match notify::receive(listener.as_fd()) {
                    Ok(call) => call,
                    Err(Errno::ENOTCONN) => return Err(PlatformError::StubDied),
                    Err(errno) => return Err(host_error("SECCOMP_IOCTL_NOTIF_RECV", errno)),
                };
                let native = call.arch == AUDIT_ARCH_X86_64;
                if native && call.nr == text::EVENT && call.ip == text::report_ip() {
                    let [signal, siginfo, ucontext, fs, gs, _] = call.args;
                    self.tid = call.tid.cast_signed();
                    self.report(call.id, signal, (siginfo, ucontext), (fs, gs))?
                } else if native
                    && call.nr == text::EVENT
                    && call.ip == text::direct().waited
                    && matches!(self.waiting, Waiting::Direct(_))
                {
                    Waiting::Waited(call.id)
                } else {
                    let nr = i64::from(call.nr).cast_unsigned();
                    let args = SyscallArgs { nr, args: call.args, ip: UserAddr(call.ip), compat: !native };
                    Waiting::Call(call.id, args)
                }
            }
            Link::Futex => {
                self.sleep()?;
                self.written_report(0)?
            }
        };
        Ok(waiting)
    }

    /// Something that our code in the stub never does: the application got at its signal frames. It is its own loss.
    pub(super) fn misbehaves(&self) -> PlatformError {
        self.leader.doom();
        PlatformError::StubDied
    }

    fn report(
        &self,
        id: u64,
        signal: u64,
        (siginfo, ucontext): (u64, u64),
        (fs_base, gs_base): (u64, u64),
    ) -> Result<Waiting, PlatformError> {
        if signal == 0 {
            return Ok(Waiting::Parked(id));
        }
        let frame = Frame::reported(&self.area, siginfo, ucontext).ok_or_else(|| self.misbehaves())?;
        let signal = i32::try_from(signal).map_err(|_| self.misbehaves())?;
        Ok(Waiting::Report(id, Report { signal, frame, fs_base, gs_base }))
    }

    fn sleep(&self) -> Result<(), PlatformError> {
        let turn = self.area.word(area::TURN);
        while turn.load(Ordering::Acquire) == 0 {
            if futex::wait(turn, 0, LOOK) == Err(Errno::ETIMEDOUT) && (self.leader.is_doomed() || !self.leader.lives())
            {
                return Err(PlatformError::StubDied);
            }
        }
        Ok(())
    }
}

/// Waits until a thread has said in an area that it is up.
pub(super) fn wait_up(area: &Area, word: u64, leader: &Leader) -> Result<(), PlatformError> {
    let up = area.word(word);
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        match up.load(Ordering::Acquire).cast_signed() {
            0 => {}
            error if error < 0 => return Err(host_error("start of a stub", Errno::from_raw(error.wrapping_neg()))),
            _ => return Ok(()),
        }
        let _ = futex::wait(up, 0, Duration::from_millis(20));
        if !leader.lives() {
            return Err(PlatformError::StubDied);
        }
        if std::time::Instant::now() > end {
            return Err(host_error("start of a stub", Errno::ETIMEDOUT));
        }
    }
}

/// Has the two sides of a listener wake each other where they are. The word that it is up may have been forged: then there
/// is something else yet in its place.
pub(super) fn be_synchronous(listener: &OwnedFd) -> Result<(), PlatformError> {
    let failed = |errno| match errno {
        Errno::ENOTTY => host_error("start of a stub", errno),
        errno => host_error("SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP", errno),
    };
    notify::set_synchronous(listener.as_fd(), true).map_err(failed)
}
