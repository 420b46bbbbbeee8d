//! eventfd(2).

use abi::Errno;
use abi::epoll::EventfdFlags;
use abi::fcntl::OpenFlags;
use sentry::error::{Result, err};
use sentry::fs::eventfd::EventFd;
use sentry::task::CurrentTask;
use sentry::vfs::{File, anon};

use crate::arg::{Fd, flag_args};
use crate::fd::install;

flag_args! { EventfdFlags: u32 }

/// eventfd(2): a counter as a file.
pub(crate) fn eventfd(task: &mut CurrentTask, count: u32) -> Result<Fd> {
    eventfd2(task, count, EventfdFlags::empty())
}

/// eventfd2(2): the same with flags.
pub(crate) fn eventfd2(task: &mut CurrentTask, count: u32, flags: EventfdFlags) -> Result<Fd> {
    if !EventfdFlags::all().contains(flags) {
        return err(Errno::EINVAL);
    }
    let ops = EventFd::new(count.into(), flags.contains(EventfdFlags::EFD_SEMAPHORE));
    let mut open = OpenFlags::O_RDWR;
    open.set(OpenFlags::O_NONBLOCK, flags.contains(EventfdFlags::EFD_NONBLOCK));
    let file = File::new(ops, anon::inode_path("anon_inode:[eventfd]"), open);
    install(task, file, flags.contains(EventfdFlags::EFD_CLOEXEC))
}
