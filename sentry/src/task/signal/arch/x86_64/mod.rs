//! x86-64: frames as Linux builds them (`lib/abi`'s `sigframe` has the layout).

mod access;
mod fpu;
mod frame;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod restart;
mod sigreturn;

pub(in crate::task::signal) use access::{MAX_INSN, is_write};
pub(in crate::task::signal) use frame::{Entry, FaultRegs, enter, write_frame};
pub(in crate::task::signal) use restart::{finish, restart_block, restart_same};
pub(in crate::task::signal) use sigreturn::read_frame;
