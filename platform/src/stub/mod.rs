//! What the platforms with stub processes have in common.
//!
//! - [`layout`]: which addresses of a stub are ours.
//! - [`zygote`]: the process that stubs are cloned from; [`zygote_text`] is its code. What a stub does is the business of
//!   the platform, whose own page of code follows the zygote's.
//! - [`commands`]: a page per stub process that tells it what to do, read-only there. [`pool`] keeps stub processes ready.
//! - [`control`]: how other threads reach a context that runs; [`pulse`] looks after those that do not answer.
//! - [`queue`] and [`ranges`]: changes of an address space until they are made. [`sanitise`], [`xsave`]: registers and
//!   vector state become what the host accepts.

pub(crate) mod commands;
pub(crate) mod control;
pub(crate) mod layout;
pub(crate) mod pool;
pub(crate) mod pulse;
pub(crate) mod queue;
mod ranges;
pub(crate) mod sanitise;
pub(crate) mod xsave;
pub(crate) mod zygote;
mod zygote_text;

use abi::Errno;

use crate::traits::PlatformError;

/// The signal that takes a stub out of application code. Nobody else sends it to one.
pub(crate) const KICK: i32 = libc::SIGURG;

pub(crate) const fn host_error(what: &'static str, errno: Errno) -> PlatformError {
    PlatformError::Host { what, errno }
}
