//! Application code in stub processes under seccomp, without ptrace: the fast default.
//!
//! - [`text`]: the few instructions that run in a stub besides application code. [`filters`]: what its threads may call.
//! - [`area`]: memory that a thread shares with us; [`frame`]: the signal frames there.
//! - [`thread`]: a thread of a stub and how it hands over to us; [`report`] says what its reports mean.
//! - [`process`]: a stub process, with the service thread that changes its address space.
//! - [`direct`]: calls through memory, made by rewritten code ([`direct_text`]) of sites that are [`hot`]; [`looking`] for
//!   them while it pays ([`spin`]).
//! - [`shares`]: who used how much of its CPU time.
//! - [`space`]: [`crate::AddressSpace`]. [`context`]: [`crate::Context`].
//!
//! Neighbours: [`crate::stub`] has what other platforms need as well. See docs/decisions for how it works and why.
//!
//! Locks, outermost first: space state, pool, orders of a process, parked threads, service thread, free areas, control,
//! leader. No lock is held while application code runs.

mod area;
mod context;
mod direct;
mod direct_text;
mod filters;
mod frame;
mod hot;
mod looking;
mod process;
mod report;
mod shares;
mod space;
mod spin;
mod text;
mod thread;

#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use abi::{UserAddr, UserRange};

use self::area::Areas;
use self::context::SystrapContext;
use self::frame::Frame;
use self::process::Starter;
use self::space::SystrapSpace;
use self::spin::Eagerness;
use self::thread::Waiting;
use crate::regs::Regs;
use crate::rewrite::Entries;
use crate::stub::pool::Pool;
use crate::stub::xsave::XsaveFormat;
use crate::traits::{AddressSpace, Context, Platform, PlatformError};

/// Linux gives nobody less than this to map, unless the administrator says so.
const USER_START: UserAddr = UserAddr(0x1_0000);
/// AT_HWCAP2, and the bit that says that user code may set its FS and GS bases.
const AT_HWCAP2: u64 = 26;
const HWCAP2_FSGSBASE: u64 = 2;

/// How stubs and sentry hand over to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Calls are seccomp user notifications that wake up synchronously (Linux 6.6 or later).
    Notify,
    /// Every call traps, and its handler hands over by futex.
    Futex,
}

/// `--platform=systrap`.
#[derive(Debug)]
pub struct Systrap {
    host: Arc<Host>,
}

/// What all spaces and contexts need.
#[derive(Debug)]
struct Host {
    pool: Pool<Starter>,
    variant: Variant,
    format: XsaveFormat,
    /// Whether and how soon code may be rewritten to make direct calls.
    direct: Option<Eagerness>,
}

impl Systrap {
    /// Starts the zygote and proves that stubs work, in the fastest variant that does. By notifications, code of applications
    /// that makes many calls is rewritten.
    ///
    /// Call it on the process's first thread, before there are others, with the descriptor table that the sentry keeps:
    /// stubs share it.
    pub fn new() -> Result<Self, PlatformError> {
        match Self::start(Variant::Notify, Some(Eagerness::REASONABLE)) {
            Ok(platform) => Ok(platform),
            Err(error) => {
                tracing::debug!(%error, "systrap cannot hand over by notifications");
                Self::with(Variant::Futex)
            }
        }
    }

    /// The same in a given variant, with no code rewritten.
    pub fn with(variant: Variant) -> Result<Self, PlatformError> {
        Self::start(variant, None)
    }

    /// By notifications, with code rewritten at the first opportunity, for tests.
    pub fn eagerly_direct() -> Result<Self, PlatformError> {
        Self::start(Variant::Notify, Some(Eagerness::TEST))
    }

    fn start(variant: Variant, direct: Option<Eagerness>) -> Result<Self, PlatformError> {
        if host::auxv::value(AT_HWCAP2) & HWCAP2_FSGSBASE == 0 {
            return Err(PlatformError::Unavailable("user code cannot set its FS base on this host".into()));
        }
        host::child::silence_stops().map_err(|errno| crate::stub::host_error("sigaction", errno))?;
        host::notify::ask_before_waiting(host::notify::must_ask());
        let areas = Arc::new(Areas::new()?);
        let pool =
            Pool::new(Starter { areas, variant, eagerness: direct.unwrap_or(Eagerness::REASONABLE) }, &text::page())?;
        let format = try_out(&pool)?;
        tracing::debug!(?variant, "systrap hands over");
        Ok(Self { host: Arc::new(Host { pool, variant, format, direct }) })
    }
}

/// Has a stub touch memory that is not there, and learns what its signal frames look like.
fn try_out(pool: &Pool<Starter>) -> Result<XsaveFormat, PlatformError> {
    let unavailable = |what: &str| PlatformError::Unavailable(format!("a stub on trial {what}"));
    let process = pool.take()?;
    let mut thread = process.thread()?;
    let frame = Frame::fresh(thread.area(), None);
    frame.set_regs(thread.area(), &Regs::start(0, 0));
    thread.resume(frame, (0, 0), true)?;
    let Waiting::Report(_, report) = thread.receive()? else { return Err(unavailable("made a call")) };
    if report.signal != libc::SIGSEGV {
        return Err(unavailable("did not fault"));
    }
    let format = report.frame.vector_format(thread.area());
    let (area, features) = format.ok_or_else(|| unavailable("has no vector state"))?;
    if !frame::fits(area.len()) {
        return Err(unavailable("has large signal frames"));
    }
    let format = XsaveFormat::new(&area, features)?;
    process.park(thread);
    pool.give(process);
    Ok(format)
}

impl Platform for Systrap {
    fn name(&self) -> &'static str {
        "systrap"
    }

    fn new_address_space(&self) -> Result<Arc<dyn AddressSpace>, PlatformError> {
        Ok(Arc::new(SystrapSpace::new(&self.host)))
    }

    fn new_context(&self) -> Result<Box<dyn Context>, PlatformError> {
        Ok(Box::new(SystrapContext::new(&self.host)))
    }

    fn user_range(&self) -> UserRange {
        UserRange::between(USER_START, text::USER_END)
    }

    fn gate_entries(&self) -> Option<Entries> {
        let labels = text::direct();
        let entries = Entries { number_known: labels.entry, number_in_rax: labels.entry_number };
        self.host.direct.map(|_| entries)
    }
}
