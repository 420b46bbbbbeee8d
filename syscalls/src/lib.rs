//! The thin layer of system calls: typed arguments in, kernel objects called, errno out.
//!
//! A handler is an ordinary function that takes the current task and typed arguments; [`arg::FromArg`] makes them from
//! registers, and their `Debug` (or own) form is what strace output shows. One row of [`table`] is the whole truth about a
//! call: number, handler, support. Modules are areas of the interface; a call lives in the file of its family.
#![forbid(unsafe_code)]

mod aio;
pub mod arg;
mod deadline;
mod fd;
mod file;
mod fs;
mod futex;
mod handler;
mod ipc;
mod keys;
mod mm;
mod net;
mod path;
mod pipe;
mod poll;
mod ret;
mod signal;
mod sys;
pub mod table;
mod task;
mod time;
mod uring;

pub use table::x86_64;
