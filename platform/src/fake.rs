//! A platform for unit tests that runs scripted events instead of code.
//!
//! A [`Script`] says what each run of a context ends in and keeps what the kernel did about it: how it resumed, which
//! registers it loaded, what it mapped. Contexts take their events from the script in the order in which they run; a
//! context that finds none left waits to be interrupted, as one that computes for ever.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use abi::{TASK_SIZE, UserAddr, UserRange};
use parking_lot::{Condvar, Mutex};

use crate::event::{Event, SyscallArgs};
use crate::regs::{FpuState, Regs};
use crate::traits::{AddressSpace, Context, Interrupter, MapOp, Platform, PlatformError, Prot, Resume, Sharing};

/// Events to come, and what was done about those that came.
#[derive(Clone, Debug, Default)]
pub struct Script(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    runs: Vec<Run>,
}

/// One call of [`Context::run`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// What the kernel passed.
    pub resume: Resume,
    /// The registers that application code would have gone on with.
    pub regs: Regs,
    /// What it ended in.
    pub event: Event,
}

impl Script {
    /// Adds an event.
    pub fn push(&self, event: Event) {
        self.0.lock().events.push_back(event);
    }

    /// Adds a system call, with up to six arguments.
    pub fn syscall(&self, nr: u64, args: &[u64]) {
        let mut all = [0; 6];
        all.iter_mut().zip(args).for_each(|(to, from)| *to = *from);
        self.push(Event::Syscall(SyscallArgs { nr, args: all, ip: UserAddr(0x1000), compat: false }));
    }

    /// All runs that ended, in order.
    #[must_use]
    pub fn runs(&self) -> Vec<Run> {
        self.0.lock().runs.clone()
    }
}

/// The platform.
#[derive(Debug, Default)]
pub struct Fake {
    script: Script,
}

impl Fake {
    /// A platform whose contexts follow `script`.
    #[must_use]
    pub fn new(script: &Script) -> Self {
        Self { script: script.clone() }
    }
}

impl Platform for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn new_address_space(&self) -> Result<Arc<dyn AddressSpace>, PlatformError> {
        Ok(Arc::new(FakeSpace::default()))
    }

    fn new_context(&self) -> Result<Box<dyn Context>, PlatformError> {
        Ok(Box::new(FakeContext::new(&self.script)))
    }

    fn user_range(&self) -> UserRange {
        UserRange::between(UserAddr(0x1_0000), UserAddr(TASK_SIZE - 0x1_0000))
    }
}

/// One change, as [`FakeSpace`] keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A file was mapped at the offset.
    Map(UserRange, u64, Prot),
    /// Something was unmapped.
    Unmap(UserRange),
    /// Rights changed.
    Protect(UserRange, Prot),
}

/// An address space that keeps a list of its changes.
#[derive(Debug, Default)]
pub struct FakeSpace {
    changes: Mutex<Vec<Change>>,
}

impl FakeSpace {
    /// The fake behind a trait object; `None` if it is another platform's.
    #[must_use]
    pub fn of(space: &dyn AddressSpace) -> Option<&Self> {
        space.as_any().downcast_ref()
    }

    /// All changes so far, in order.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        self.changes.lock().clone()
    }
}

impl AddressSpace for FakeSpace {
    fn update(&self, ops: &[MapOp<'_>]) -> Result<(), PlatformError> {
        let change = |op: &MapOp<'_>| match *op {
            MapOp::Map { at, len, offset, prot, .. } => {
                let range = UserRange::new(at, len).map_err(|errno| PlatformError::Host { what: "map", errno })?;
                Ok(Change::Map(range, offset, prot))
            }
            MapOp::Unmap(range) => Ok(Change::Unmap(range)),
            MapOp::Protect(range, prot) => Ok(Change::Protect(range, prot)),
        };
        let changes = ops.iter().map(change).collect::<Result<Vec<_>, PlatformError>>()?;
        self.changes.lock().extend(changes);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct FakeContext {
    script: Script,
    regs: Regs,
    edited: Option<Regs>,
    fpu: FpuState,
    interrupt: Arc<(Mutex<bool>, Condvar)>,
}

impl FakeContext {
    fn new(script: &Script) -> Self {
        let fpu = initial_fpu();
        Self { script: script.clone(), regs: Regs::default(), edited: None, fpu, interrupt: Arc::default() }
    }

    fn take_interrupt(&self) -> bool {
        std::mem::take(&mut *self.interrupt.0.lock())
    }

    fn next_event(&self) -> Event {
        if self.take_interrupt() {
            return Event::Interrupted;
        }
        if let Some(event) = self.script.0.lock().events.pop_front() {
            return event;
        }
        let (flag, changed) = &*self.interrupt;
        let mut flag = flag.lock();
        while !std::mem::take(&mut *flag) {
            changed.wait(&mut flag);
        }
        Event::Interrupted
    }
}

impl Context for FakeContext {
    fn run(&mut self, _space: &Arc<dyn AddressSpace>, resume: Resume) -> Result<Event, PlatformError> {
        let edited = self.edited.take();
        match resume {
            Resume::AsIs => {}
            Resume::Return(value) => self.regs.rax = value,
            Resume::Regs => self.regs = edited.unwrap_or(self.regs),
        }
        let regs = self.regs;
        let event = self.next_event();
        if let Event::Syscall(call) = event {
            let [rdi, rsi, rdx, r10, r8, r9] = call.args;
            self.regs = Regs { rdi, rsi, rdx, r10, r8, r9, orig_rax: call.nr, rip: call.ip.0, ..regs };
        }
        self.script.0.lock().runs.push(Run { resume, regs, event });
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

    fn duplicate(&mut self, _sharing: Sharing) -> Result<Box<dyn Context>, PlatformError> {
        let regs = *self.regs()?;
        Ok(Box::new(Self { regs, fpu: self.fpu.clone(), ..Self::new(&self.script) }))
    }

    fn interrupter(&self) -> Interrupter {
        let interrupt = Arc::clone(&self.interrupt);
        Interrupter(Arc::new(move || {
            *interrupt.0.lock() = true;
            interrupt.1.notify_all();
        }))
    }

    fn detach(&mut self) {}
}

/// The least XSAVE area there is: the legacy part and the header.
#[must_use]
pub fn initial_fpu() -> FpuState {
    let mut area = [0; 576];
    area[..2].copy_from_slice(&0x37f_u16.to_le_bytes());
    area[24..28].copy_from_slice(&0x1f80_u32.to_le_bytes());
    FpuState::from_bytes(&area)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_followed_and_kept() {
        let script = Script::default();
        let platform = Fake::new(&script);
        script.syscall(1, &[7, 8]);
        let space = platform.new_address_space().unwrap();
        let mut context = platform.new_context().unwrap();
        context.regs().unwrap().rip = 5;
        let event = context.run(&space, Resume::Regs).unwrap();
        assert!(matches!(event, Event::Syscall(SyscallArgs { nr: 1, args: [7, 8, 0, 0, 0, 0], .. })));
        context.interrupter().interrupt();
        assert_eq!(context.run(&space, Resume::Return(3)).unwrap(), Event::Interrupted);
        let runs = script.runs();
        assert_eq!((runs[0].regs.rip, runs[1].regs.rax, runs[1].resume), (5, 3, Resume::Return(3)));
    }
}
