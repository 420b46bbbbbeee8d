//! A platform whose contexts make the calls of a program instead of running code.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use abi::{TASK_SIZE, UserAddr, UserRange};
use sentry::platform::fake::initial_fpu;
use sentry::platform::{
    AddressSpace, Context, Event, FpuState, Interrupter, MapOp, Platform, PlatformError, Regs, Resume, Sharing,
    SyscallArgs,
};

use super::program::{Program, Step};

/// What runs now: a program, and how far it is.
#[derive(Debug, Default)]
pub(super) struct Run {
    program: Program,
    /// What the first task does before its own steps.
    prelude: Vec<Step>,
    tasks: AtomicUsize,
    /// Events so far.
    events: AtomicU64,
}

impl Run {
    pub(super) fn new(program: Program, prelude: Vec<Step>) -> Arc<Self> {
        Arc::new(Self { program, prelude, ..Self::default() })
    }

    pub(super) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }
}

/// The platform.
#[derive(Debug, Default)]
pub(super) struct Scripted {
    run: Mutex<Arc<Run>>,
}

impl Scripted {
    /// What the next containers run.
    pub(super) fn load(&self, run: &Arc<Run>) {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(run);
    }
}

impl Platform for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn new_address_space(&self) -> Result<Arc<dyn AddressSpace>, PlatformError> {
        Ok(Arc::new(Space))
    }

    fn new_context(&self) -> Result<Box<dyn Context>, PlatformError> {
        let run = Arc::clone(&self.run.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Box::new(Thread::new(run, Regs::default())))
    }

    fn user_range(&self) -> UserRange {
        UserRange::between(UserAddr(0x1_0000), UserAddr(TASK_SIZE - 0x1_0000))
    }
}

#[derive(Debug)]
struct Space;

impl AddressSpace for Space {
    fn update(&self, _: &[MapOp<'_>]) -> Result<(), PlatformError> {
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct Thread {
    run: Arc<Run>,
    /// Which of the program's tasks it is.
    task: usize,
    step: usize,
    results: Vec<u64>,
    regs: Regs,
    edited: Option<Regs>,
    fpu: FpuState,
    interrupted: Arc<AtomicBool>,
}

impl Thread {
    fn new(run: Arc<Run>, regs: Regs) -> Self {
        let task = run.tasks.fetch_add(1, Ordering::Relaxed);
        let (fpu, interrupted) = (initial_fpu(), Arc::default());
        Self { run, task, step: 0, results: Vec::new(), regs, edited: None, fpu, interrupted }
    }

    fn next_event(&mut self) -> Event {
        if self.interrupted.swap(false, Ordering::Relaxed) {
            return Event::Interrupted;
        }
        let prelude: &[Step] = if self.task == 0 { &self.run.prelude } else { &[] };
        let own = self.run.program.tasks.get(self.task).map_or(&[][..], Vec::as_slice);
        let step = prelude.iter().chain(own).nth(self.step);
        self.step += 1;
        let end = SyscallArgs { nr: 231, args: [0; 6], ip: UserAddr(0x40_0100), compat: false };
        step.map_or(Event::Syscall(end), |step| step.event(&self.results, &self.run.program.data))
    }
}

impl Context for Thread {
    fn run(&mut self, _space: &Arc<dyn AddressSpace>, resume: Resume) -> Result<Event, PlatformError> {
        self.run.events.fetch_add(1, Ordering::Relaxed);
        let edited = self.edited.take();
        match resume {
            Resume::AsIs => {}
            Resume::Return(value) => {
                self.regs.rax = value;
                self.results.push(value);
            }
            Resume::Regs => self.regs = edited.unwrap_or(self.regs),
        }
        let event = self.next_event();
        if let Event::Syscall(call) = event {
            let [rdi, rsi, rdx, r10, r8, r9] = call.args;
            self.regs = Regs { rdi, rsi, rdx, r10, r8, r9, orig_rax: call.nr, rip: call.ip.0, ..self.regs };
        }
        Ok(event)
    }

    fn regs(&mut self) -> Result<&mut Regs, PlatformError> {
        Ok(self.edited.get_or_insert(self.regs))
    }

    fn fpu(&mut self) -> Result<FpuState, PlatformError> {
        Ok(self.fpu.clone())
    }

    fn set_fpu(&mut self, state: Option<&FpuState>) -> Result<(), PlatformError> {
        self.fpu = state.cloned().unwrap_or_else(initial_fpu);
        Ok(())
    }

    fn duplicate(&mut self, _: Sharing) -> Result<Box<dyn Context>, PlatformError> {
        let regs = *self.regs()?;
        Ok(Box::new(Self { fpu: self.fpu.clone(), ..Self::new(Arc::clone(&self.run), regs) }))
    }

    fn interrupter(&self) -> Interrupter {
        let interrupted = Arc::clone(&self.interrupted);
        Interrupter::new(move || interrupted.store(true, Ordering::Relaxed))
    }

    fn detach(&mut self) {}
}
