//! Process file descriptors (pidfd_open(2)): a pid held by an open file.

use std::any::Any;
use std::sync::Arc;

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::poll::{POLLHUP, POLLIN, POLLRDNORM};
use abi::resource::Resource;
use sync::WaitQueue;

use super::CurrentTask;
use super::pid::Pid;
use crate::error::{Result, err};
use crate::user::UserPtr;
use crate::vfs::{FdTable, File, FileOps};

/// What is behind a pidfd.
#[derive(Debug)]
pub struct PidFd {
    pid: Arc<Pid>,
    /// PIDFD_THREAD: it tells the end of the thread, not of the process.
    thread: bool,
}

impl PidFd {
    /// An open file for a pid. `flags`: O_NONBLOCK or nothing.
    #[must_use]
    pub fn open(pid: Arc<Pid>, thread: bool, flags: OpenFlags) -> Arc<File> {
        let flags = flags | OpenFlags::O_RDWR;
        File::new_anonymous(Arc::new(Self { pid, thread }), "anon_inode:[pidfd]", flags)
    }

    /// The pid that a file holds; EBADF if it is no pidfd.
    pub fn pid_of(file: &File) -> Result<Arc<Pid>> {
        match file.ops_as::<Self>() {
            Some(pidfd) => Ok(Arc::clone(&pidfd.pid)),
            None => err(Errno::EBADF),
        }
    }

    /// Whether a file is a pidfd of a thread (PIDFD_THREAD).
    #[must_use]
    pub fn is_thread(file: &File) -> bool {
        file.ops_as::<Self>().is_some_and(|pidfd| pidfd.thread)
    }
}

impl FileOps for PidFd {
    fn poll(&self, _: &File) -> u32 {
        let (over, gone) = if self.thread {
            let task = self.pid.task();
            (task.as_ref().is_none_or(|task| task.is_dead()), task.is_none())
        } else {
            let group = self.pid.group();
            (group.as_ref().is_none_or(|group| group.is_dead()), group.is_none())
        };
        let mut events = 0;
        if over {
            events |= POLLIN | POLLRDNORM;
        }
        if gone {
            events |= POLLHUP;
        }
        events
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.pid.exit_queue)
    }

    fn fdinfo(&self) -> String {
        let shown = |used: bool, number: i32| if used { number } else { -1 };
        let used = self.pid.task().is_some();
        let own = shown(used, self.pid.number());
        format!("Pid:\t{own}\nNSpid:\t{own}\n")
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The pidfd of a task that is being made: open already, closed again if the task does not come to be.
#[derive(Debug)]
pub(super) struct PendingFd {
    files: Arc<FdTable>,
    fd: Option<i32>,
}

impl PendingFd {
    pub(super) fn new(task: &CurrentTask, pid: &Arc<Pid>, thread: bool, at: UserPtr<i32>) -> Result<Self> {
        let file = PidFd::open(Arc::clone(pid), thread, OpenFlags::empty());
        let limit = task.group().limits().soft(Resource::RLIMIT_NOFILE);
        let fd = task.files().add(file, true, limit)?;
        let pending = Self { files: Arc::clone(task.files()), fd: Some(fd) };
        task.mm().write(at, &fd)?;
        Ok(pending)
    }

    pub(super) fn keep(mut self) {
        self.fd = None;
    }
}

impl Drop for PendingFd {
    fn drop(&mut self) {
        if let Some(file) = self.fd.take().and_then(|fd| self.files.remove(fd).ok()) {
            let _ = file.close(&self.files);
        }
    }
}
