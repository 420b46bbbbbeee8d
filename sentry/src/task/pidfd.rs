//! Process file descriptors (pidfd_open(2)): a pid held by an open file.

use std::any::Any;
use std::sync::Arc;

use abi::fcntl::OpenFlags;
use abi::pidfd::*;
use abi::poll::{POLLHUP, POLLIN, POLLRDNORM};
use abi::resource::Resource;
use abi::{Errno, UserAddr};
use sync::WaitQueue;

use super::CurrentTask;
use super::pid::Pid;
use crate::error::{Result, SysResult, err};
use crate::fs::nsfs::{self, Namespace};
use crate::user::UserPtr;
use crate::vfs::{FdTable, File, FileOps};

/// Where the size of an argument stands in a request.
const SIZE_BITS: u32 = 0x3fff << 16;

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

impl PidFd {
    /// PIDFD_GET_INFO: who it is, or how it ended once it was waited for.
    fn info(&self, task: &CurrentTask, cmd: u32, arg: u64) -> SysResult {
        let size = usize::try_from(cmd >> 16 & 0x3fff).unwrap_or(0);
        if size < size_of::<PidfdInfo>() || arg == 0 {
            return err(Errno::EINVAL);
        }
        if self.pid.number_in(task.pid_ns()) == 0 {
            return err(Errno::ESRCH);
        }
        let at = UserPtr::<PidfdInfo>::new(UserAddr(arg));
        let asked = PidfdInfoMask::from_bits_truncate(task.mm().read(at)?.mask);
        let mut info = PidfdInfo::default();
        let mut told = PidfdInfoMask::empty();
        match (self.pid.task(), self.pid.exit_status()) {
            (None, Some(status)) if asked.contains(PidfdInfoMask::PIDFD_INFO_EXIT) => {
                info.exit_code = status.0;
                told |= PidfdInfoMask::PIDFD_INFO_EXIT;
            }
            (None, _) => return err(Errno::ESRCH),
            (Some(target), _) => {
                let (creds, group, ns) = (target.creds(), target.group(), task.pid_ns());
                let number = |n: i32| u32::try_from(n).unwrap_or(0);
                let user_ns = &task.creds().user_ns;
                info.pid = number(target.tid_in(ns));
                info.tgid = number(group.tgid_in(ns));
                info.ppid = group.parent().map_or(0, |parent| number(parent.tgid_in(ns)));
                info.ruid = user_ns.show_uid(creds.uid);
                info.euid = user_ns.show_uid(creds.euid);
                info.suid = user_ns.show_uid(creds.suid);
                info.fsuid = user_ns.show_uid(creds.fsuid);
                info.rgid = user_ns.show_gid(creds.gid);
                info.egid = user_ns.show_gid(creds.egid);
                info.sgid = user_ns.show_gid(creds.sgid);
                info.fsgid = user_ns.show_gid(creds.fsgid);
                info.cgroupid = 1;
                told |= PidfdInfoMask::PIDFD_INFO_PID | PidfdInfoMask::PIDFD_INFO_CREDS;
                told |= asked & PidfdInfoMask::PIDFD_INFO_CGROUPID;
            }
        }
        info.mask = told.bits();
        task.mm().write(at, &info)?;
        let rest = size - size_of::<PidfdInfo>();
        task.mm().zero_bytes(at.at(1)?.addr(), rest)?;
        Ok(0)
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

    fn ioctl(&self, _: &File, task: &CurrentTask, cmd: u32, arg: u64) -> SysResult {
        // The size says which version of the structure it is; later ones only append.
        if cmd & !SIZE_BITS == PIDFD_GET_INFO & !SIZE_BITS {
            return self.info(task, cmd, arg);
        }
        let target = self.pid.task().ok_or(Errno::ESRCH)?;
        let kinds = PIDFD_GET_CGROUP_NAMESPACE..=PIDFD_GET_UTS_NAMESPACE;
        if !kinds.contains(&cmd) {
            return err(Errno::ENOTTY);
        }
        if arg != 0 {
            return err(Errno::EINVAL);
        }
        if !task.may_inspect(&target) {
            return err(Errno::EPERM);
        }
        let gone = Errno::ESRCH;
        let own = target.namespaces().ok_or(gone)?;
        nsfs::open(
            task,
            match cmd {
                PIDFD_GET_CGROUP_NAMESPACE => Namespace::Cgroup(Arc::clone(&own.cgroup)),
                PIDFD_GET_IPC_NAMESPACE => Namespace::Ipc(Arc::clone(&own.ipc)),
                PIDFD_GET_MNT_NAMESPACE => Namespace::Mount(target.fs().ok_or(gone)?.namespace()),
                PIDFD_GET_NET_NAMESPACE => Namespace::Net(Arc::clone(&own.net)),
                PIDFD_GET_PID_NAMESPACE => Namespace::Pid(Arc::clone(target.pid_ns())),
                PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE => Namespace::Pid(Arc::clone(&own.pid_for_children)),
                PIDFD_GET_TIME_NAMESPACE => Namespace::Time(Arc::clone(&own.time)),
                PIDFD_GET_TIME_FOR_CHILDREN_NAMESPACE => Namespace::Time(Arc::clone(&own.time_for_children)),
                PIDFD_GET_USER_NAMESPACE => Namespace::User(Arc::clone(&target.creds().user_ns)),
                _ => Namespace::Uts(Arc::clone(&own.uts)),
            },
        )
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
