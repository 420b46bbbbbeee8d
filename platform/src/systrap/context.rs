//! A thread of application execution: registers while it has no stub thread, and the loop that runs it.

use std::sync::Arc;

use super::Host;
use super::direct::{self, Whereabouts};
use super::frame::{Frame, Vectors};
use super::hot::HotSites;
use super::process::Process;
use super::report;
use super::shares::Member;
use super::space::{Reservation, Space, SystrapSpace};
use super::text;
use super::thread::{Report, Thread, Waiting};
use crate::cpu::CpuMeter;
use crate::event::{Event, SyscallArgs};
use crate::regs::{FpuState, Regs};
use crate::stub::control::Control;
use crate::stub::{KICK, sanitise};
use crate::traits::{AddressSpace, Context, Interrupter, PlatformError, Resume, Sharing};

#[derive(Debug)]
pub(super) struct SystrapContext {
    host: Arc<Host>,
    control: Arc<Control>,
    place: Place,
    /// The registers, unless the thread is in a call that says nothing of them.
    regs: Regs,
    /// The registers as the sentry sees and changes them, from [`Context::regs`] to the next run.
    edited: Option<Regs>,
    /// The vector state to load before the next run.
    vectors: Vectors,
    /// The result of the call that the thread is in.
    result: Option<u64>,
    /// Whether the thread's frame does not have these registers yet.
    changed: bool,
    /// The result of the last call, and whether that was a direct one.
    returned: u64,
    direct: bool,
    /// The CPU time of its stubs.
    cpu: Arc<Member>,
    hot: HotSites,
}

/// Where the context is.
#[derive(Debug)]
enum Place {
    Nowhere,
    /// It has not run yet, and a thread waits for it.
    Reserved(Reservation),
    /// It has a thread in an address space.
    In(Arc<Space>, Arc<Process>, Thread),
}

/// What a call that has no result yet returns if application code goes on.
const NO_RESULT: u64 = i64::cast_unsigned(-(libc::ENOSYS as i64));

impl SystrapContext {
    pub(super) fn new(host: &Arc<Host>) -> Self {
        Self {
            host: Arc::clone(host),
            control: Arc::default(),
            place: Place::Nowhere,
            regs: Regs::start(0, 0),
            edited: None,
            vectors: Vectors::Initial,
            result: None,
            changed: false,
            returned: 0,
            direct: false,
            cpu: Arc::default(),
            hot: HotSites::new(host.direct.map_or(0, |eagerness| eagerness.hot)),
        }
    }

    /// The call that the thread is in, if that is all that is known.
    fn call(&self) -> Option<SyscallArgs> {
        match &self.place {
            Place::In(_, _, thread) => thread.call().copied(),
            _ => None,
        }
    }

    fn apply(&mut self, resume: Resume) {
        let edited = self.edited.take();
        match resume {
            Resume::AsIs => {}
            Resume::Return(value) if self.call().is_some() => self.result = Some(value),
            Resume::Return(value) => {
                self.regs.rax = value;
                self.changed = true;
            }
            Resume::Regs => {
                if let Some(mut regs) = edited {
                    sanitise::all(&mut regs);
                    self.regs = regs;
                    self.changed = true;
                }
            }
        }
    }

    /// Makes sure that all registers are known.
    fn learn(&mut self) -> Result<(), PlatformError> {
        let Some(call) = self.call() else { return Ok(()) };
        let Place::In(space, _, thread) = &mut self.place else { return Ok(()) };
        let direct = matches!(thread.waiting(), Waiting::Direct(_));
        let report = finish_call(&self.control, space, thread)?;
        self.regs = self.host.registers(thread, &report);
        if direct && direct::whereabouts(&text::direct(), &self.regs) == Whereabouts::After {
            direct::returned(thread.area(), &mut self.regs);
        }
        // A kernel may have lost our answer to the signal (before Linux 6.17), and has it make the call again.
        if self.regs.rip == call.ip.0.wrapping_sub(2) {
            self.regs.rip = call.ip.0;
        }
        match self.result.take() {
            Some(result) => self.regs.rax = result,
            None => report::in_call(&mut self.regs, call.nr),
        }
        self.changed = true;
        Ok(())
    }

