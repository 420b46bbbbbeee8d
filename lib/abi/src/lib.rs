//! The Linux ABI of x86-64: numbers, structures, error numbers, ELF, signal frames. A file per header.
//!
//! Every structure is `#[repr(C)]` with zerocopy's derives, which refuse implicit padding, so that no byte of ours leaks
//! to an application. No unsafe, no I/O, no locks; every other crate may use this one, and it uses none of them.
#![forbid(unsafe_code)]

mod names;

pub mod addr;
pub mod capability;
pub mod dirent;
pub mod elf;
pub mod epoll;
pub mod errno;
pub mod fanotify;
pub mod fcntl;
pub mod fiemap;
pub mod futex;
pub mod inotify;
pub mod ioctl;
pub mod iouring;
pub mod ipc;
pub mod keyctl;
pub mod landlock;
pub mod limits;
pub mod membarrier;
pub mod mman;
pub mod mount;
pub mod netlink;
pub mod pidfd;
pub mod poll;
pub mod prctl;
pub mod ptrace;
pub mod random;
pub mod resource;
pub mod rseq;
pub mod sched;
pub mod seccomp;
pub mod sigframe;
pub mod siginfo;
pub mod signal;
pub mod sockaddr;
pub mod socket;
pub mod splice;
pub mod stat;
pub mod statfs;
pub mod syscall_nr;
pub mod sysinfo;
pub mod taskstats;
pub mod termios;
pub mod time;
pub mod uio;
pub mod utsname;
pub mod wait;
pub mod xattr;

pub use addr::{PAGE_SHIFT, PAGE_SIZE, TASK_SIZE, UserAddr, UserRange};
pub use errno::Errno;
