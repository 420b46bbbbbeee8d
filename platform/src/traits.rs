//! The contract between the sentry and a platform.
//!
//! 1. A [`Context`] belongs to one thread at a time; `run` may block that thread until the application does something.
//! 2. [`Interrupter::interrupt`] makes a running or the next `run` return [`Event::Interrupted`], from any thread, at most
//!    once per call of it; an interrupt that meets another event may be delivered by the following `run`.
//! 3. After [`AddressSpace::update`] returns, no context can run application code on the old state of a changed range.
//!    A platform may delay the work itself until the next `run` if that cannot be observed.
//! 4. Dropping a context or an address space leaves no process behind.

use std::any::Any;
use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use abi::{UserAddr, UserRange};

use crate::cpu::CpuMeter;
use crate::event::Event;
use crate::regs::{FpuState, Regs};
use crate::rewrite::Entries;

/// A way to run application code.
pub trait Platform: Debug + Send + Sync {
    /// The name of `--platform`.
    fn name(&self) -> &'static str;

    /// A new, empty address space.
    fn new_address_space(&self) -> Result<Arc<dyn AddressSpace>, PlatformError>;

    /// A new context with all registers zero and the initial FPU state.
    fn new_context(&self) -> Result<Box<dyn Context>, PlatformError>;

    /// The addresses an application may use. The platform keeps what it needs for itself outside of it.
    fn user_range(&self) -> UserRange;

    /// Where gates of rewritten code lead, if the platform has something faster there than a `syscall` instruction.
    fn gate_entries(&self) -> Option<Entries> {
        None
    }
}

/// One thread of application execution: registers, and the means to run.
pub trait Context: Debug + Send {
    /// Runs application code in `space` until the next event. `resume` is what the last event left to apply.
    fn run(&mut self, space: &Arc<dyn AddressSpace>, resume: Resume) -> Result<Event, PlatformError>;

    /// Full registers. Changes to them count only if the next `run` gets [`Resume::Regs`]. Free on ptrace and kvm; it
    /// may cost a round trip on systrap, so nothing on the way of an ordinary syscall asks for it.
    fn regs(&mut self) -> Result<&mut Regs, PlatformError>;

    /// Floating-point and vector state as the application left it.
    fn fpu(&mut self) -> Result<FpuState, PlatformError>;

    /// Replaces the floating-point and vector state; `None` is the state of a fresh program. Bytes that the CPU would
    /// refuse (reserved bits of mxcsr or of the XSAVE header) are made valid, as Linux does when it returns from a signal.
    fn set_fpu(&mut self, state: Option<&FpuState>) -> Result<(), PlatformError>;

    /// A new context with a copy of the registers and FPU state, for `clone`. With [`Sharing::Space`] the platform makes
    /// ready, here and now, what a second thread of this address space needs: EAGAIN if the host has no process left.
    fn duplicate(&mut self, sharing: Sharing) -> Result<Box<dyn Context>, PlatformError>;

    /// A handle that makes `run` return [`Event::Interrupted`].
    fn interrupter(&self) -> Interrupter;

    /// Reads how much CPU time its application code has used. The stub's own time counts as well where the host cannot
    /// tell them apart. The default knows nothing.
    fn cpu_meter(&self) -> CpuMeter {
        CpuMeter::default()
    }

    /// Whether the `syscall` instruction behind the last event has just turned out to be used often.
    fn take_hot_site(&mut self) -> bool {
        false
    }

    /// The task is about to wait in its call for another one, probably for a short time; or has done so. Returns whether its
    /// application thread waits on a CPU meanwhile, which it then shares with others who do.
    fn takes_turns(&self, begins: bool) -> bool {
        let _ = begins;
        false
    }

    /// Gives up what the context holds in the address space it last ran in (execve, exit). Registers stay.
    fn detach(&mut self);
}

/// What a duplicate of a context is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// It will run in the address space that the original last ran in (`CLONE_VM`).
    Space,
    /// It will run in an address space of its own (`fork`).
    Nothing,
}

/// What the last event left to apply before application code goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Go on as it was (after a fault that was resolved, after an interruption).
    AsIs,
    /// The last event was a system call; this is its result for `rax`.
    Return(u64),
    /// Load the registers that [`Context::regs`] holds.
    Regs,
}

/// The host side of one application address space.
pub trait AddressSpace: Debug + Send + Sync {
    /// Applies changes in order. See point 3 of the contract for when they take effect.
    fn update(&self, ops: &[MapOp<'_>]) -> Result<(), PlatformError>;

    /// Runs `f` while no application code runs here but the caller's, which is in an event. `f` may not change the address
    /// space. EAGAIN if some code could not be stopped soon.
    fn pause(&self, f: &mut dyn FnMut()) -> Result<(), PlatformError> {
        let _ = f;
        Err(PlatformError::Unavailable("code is not rewritten here".into()))
    }

    /// For the platform to find its own type again.
    fn as_any(&self) -> &dyn Any;
}

/// One change of an address space. Ranges and offsets are page aligned and lie in [`Platform::user_range`].
#[derive(Clone, Copy, Debug)]
pub enum MapOp<'a> {
    /// Maps `len` bytes of a host file, shared, over whatever is there.
    Map {
        /// Where.
        at: UserAddr,
        /// How many bytes.
        len: u64,
        /// The memory file or a donated file. Shared so that a platform may apply the change later.
        file: &'a Arc<OwnedFd>,
        /// Where in the file.
        offset: u64,
        /// What the application may do with it.
        prot: Prot,
    },
    /// Takes away whatever is mapped there.
    Unmap(UserRange),
    /// Changes what may be done with what is mapped there; holes are skipped.
    Protect(UserRange, Prot),
}

/// What application code may do with mapped memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Prot {
    /// PROT_READ.
    pub read: bool,
    /// PROT_WRITE.
    pub write: bool,
    /// PROT_EXEC.
    pub exec: bool,
}

impl Prot {
    /// PROT_NONE.
    pub const NONE: Self = Self { read: false, write: false, exec: false };
    /// PROT_READ.
    pub const READ: Self = Self { read: true, write: false, exec: false };
    /// PROT_READ | PROT_WRITE.
    pub const READ_WRITE: Self = Self { read: true, write: true, exec: false };
    /// PROT_READ | PROT_EXEC.
    pub const READ_EXEC: Self = Self { read: true, write: false, exec: true };

    /// Without the right to write.
    #[must_use]
    pub const fn without_write(self) -> Self {
        Self { write: false, ..self }
    }

    /// Whether nothing is allowed.
    #[must_use]
    pub const fn is_none(self) -> bool {
        !self.read && !self.write && !self.exec
    }
}

/// Makes a context's `run` return [`Event::Interrupted`]; cheap to clone and to call from any thread.
#[derive(Clone)]
pub struct Interrupter(pub(crate) Arc<dyn Fn() + Send + Sync>);

impl Interrupter {
    /// One that does this.
    #[must_use]
    pub fn new(interrupt: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(interrupt))
    }

    /// See the contract, point 2.
    pub fn interrupt(&self) {
        (self.0)();
    }
}

impl Debug for Interrupter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interrupter")
    }
}

/// Why a platform cannot go on with a context or an address space.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// The stub process is gone (killed from outside, by the OOM killer).
    #[error("the stub process died")]
    StubDied,
    /// The host refused a call that we need.
    #[error("{what}: {errno}")]
    Host {
        /// What we tried.
        what: &'static str,
        /// What the host said.
        errno: abi::Errno,
    },
    /// This platform cannot work here, with the reason.
    #[error("platform unavailable: {0}")]
    Unavailable(String),
}
