//! Registers to typed arguments.

use std::fmt;

use abi::{Errno, UserAddr};
use sentry::error::Result;
use sentry::task::CurrentTask;
use sentry::user::{UserCStr, UserPtr};

/// An argument of a system call. The conversion takes what Linux takes: a C `int` is the low half of the register.
pub(crate) trait FromArg: Sized {
    /// Decodes a register; an error (EINVAL, as a rule) ends the call before its handler runs.
    fn from_arg(raw: u64) -> Result<Self>;

    /// Writes the argument as strace would.
    fn trace(&self, task: &CurrentTask, out: &mut dyn fmt::Write) -> fmt::Result;
}

/// A file descriptor number, not looked up yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fd(pub(crate) i32);

impl fmt::Debug for Fd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == abi::fcntl::AT_FDCWD { f.write_str("AT_FDCWD") } else { write!(f, "{}", self.0) }
    }
}

/// The low 32 bits of a register: what the C type `int` or `unsigned int` keeps of it.
#[expect(clippy::cast_possible_truncation, reason = "Linux drops the high half of an int argument")]
pub(crate) const fn low(raw: u64) -> u32 {
    raw as u32
}

macro_rules! debug_args {
    ($($type:ty = |$raw:ident| $value:expr;)*) => {$(
        impl FromArg for $type {
            #[inline]
            fn from_arg($raw: u64) -> Result<Self> {
                Ok($value)
            }
            fn trace(&self, _: &CurrentTask, out: &mut dyn fmt::Write) -> fmt::Result {
                write!(out, "{self:?}")
            }
        }
    )*};
}

debug_args! {
    u64 = |raw| raw;
    i64 = |raw| raw.cast_signed();
    u32 = |raw| low(raw);
    i32 = |raw| low(raw).cast_signed();
    usize = |raw| usize::try_from(raw).map_err(|_| Errno::EINVAL)?;
    Fd = |raw| Fd(low(raw).cast_signed());
    UserAddr = |raw| UserAddr(raw);
}

impl<T> FromArg for UserPtr<T> {
    #[inline]
    fn from_arg(raw: u64) -> Result<Self> {
        Ok(Self::new(UserAddr(raw)))
    }
    fn trace(&self, _: &CurrentTask, out: &mut dyn fmt::Write) -> fmt::Result {
        if self.is_null() { out.write_str("NULL") } else { write!(out, "{self:?}") }
    }
}

impl FromArg for UserCStr {
    #[inline]
    fn from_arg(raw: u64) -> Result<Self> {
        Ok(Self(UserAddr(raw)))
    }
    fn trace(&self, task: &CurrentTask, out: &mut dyn fmt::Write) -> fmt::Result {
        match task.mm().read_cstr(*self, abi::limits::PATH_MAX) {
            Ok(text) => write!(out, "\"{}\"", text.escape_ascii()),
            Err(_) => write!(out, "{self:?}"),
        }
    }
}

/// Makes a bitflags type over `u32` or `u64` an argument; unknown bits are kept, the handler refuses them.
macro_rules! flag_args {
    ($($type:ty: $bits:ident),* $(,)?) => {$(
        impl $crate::arg::FromArg for $type {
            #[inline]
            fn from_arg(raw: u64) -> sentry::error::Result<Self> {
                Ok(Self::from_bits_retain(<$bits as $crate::arg::Bits>::of(raw)))
            }
            fn trace(&self, _: &sentry::task::CurrentTask, out: &mut dyn std::fmt::Write) -> std::fmt::Result {
                write!(out, "{self:?}")
            }
        }
    )*};
}

/// The integer types under flags.
pub(crate) trait Bits {
    /// What such an argument keeps of the register.
    fn of(raw: u64) -> Self;
}

impl Bits for u32 {
    fn of(raw: u64) -> Self {
        low(raw)
    }
}

impl Bits for u64 {
    fn of(raw: u64) -> Self {
        raw
    }
}

impl Bits for i32 {
    fn of(raw: u64) -> Self {
        low(raw).cast_signed()
    }
}

pub(crate) use flag_args;

flag_args! {
    abi::fcntl::OpenFlags: u32,
    abi::wait::WaitOptions: u32,
}
