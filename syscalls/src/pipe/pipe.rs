//! pipe(2).

use abi::Errno;
use abi::fcntl::OpenFlags;
use sentry::error::{Result, err};
use sentry::fs::pipe::{Pipe, fifo};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;
use sentry::vfs::{File, anon};

use crate::fd::install_pair;

/// pipe(2): two descriptors, the first to read.
pub(crate) fn pipe(task: &mut CurrentTask, fds: UserPtr<[i32; 2]>) -> Result<()> {
    pipe2(task, fds, OpenFlags::empty())
}

/// pipe2(2): with O_CLOEXEC, O_NONBLOCK, O_DIRECT; O_NOTIFICATION_PIPE is not there (ENOPKG, as without its option).
pub(crate) fn pipe2(task: &mut CurrentTask, fds: UserPtr<[i32; 2]>, flags: OpenFlags) -> Result<()> {
    if flags.contains(OpenFlags::O_EXCL) {
        return err(Errno::ENOPKG);
    }
    if !(OpenFlags::O_CLOEXEC | OpenFlags::O_NONBLOCK | OpenFlags::O_DIRECT).contains(flags) {
        return err(Errno::EINVAL);
    }
    let pipe = Pipe::new();
    let status = flags & (OpenFlags::O_NONBLOCK | OpenFlags::O_DIRECT);
    let path = anon::pipe_path(task.creds().fsuid, task.creds().fsgid);
    fifo::attach(path.inode().attachments(), &pipe);
    let read = File::new(pipe.open(true, false), path.clone(), status | OpenFlags::O_RDONLY);
    let write = File::new(pipe.open(false, true), path, status | OpenFlags::O_WRONLY);
    let numbers = install_pair(task, [read, write], flags.contains(OpenFlags::O_CLOEXEC))?;
    if let Err(fault) = task.mm().write(fds, &numbers) {
        for fd in numbers {
            let _ = task.files().remove(fd);
        }
        return Err(fault);
    }
    Ok(())
}
