//! The safe face of the host: memory files, mappings, fd passing, openat2, namespaces, seccomp, futex.
//!
//! One of the two crates with `unsafe` (the other is `platform`). What it offers is safe to call with any argument; each
//! unsafe block says which invariant of its module makes it sound.

pub mod auxv;
pub mod child;
pub mod clock;
pub mod command;
pub mod cpu;
pub mod empty_root;
mod errno;
pub mod eventfd;
pub mod fd_socket;
pub mod fdpass;
pub mod file;
pub mod filter;
pub mod fork;
pub mod futex;
mod guard;
pub mod mapping;
pub mod mem;
pub mod memfd;
pub mod mount_fd;
pub mod net;
pub mod notify;
pub mod own_memory;
pub mod packet;
pub mod path;
pub mod pidfd;
pub mod process;
pub mod program_text;
pub mod ptrace;
pub mod random;
pub mod readiness;
pub mod rtnetlink;
pub mod sched;
pub mod seccomp;
pub mod self_exe;
pub mod shared_pages;
pub mod spawn;
pub mod tsc;
pub mod tty;
pub mod vdso;
pub mod xattr;
