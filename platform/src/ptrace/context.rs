//! A thread of application execution: registers while it has no stub, and the loop that runs its stub.

use std::sync::Arc;

use super::space::{self, PtraceSpace, Reservation, Space};
use super::tracee::Tracee;
use super::{Host, stop};
use crate::cpu::{CpuMeter, HostThreads};
use crate::event::Event;
use crate::regs::{FpuState, Regs};
use crate::stub::control::Control;
use crate::stub::sanitise;
use crate::traits::{AddressSpace, Context, Interrupter, PlatformError, Resume, Sharing};

#[derive(Debug)]
pub(super) struct PtraceContext {
    host: Arc<Host>,
    control: Arc<Control>,
    place: Place,
    /// The registers while there is no stub.
    regs: Regs,
    /// The registers as the sentry sees and changes them, from [`Context::regs`] to the next run.
    edited: Option<Regs>,
    /// The vector state to load before the next run. While there is no stub, `None` is that of a fresh program.
    fpu: Option<FpuState>,
    /// The CPU time of its stubs.
    cpu: HostThreads,
}

/// Where the context is.
#[derive(Debug)]
enum Place {
    Nowhere,
    /// It has not run yet, and a stub waits for it.
    Reserved(Reservation),
    /// It has a stub in an address space.
    In(Arc<Space>, Arc<Tracee>),
    /// It has left, and kept a stub that is empty.
    Spare(Arc<Tracee>),
}

impl PtraceContext {
    pub(super) fn new(host: &Arc<Host>) -> Self {
        Self {
            host: Arc::clone(host),
            control: Arc::default(),
            place: Place::Nowhere,
            regs: Regs::start(0, 0),
            edited: None,
            fpu: None,
            cpu: HostThreads::default(),
        }
    }

    fn stub(&self) -> Option<&Tracee> {
        match &self.place {
            Place::In(_, tracee) => Some(tracee),
            _ => None,
        }
    }

    fn apply(&mut self, resume: Resume) {
        let edited = self.edited.take();
        match resume {
            Resume::AsIs => {}
            Resume::Return(value) => match self.stub() {
                Some(stub) => stub.set_rax(value),
                None => self.regs.rax = value,
            },
            Resume::Regs => {
                if let Some(mut regs) = edited {
                    sanitise::all(&mut regs);
                    match self.stub() {
                        Some(stub) => stub.set_regs(&regs),
                        None => self.regs = regs,
                    }
                }
            }
        }
    }

    /// Moves to `space` if the context is not there yet.
    fn enter(&mut self, space: &Arc<Space>) -> Result<(), PlatformError> {
        if matches!(&self.place, Place::In(here, _) if Arc::ptr_eq(here, space)) {
            return Ok(());
        }
        self.detach();
        let (reserved, spare) = match std::mem::replace(&mut self.place, Place::Nowhere) {
            Place::Reserved(reserved) => (Some(reserved).filter(|r| r.is_for(space)), None),
            Place::Spare(tracee) => (None, Some(tracee)),
            Place::Nowhere | Place::In(..) => (None, None),
        };
        let tracee = space.join(&self.control, reserved, spare)?;
        let mut regs = self.regs;
        sanitise::all(&mut regs);
        tracee.set_regs(&regs);
        self.fpu.get_or_insert_with(|| self.host.fpu.initial().clone());
        self.cpu.enter(tracee.tid());
        self.place = Place::In(Arc::clone(space), tracee);
        Ok(())
    }

    fn leave(&mut self) {
        self.cpu.leave();
        self.place = match std::mem::replace(&mut self.place, Place::Nowhere) {
            Place::In(space, tracee) => space.leave(&self.control, tracee).map_or(Place::Nowhere, Place::Spare),
            spare @ Place::Spare(_) => spare,
            // A reservation is for one who will still come.
            reserved @ Place::Reserved(_) => reserved,
            Place::Nowhere => Place::Nowhere,
        };
    }
}

impl Context for PtraceContext {
    fn run(&mut self, space: &Arc<dyn AddressSpace>, resume: Resume) -> Result<Event, PlatformError> {
        self.apply(resume);
        if self.control.take_interrupt() {
            return Ok(Event::Interrupted);
        }
        self.enter(PtraceSpace::of(space)?)?;
        let Place::In(space, stub) = &self.place else { return Err(PlatformError::StubDied) };
        debug_assert!(stub.is_ours(), "a context stays on the thread that ran it first");
        loop {
            if space.has_work() {
                space.settle(stub)?;
            }
            if let Some(fpu) = &self.fpu {
                self.host.fpu.load(stub, fpu)?;
                self.fpu = None;
            }
            stub.make_ready()?;
            self.control.enter();
            let stop = if self.control.is_interrupted() || space.has_work() { None } else { Some(stub.run()) };
            self.control.leave();
            space.stopped();
            if let Some(stop) = stop
                && let Some(event) = stop::event(stub, stop?)?
            {
                return Ok(event);
            }
            if self.control.take_interrupt() {
                return Ok(Event::Interrupted);
            }
        }
    }

    fn regs(&mut self) -> Result<&mut Regs, PlatformError> {
        let regs = match (self.edited.take(), self.stub()) {
            (Some(edited), _) => edited,
            (None, Some(stub)) => stub.regs()?,
            (None, None) => self.regs,
        };
        Ok(self.edited.insert(regs))
    }

    fn fpu(&mut self) -> Result<FpuState, PlatformError> {
        match (&self.fpu, self.stub()) {
            (Some(fpu), _) => Ok(fpu.clone()),
            (None, Some(stub)) => self.host.fpu.save(stub),
            (None, None) => Ok(self.host.fpu.initial().clone()),
        }
    }

    fn set_fpu(&mut self, state: Option<&FpuState>) -> Result<(), PlatformError> {
        self.fpu = Some(state.unwrap_or_else(|| self.host.fpu.initial()).clone());
        Ok(())
    }

    fn duplicate(&mut self, sharing: Sharing) -> Result<Box<dyn Context>, PlatformError> {
        let mut copy = Self::new(&self.host);
        copy.regs = *self.regs()?;
        copy.fpu = Some(self.fpu()?);
        if let (Sharing::Space, Place::In(space, stub)) = (sharing, &self.place) {
            copy.place = Place::Reserved(space.reserve(stub)?);
        }
        Ok(Box::new(copy))
    }

    fn cpu_meter(&self) -> CpuMeter {
        self.cpu.meter()
    }

    fn interrupter(&self) -> Interrupter {
        self.control.interrupter()
    }

    fn detach(&mut self) {
        if let Place::In(_, stub) = &self.place
            && stub.is_ours()
        {
            if let Ok(regs) = stub.regs() {
                self.regs = regs;
            }
            if self.fpu.is_none() {
                self.fpu = self.host.fpu.save(stub).ok();
            }
        }
        self.leave();
    }
}

impl Drop for PtraceContext {
    fn drop(&mut self) {
        self.leave();
        if let Place::Spare(tracee) = &self.place {
            space::give_back(&self.host, tracee);
        }
    }
}
