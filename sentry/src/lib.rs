//! The kernel: tasks, memory, files, signals, time, sockets, and what ties them together.
//!
//! - [`kernel`]: the sandbox as a whole: boot, containers, what is shared by all.
//! - [`task`]: threads and processes: their tree, life, credentials, signals, run loop.
//! - [`mm`]: application memory; [`loader`]: programs into memory; [`futex`].
//! - [`landlock`]: what tasks forbid themselves.
//! - [`vfs`]: mounts, dentries, path walking, open files; [`fs`]: the file systems and kinds of files.
//! - [`aio`]: io_submit(2) and its kin; [`bpf`]: filters of calls and packets.
//! - [`net`]: sockets; [`ipc`]: SysV and POSIX IPC; [`keys`]; [`time`]: clocks and timers.
//! - [`syscall`]: what a system call table is; the `syscalls` crate builds one and the binary hands it to the kernel.
//!
//! One thread per task, no async. Application memory is named by [`user`] types and moved by [`io`]; everything fails with
//! [`error::Error`]; locks follow [`lock_order`].
#![forbid(unsafe_code)]
// That a socket may go from thread to thread follows from that of everything it leads to.
#![recursion_limit = "256"]

pub mod aio;
mod bpf;
pub mod error;
pub mod fs;
pub mod futex;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod io;
pub mod ipc;
pub mod kernel;
pub mod keys;
pub mod landlock;
pub mod loader;
pub mod lock_order;
pub mod mm;
pub mod net;
pub mod syscall;
pub mod task;
pub mod time;
pub mod user;
pub mod vfs;

pub use platform;