    /// Moves to `space` if the context is not there yet.
    fn enter(&mut self, space: &Arc<Space>) -> Result<(), PlatformError> {
        if matches!(&self.place, Place::In(here, ..) if Arc::ptr_eq(here, space)) {
            return Ok(());
        }
        self.detach();
        let reserved = match std::mem::replace(&mut self.place, Place::Nowhere) {
            Place::Reserved(reserved) => Some(reserved).filter(|reserved| reserved.is_for(space)),
            Place::Nowhere | Place::In(..) => None,
        };
        let (process, mut thread) = space.join(&self.control, reserved)?;
        if thread.call().is_some()
            && let Err(error) = finish_call(&self.control, space, &mut thread)
        {
            space.leave(&self.control, &process, thread);
            return Err(error);
        }
        sanitise::all(&mut self.regs);
        if let Vectors::Keep = self.vectors {
            self.vectors = Vectors::Initial;
        }
        thread.forget();
        self.cpu.enter(process.shares());
        self.place = Place::In(Arc::clone(space), process, thread);
        Ok(())
    }

    fn leave(&mut self) {
        self.place = match std::mem::replace(&mut self.place, Place::Nowhere) {
            Place::In(space, process, thread) => {
                self.cpu.leave();
                space.leave(&self.control, &process, thread);
                Place::Nowhere
            }
            // A reservation is for one who will still come.
            other => other,
        };
    }

    fn has_work(&self) -> bool {
        matches!(&self.place, Place::In(space, ..) if space.has_work())
    }

    /// Lets the thread go on with what there is to load. Returns false if it has reported before it could.
    fn go(&mut self) -> Result<bool, PlatformError> {
        let in_call = self.call().is_some();
        let restarts = self.result.is_some_and(|value| (-516..=-512).contains(&value.cast_signed()));
        if in_call && (restarts || !matches!(self.vectors, Vectors::Keep)) {
            // The kernel would take such a result for a call to restart if a signal came now.
            self.learn()?;
        }
        let Place::In(space, process, thread) = &mut self.place else { return Err(PlatformError::StubDied) };
        self.cpu.start(process.shares());
        if thread.begins_to_look() {
            space.doubt();
            thread.begin_to_look();
        }
        let frame = match *thread.waiting() {
            Waiting::Call(..) | Waiting::Direct(_) => {
                self.returned = self.result.take().unwrap_or(NO_RESULT);
                return thread.answer_call(self.returned);
            }
            Waiting::Waited(_) => return Err(thread.misbehaves()),
            Waiting::Parked(_) => Frame::fresh(thread.area(), Some(&self.host.format)),
            Waiting::Report(_, report) | Waiting::Told(report) => report.frame,
        };
        let clean = matches!(thread.waiting(), Waiting::Parked(_));
        if clean || self.changed {
            frame.set_regs(thread.area(), &self.regs);
        }
        frame.set_vectors(thread.area(), &self.host.format, &self.vectors);
        self.vectors = Vectors::Keep;
        self.changed = false;
        sanitise::bases(&mut self.regs);
        let bases = self.host.bases(thread, &self.regs);
        thread.resume(frame, bases, clean)?;
        Ok(true)
    }

    /// What has become of the application's code; none if nothing that concerns it. `waits`: it has reported already.
    fn event(&mut self, waits: bool) -> Result<Option<Event>, PlatformError> {
        let Place::In(_, _, thread) = &mut self.place else { return Err(PlatformError::StubDied) };
        let control = &self.control;
        let mut waiting = if waits { *thread.waiting() } else { thread.next_event(&|| control.is_interrupted())? };
        let after_direct = std::mem::replace(&mut self.direct, matches!(waiting, Waiting::Direct(_)));
        loop {
            match waiting {
                Waiting::Call(_, call) => {
                    if self.host.direct.is_some() {
                        self.hot.count(call.ip);
                    }
                    return Ok(Some(Event::Syscall(call)));
                }
                Waiting::Direct(call) => return Ok(Some(Event::Syscall(call))),
                Waiting::Report(_, report) | Waiting::Told(report) => {
                    self.regs = self.host.registers(thread, &report);
                    match direct::whereabouts(&text::direct(), &self.regs) {
                        Whereabouts::Before if report.signal == KICK && self.host.direct.is_some() => {
                            // It will make its call in a moment, and that interrupts it just as well. If it does not, it
                            // has not answered the kick.
                            thread.doubt();
                            let bases = self.host.bases(thread, &self.regs);
                            thread.resume(report.frame, bases, false)?;
                            waiting = thread.next_event(&|| false)?;
                            self.direct = matches!(waiting, Waiting::Direct(_));
                            continue;
                        }
                        Whereabouts::After if after_direct => {
                            direct::returned(thread.area(), &mut self.regs);
                            self.regs.rax = self.returned;
                            self.changed = true;
                            return Ok(None);
                        }
                        _ => {}
                    }
                    let info = report.frame.info(thread.area());
                    let before = self.regs;
                    let event = report::event(report.signal, &info, &mut self.regs);
                    self.changed = self.regs != before;
                    return Ok(event);
                }
                // The application made our code say so.
                Waiting::Parked(_) | Waiting::Waited(_) => return Err(thread.misbehaves()),
            }
        }
    }
}

