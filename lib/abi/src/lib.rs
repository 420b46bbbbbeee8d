//! The Linux ABI of x86-64: numbers, structures, error numbers, ELF, signal frames. A file per header.
//!
//! Every structure is `#[repr(C)]` with zerocopy's derives, which refuse implicit padding, so that no byte of ours leaks
//! to an application. No unsafe, no I/O, no locks; every other crate may use this one, and it uses none of them.
#![forbid(unsafe_code)]

mod names;

pub mod addr;
pub mod capability;
pub mod elf;
pub mod epoll;
pub mod errno;
pub mod fcntl;
pub mod futex;
pub mod limits;
pub mod mman;
pub mod poll;
pub mod prctl;
pub mod resource;
pub mod sched;
pub mod sigframe;
pub mod siginfo;
pub mod signal;
pub mod stat;
pub mod statfs;
pub mod syscall_nr;
pub mod time;
pub mod uio;
pub mod wait;

pub use addr::{PAGE_SHIFT, PAGE_SIZE, TASK_SIZE, UserAddr, UserRange};
pub use errno::Errno;
