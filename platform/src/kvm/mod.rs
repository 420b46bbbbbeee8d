//! Application code in virtual CPUs: ring 3 of a guest whose ring 0 does nothing but leave.
//!
//! - [`layout`]: which addresses of a guest are ours. [`text`]: what stands there.
//! - [`machine`]: the virtual machine; [`trial`] finds out what kind of host it is on. [`cpuid`]: what its CPUs can do.
//! - [`slots`]: guest memory, windows of the memory file and of donated files. [`arena`]: memory of page tables.
//! - [`tree`]: the page tables of an address space. [`space`]: [`crate::AddressSpace`].
//! - [`vcpu`]: a virtual CPU. [`pool`]: few of them for many contexts. [`exception`]: what its exceptions mean.
//! - [`context`]: [`crate::Context`]. [`control`]: how others reach one that runs. [`calls`]: what a filter must allow.
//!
//! Neighbours: registers and vector state are made valid by [`crate::stub`]. See docs/decisions/0010 for how it works and
//! why.
//!
//! Locks, outermost first: space state, windows, free tables; pool, vector state of a context, control. No lock is held
//! while application code runs.

mod arena;
pub mod calls;
mod context;
mod control;
mod cpuid;
mod exception;
mod layout;
mod machine;
mod pool;
mod slots;
mod space;
mod text;
mod tree;
mod trial;
mod vcpu;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use abi::{Errno, UserAddr, UserRange};

use self::context::KvmContext;
use self::machine::Machine;
pub use self::machine::Variant;
use self::pool::Pool;
use self::space::KvmSpace;
use crate::stub::host_error;
use crate::traits::{AddressSpace, Context, Platform, PlatformError};

/// Linux gives nobody less than this to map, unless the administrator says so.
const USER_START: UserAddr = UserAddr(0x1_0000);
/// Virtual CPUs for each CPU of the host, and how many there are at least and at most. A context in the kernel keeps its own
/// while nobody else needs it.
const PER_CPU: usize = 4;
const FEWEST: usize = 16;
const MOST: usize = 256;

/// `--platform=kvm`.
#[derive(Debug)]
pub struct Kvm {
    pool: Arc<Pool>,
}

impl Kvm {
    /// Makes a machine over an open `/dev/kvm`, and proves that guests work.
    ///
    /// The kick signal (SIGURG) is from then on one that threads of ours are interrupted by.
    pub fn new(device: OwnedFd) -> Result<Self, PlatformError> {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with(device, (cpus * PER_CPU).clamp(FEWEST, MOST))
    }

    /// The same with at most so many virtual CPUs.
    pub fn with(device: OwnedFd, vcpus: usize) -> Result<Self, PlatformError> {
        control::prepare().map_err(|errno| host_error("sigaction", errno))?;
        let machine = Machine::new(device, vcpus)?;
        let first = trial::try_out(&machine)?;
        Ok(Self { pool: Arc::new(Pool::new(machine, first)) })
    }

    /// What kind of host this is.
    #[must_use]
    pub fn variant(&self) -> Option<Variant> {
        self.pool.machine.variant()
    }
}

impl Platform for Kvm {
    fn name(&self) -> &'static str {
        "kvm"
    }

    fn new_address_space(&self) -> Result<Arc<dyn AddressSpace>, PlatformError> {
        Ok(Arc::new(KvmSpace::new(&self.pool.machine)?))
    }

    fn new_context(&self) -> Result<Box<dyn Context>, PlatformError> {
        Ok(Box::new(KvmContext::new(&self.pool)?))
    }

    fn user_range(&self) -> UserRange {
        UserRange::between(USER_START, UserAddr(layout::BASE))
    }
}

/// The host refused a call on a machine.
fn failed(what: &'static str, error: &kvm_ioctls::Error) -> PlatformError {
    host_error(what, Errno::from_raw(error.errno()))
}
