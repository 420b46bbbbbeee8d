//! signalfd(2).

use abi::Errno;
use abi::epoll::SignalfdFlags;
use abi::fcntl::OpenFlags;
use abi::signal::{SIGSET_SIZE, SigSet};
use sentry::error::{Result, err};
use sentry::fs::signalfd::SignalFd;
use sentry::task::CurrentTask;
use sentry::user::UserPtr;
use sentry::vfs::File;

use crate::arg::{Fd, flag_args};
use crate::fd::install;

flag_args! { SignalfdFlags: u32 }

/// signalfd(2) as it was before it had flags.
pub(crate) fn signalfd(task: &mut CurrentTask, fd: Fd, mask: UserPtr<SigSet>, size: u64) -> Result<Fd> {
    signalfd4(task, fd, mask, size, SignalfdFlags::empty())
}

/// signalfd4(2): a file to read signals from, or other signals for one that is there.
pub(crate) fn signalfd4(
    task: &mut CurrentTask,
    fd: Fd,
    mask: UserPtr<SigSet>,
    size: u64,
    flags: SignalfdFlags,
) -> Result<Fd> {
    if size != SIGSET_SIZE || !SignalfdFlags::all().contains(flags) {
        return err(Errno::EINVAL);
    }
    let mask = task.mm().read(mask)?;
    if fd.0 != -1 {
        let file = task.files().get(fd.0)?;
        file.ops_as::<SignalFd>().ok_or(Errno::EINVAL)?.set_mask(task, mask);
        return Ok(fd);
    }
    let mut open = OpenFlags::O_RDWR;
    open.set(OpenFlags::O_NONBLOCK, flags.contains(SignalfdFlags::SFD_NONBLOCK));
    let file = File::new_anonymous(SignalFd::new(task, mask), "anon_inode:[signalfd]", open);
    install(task, file, flags.contains(SignalfdFlags::SFD_CLOEXEC))
}
