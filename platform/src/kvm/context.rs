//! A thread of application execution: its registers, and the loop that runs it on a virtual CPU.

use std::sync::Arc;

use abi::{TASK_SIZE, UserAddr};

use super::exception::{self, Meaning};
use super::pool::{Pool, Tenant};
use super::space::{KvmSpace, Resolved, Space};
use super::vcpu::Exit;
use crate::event::{Access, Event, Exception, SyscallArgs};
use crate::regs::{FpuState, Regs};
use crate::stub::{host_error, sanitise};
use crate::traits::{AddressSpace, Context, Interrupter, PlatformError, Resume, Sharing};

/// So often the same access may fault although it is permitted, before we take it for a fault of ours.
const PATIENCE: u32 = 1000;
const SI_KERNEL: i32 = 0x80;
const BUS_ADRERR: i32 = 2;

#[derive(Debug)]
pub(super) struct KvmContext {
    pool: Arc<Pool>,
    tenant: Arc<Tenant>,
    space: Option<Arc<Space>>,
    regs: Regs,
    /// The registers as the sentry sees and changes them, from [`Context::regs`] to the next run.
    edited: Option<Regs>,
    /// The last fault that was resolved here, and how often.
    resolved: (u64, u64, u32),
}

impl KvmContext {
    pub(super) fn new(pool: &Arc<Pool>) -> Result<Self, PlatformError> {
        let vectors = pool.machine.format()?.initial().clone();
        Ok(Self::with(pool, Regs::start(0, 0), vectors))
    }

    fn with(pool: &Arc<Pool>, regs: Regs, vectors: FpuState) -> Self {
        let pool = Arc::clone(pool);
        Self { pool, tenant: Tenant::new(vectors), space: None, regs, edited: None, resolved: (0, 0, 0) }
    }

    fn apply(&mut self, resume: Resume) {
        let edited = self.edited.take();
        match resume {
            Resume::AsIs => {}
            Resume::Return(value) => self.regs.rax = value,
            Resume::Regs => {
                if let Some(mut regs) = edited {
                    sanitise::all(&mut regs);
                    self.regs = regs;
                }
            }
        }
        sanitise::bases(&mut self.regs);
    }

    fn enter(&mut self, space: &Arc<Space>) {
        if !self.space.as_ref().is_some_and(|here| Arc::ptr_eq(here, space)) {
            self.leave();
            space.enter(&self.tenant.control);
            self.space = Some(Arc::clone(space));
        }
    }

    fn leave(&mut self) {
        if let Some(space) = self.space.take() {
            space.leave(&self.tenant.control);
        }
    }

    /// Runs until something comes out, which may be nothing.
    fn step(&mut self, space: &Space) -> Result<Option<Event>, PlatformError> {
        if let Some(event) = unreachable(self.regs.rip) {
            return Ok(Some(event));
        }
        let control = Arc::clone(&self.tenant.control);
        let mut lease = self.pool.lease(&self.tenant)?;
        let wanted = self.pool.is_wanted(&lease);
        let vcpu = lease.vcpu()?;
        vcpu.load(&self.regs, space);
        control.enter(vcpu.running());
        let exit = if control.is_interrupted() || space.has_failed() || wanted {
            Ok(Exit::Interrupted)
        } else {
            vcpu.run(&mut self.regs)
        };
        control.leave();
        drop(lease);
        self.meaning(space, exit?)
    }

    fn meaning(&mut self, space: &Space, exit: Exit) -> Result<Option<Event>, PlatformError> {
        match exit {
            Exit::Syscall { compat } => Ok(Some(self.call(compat))),
            Exit::Interrupted => Ok(None),
            Exit::Vector { vector, error, addr } => {
                let (pool, tenant, rip) = (&self.pool, &self.tenant, self.regs.rip);
                let code = |bytes: &mut [u8]| space.peek(rip, bytes);
                let vectors = || pool.vectors(tenant).ok();
                match exception::meaning((vector, error, addr), &self.regs, code, vectors) {
                    Meaning::Fault(addr, access) => self.fault(space, addr, access),
                    Meaning::Event(event) => Ok(Some(event)),
                    Meaning::Nothing => Ok(None),
                    Meaning::Call => {
                        self.regs.rip += 2;
                        self.regs.orig_rax = self.regs.rax;
                        Ok(Some(self.call(true)))
                    }
                }
            }
            Exit::Port { done } => {
                let mut bytes = [0; 2];
                let known = space.peek(self.regs.rip.wrapping_sub(2), &mut bytes) == 2;
                let back = if done { exception::port_instruction(known.then_some(bytes)) } else { 0 };
                self.regs.rip = self.regs.rip.wrapping_sub(back);
                Ok(Some(Event::Exception(Exception { signo: libc::SIGSEGV, code: SI_KERNEL, addr: UserAddr::NULL })))
            }
            Exit::NoMemory if space.uncover_ends()? => Ok(None),
            Exit::NoMemory => Ok(Some(bus_error(UserAddr::NULL))),
            Exit::Broken(what) => {
                tracing::warn!(what, regs = ?self.regs, "a virtual CPU came out in a way that it should not");
                Err(host_error("KVM_RUN", abi::Errno::EIO))
            }
        }
    }

