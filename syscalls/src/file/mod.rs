//! Calls on descriptors: opening, reading, writing, duplicating, locking, and what a file is.

mod allocate;
mod cachestat;
mod convert;
mod copy;
mod dents;
mod dup;
mod fcntl;
mod fiemap;
mod ioctl;
pub(crate) mod iovec;
mod locks;
mod memfd;
mod open;
pub(crate) mod rw;
mod seek;
mod stat;
mod statx;
mod sync;

pub(crate) use allocate::{fadvise64, fallocate, ftruncate, readahead, sync_file_range, truncate};
pub(crate) use cachestat::cachestat;
pub(crate) use copy::{copy_file_range, sendfile};
pub(crate) use dents::{getdents, getdents64};
pub(crate) use dup::{close, close_range, dup, dup2, dup3};
pub(crate) use fcntl::fcntl;
pub(crate) use ioctl::ioctl;
pub(crate) use locks::flock;
pub(crate) use memfd::{memfd_create, memfd_secret};
pub(crate) use open::{creat, open, openat, openat2};
pub(crate) use rw::{pread64, preadv, preadv2, pwrite64, pwritev, pwritev2, read, readv, write, writev};
pub(crate) use seek::lseek;
pub(crate) use stat::{fstat, lstat, newfstatat, stat};
pub(crate) use statx::statx;
pub(crate) use sync::{fdatasync, fsync, sync, syncfs};
