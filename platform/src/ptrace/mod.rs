//! Application code in stub processes that the sentry traces; works wherever ptrace(2) does.
//!
//! - [`text`]: the few instructions that run in a stub besides application code.
//! - [`memory`]: the host memory of one application address space, with its parked stubs.
//! - [`tracee`]: a stub while a thread traces it. [`stop`] says what its stops mean, [`placement`] keeps the two together.
//! - [`space`]: [`crate::AddressSpace`], [`context`]: [`crate::Context`].
//!
//! Neighbours: [`crate::stub`] has what other platforms need as well.
//!
//! Who traces whom: each context has a stub of its own, traced by the thread that runs it, from its first `run` to
//! `detach` or drop. The contexts of an address space have stubs that share memory. See docs/decisions/0002.
//!
//! Locks, outermost first: space state, pool, parked stubs of a memory, control, tracee state. A thread waits for its own
//! tracee (never for another thread) while it holds the space state; it holds none of them while application code runs.

mod context;
mod fpu;
mod memory;
mod placement;
mod space;
mod stop;
mod text;
mod tracee;

use std::sync::Arc;

use abi::{UserAddr, UserRange};

use self::context::PtraceContext;
use self::fpu::FpuFormat;
use self::memory::NoPlan;
use self::space::PtraceSpace;
use self::tracee::Tracee;
use crate::stub::host_error;
use crate::stub::pool::Pool;
use crate::traits::{AddressSpace, Context, Platform, PlatformError};

/// Linux gives nobody less than this to map, unless the administrator says so.
const USER_START: UserAddr = UserAddr(0x1_0000);

/// `--platform=ptrace`.
#[derive(Debug)]
pub struct Ptrace {
    host: Arc<Host>,
}

/// What all spaces and contexts need.
#[derive(Debug)]
struct Host {
    pool: Pool<NoPlan>,
    fpu: FpuFormat,
}

impl Ptrace {
    /// Starts the zygote and proves that stubs can be made and traced.
    ///
    /// Call it on the process's first thread, before there are others, with the descriptor table, credentials and
    /// namespaces that the sentry keeps: stubs share the first and are traceable because they have the same of the others.
    pub fn new() -> Result<Self, PlatformError> {
        host::child::silence_stops().map_err(|errno| host_error("sigaction", errno))?;
        let pool = Pool::new(NoPlan, text::bytes())?;
        let memory = pool.take()?;
        let stub = memory.unpark().ok_or_else(|| PlatformError::Unavailable("no stub to test".into()))?;
        let tracee = Tracee::attach_unbound(stub, &memory)?;
        let fpu = FpuFormat::of(&tracee)?;
        tracee.release();
        pool.give(memory);
        Ok(Self { host: Arc::new(Host { pool, fpu }) })
    }
}

impl Platform for Ptrace {
    fn name(&self) -> &'static str {
        "ptrace"
    }

    fn new_address_space(&self) -> Result<Arc<dyn AddressSpace>, PlatformError> {
        Ok(Arc::new(PtraceSpace::new(&self.host)))
    }

    fn new_context(&self) -> Result<Box<dyn Context>, PlatformError> {
        Ok(Box::new(PtraceContext::new(&self.host)))
    }

    fn user_range(&self) -> UserRange {
        UserRange::between(USER_START, text::user_end())
    }
}