    fn call(&self, compat: bool) -> Event {
        let Regs { rdi, rsi, rdx, r10, r8, r9, rbx, rcx, rbp, .. } = self.regs;
        let args = if compat { [rbx, rcx, rdx, rsi, rdi, rbp] } else { [rdi, rsi, rdx, r10, r8, r9] };
        Event::Syscall(SyscallArgs { nr: self.regs.orig_rax, args, ip: UserAddr(self.regs.rip), compat })
    }

    fn fault(&mut self, space: &Space, addr: UserAddr, access: Access) -> Result<Option<Event>, PlatformError> {
        match space.resolve(addr, access)? {
            Resolved::Yes => {}
            Resolved::NotPermitted => return Ok(Some(Event::Fault { addr, access })),
            Resolved::BeyondEnd => return Ok(Some(bus_error(addr))),
        }
        let (at, rip, times) = self.resolved;
        self.resolved = (addr.0, self.regs.rip, if (at, rip) == (addr.0, self.regs.rip) { times + 1 } else { 0 });
        if self.resolved.2 < PATIENCE {
            return Ok(None);
        }
        tracing::warn!(?addr, ?access, "the guest faults again and again where it should not");
        Err(host_error("KVM_RUN", abi::Errno::EIO))
    }
}

const fn bus_error(addr: UserAddr) -> Event {
    Event::Exception(Exception { signo: libc::SIGBUS, code: BUS_ADRERR, addr })
}

/// Where no application code is, and how Linux says so.
fn unreachable(rip: u64) -> Option<Event> {
    let canonical = (rip.cast_signed() << 16 >> 16).cast_unsigned() == rip;
    match rip {
        ..TASK_SIZE => None,
        _ if canonical => Some(Event::Fault { addr: UserAddr(rip), access: Access::Execute }),
        _ => Some(Event::Exception(Exception { signo: libc::SIGSEGV, code: SI_KERNEL, addr: UserAddr::NULL })),
    }
}

impl Context for KvmContext {
    fn run(&mut self, space: &Arc<dyn AddressSpace>, resume: Resume) -> Result<Event, PlatformError> {
        self.apply(resume);
        if self.tenant.control.take_interrupt() {
            return Ok(Event::Interrupted);
        }
        let space = KvmSpace::of(space)?;
        self.enter(space);
        loop {
            space.check()?;
            if let Some(event) = self.step(space)? {
                return Ok(event);
            }
            if self.tenant.control.take_interrupt() {
                return Ok(Event::Interrupted);
            }
        }
    }

    fn regs(&mut self) -> Result<&mut Regs, PlatformError> {
        Ok(self.edited.get_or_insert(self.regs))
    }

    fn fpu(&mut self) -> Result<FpuState, PlatformError> {
        self.pool.vectors(&self.tenant)
    }

    fn set_fpu(&mut self, state: Option<&FpuState>) -> Result<(), PlatformError> {
        let initial = self.pool.machine.format()?.initial();
        self.pool.set_vectors(&self.tenant, state.unwrap_or(initial).clone());
        Ok(())
    }

    fn duplicate(&mut self, _sharing: Sharing) -> Result<Box<dyn Context>, PlatformError> {
        let regs = *self.regs()?;
        let vectors = self.fpu()?;
        Ok(Box::new(Self::with(&self.pool, regs, vectors)))
    }

    fn interrupter(&self) -> Interrupter {
        self.tenant.control.interrupter()
    }

    fn detach(&mut self) {
        self.leave();
    }
}

impl Drop for KvmContext {
    fn drop(&mut self) {
        self.leave();
        self.pool.forget(&self.tenant);
    }
}