impl Context for SystrapContext {
    fn run(&mut self, space: &Arc<dyn AddressSpace>, resume: Resume) -> Result<Event, PlatformError> {
        self.apply(resume);
        if self.control.take_interrupt() {
            return Ok(Event::Interrupted);
        }
        self.enter(SystrapSpace::of(space)?)?;
        loop {
            if let Place::In(space, ..) = &self.place
                && space.has_work()
            {
                space.settle()?;
            }
            self.control.enter();
            let held_up = self.control.is_interrupted() || self.has_work();
            let event = if held_up { Ok(None) } else { self.go().and_then(|gone| self.event(!gone)) };
            self.cpu.stop();
            self.control.leave();
            if let Some(event) = event? {
                return Ok(event);
            }
            if self.control.take_interrupt() {
                return Ok(Event::Interrupted);
            }
        }
    }

    fn regs(&mut self) -> Result<&mut Regs, PlatformError> {
        let regs = match self.edited.take() {
            Some(edited) => edited,
            None => {
                self.learn()?;
                self.regs
            }
        };
        Ok(self.edited.insert(regs))
    }

    fn fpu(&mut self) -> Result<FpuState, PlatformError> {
        match &self.vectors {
            Vectors::Given(state) => return Ok(state.clone()),
            Vectors::Initial => return Ok(self.host.format.initial().clone()),
            Vectors::Keep => {}
        }
        self.learn()?;
        match &self.place {
            Place::In(_, _, thread) => match thread.waiting() {
                Waiting::Report(_, report) | Waiting::Told(report) => {
                    Ok(report.frame.vectors(thread.area(), &self.host.format))
                }
                _ => Ok(self.host.format.initial().clone()),
            },
            _ => Ok(self.host.format.initial().clone()),
        }
    }

    fn set_fpu(&mut self, state: Option<&FpuState>) -> Result<(), PlatformError> {
        self.vectors = state.map_or(Vectors::Initial, |state| Vectors::Given(state.clone()));
        Ok(())
    }

    fn duplicate(&mut self, sharing: Sharing) -> Result<Box<dyn Context>, PlatformError> {
        let mut copy = Self::new(&self.host);
        copy.regs = *self.regs()?;
        copy.vectors = match &self.vectors {
            Vectors::Initial => Vectors::Initial,
            _ => Vectors::Given(self.fpu()?),
        };
        if let (Sharing::Space, Place::In(space, process, _)) = (sharing, &self.place) {
            copy.place = Place::Reserved(space.reserve(process)?);
        }
        Ok(Box::new(copy))
    }

    fn cpu_meter(&self) -> CpuMeter {
        self.cpu.meter()
    }

    fn take_hot_site(&mut self) -> bool {
        self.hot.take()
    }

    fn takes_turns(&self, begins: bool) -> bool {
        match &self.place {
            Place::In(_, _, thread) => thread.takes_turns(begins),
            _ => false,
        }
    }

    fn interrupter(&self) -> Interrupter {
        self.control.interrupter()
    }

    fn detach(&mut self) {
        if self.learn().is_ok()
            && let Place::In(..) = &self.place
            && let Vectors::Keep = self.vectors
            && let Ok(state) = self.fpu()
        {
            self.vectors = Vectors::Given(state);
        }
        self.leave();
        self.result = None;
    }
}

impl Drop for SystrapContext {
    fn drop(&mut self) {
        self.leave();
    }
}

/// From a call of the application to a report. If the application has blocked the kick, its code goes on until we find
/// out: so nothing that was taken away may be there any more, and what is taken away meanwhile goes at once.
fn finish_call(control: &Control, space: &Space, thread: &mut Thread) -> Result<Report, PlatformError> {
    control.enter();
    let settled = if space.has_work() { space.settle() } else { Ok(()) };
    let report = settled.and_then(|()| thread.finish_call(0));
    control.leave();
    report
}

impl Host {
    /// The registers of a report. Where code may be rewritten, GS leads to the thread's area if the application's is zero.
    fn registers(&self, thread: &Thread, report: &Report) -> Regs {
        let ours = self.direct.is_some() && report.gs_base == thread.area().address();
        let gs_base = if ours { 0 } else { report.gs_base };
        Regs { fs_base: report.fs_base, gs_base, ..report.frame.regs(thread.area()) }
    }

    /// The bases to load: the other way round.
    fn bases(&self, thread: &Thread, regs: &Regs) -> (u64, u64) {
        let ours = self.direct.is_some() && regs.gs_base == 0;
        (regs.fs_base, if ours { thread.area().address() } else { regs.gs_base })
    }
}
