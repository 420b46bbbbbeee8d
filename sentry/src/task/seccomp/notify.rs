//! SECCOMP_RET_USER_NOTIF: another process decides about a call.
//!
//! The calling task leaves a notification with the filter's [`Notifier`] and sleeps; whoever holds the [`Listener`]'s
//! descriptor receives it and answers. Locks: the notifier's list is a leaf.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use abi::fcntl::OpenFlags;
use abi::poll::{POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use abi::resource::Resource;
use abi::seccomp::*;
use abi::{Errno, UserAddr};
use platform::SyscallArgs;
use sync::{Mutex, WaitQueue};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Verdict, data};
use crate::error::{Result, SysResult, err};
use crate::lock_order::Leaf;
use crate::task::{CurrentTask, PidNamespace, Task};
use crate::user::UserPtr;
use crate::vfs::{File, FileOps};

/// Where calls wait for an answer.
#[derive(Debug)]
pub(super) struct Notifier {
    list: Mutex<VecDeque<Notification>, Leaf>,
    next: AtomicU64,
    /// The listener's descriptor was not closed yet.
    open: AtomicBool,
    /// SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: once received, only death interrupts a call.
    killable: bool,
    queue: WaitQueue,
}

#[derive(Debug)]
struct Notification {
    id: u64,
    task: Arc<Task>,
    data: SeccompData,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Received,
    Answered(SeccompNotifResp),
}

/// `struct seccomp_notif_addfd`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct AddFd {
    id: u64,
    flags: u32,
    srcfd: u32,
    newfd: u32,
    newfd_flags: u32,
}

const RECV: u32 = abi::ioctl::iowr::<SeccompNotif>(b'!', 0);
const SEND: u32 = abi::ioctl::iowr::<SeccompNotifResp>(b'!', 1);
const ID_VALID: u32 = abi::ioctl::iow::<u64>(b'!', 2);
const ID_VALID_OLD: u32 = abi::ioctl::ior::<u64>(b'!', 2);
const ADDFD: u32 = abi::ioctl::iow::<AddFd>(b'!', 3);
const SET_FLAGS: u32 = abi::ioctl::iow::<u64>(b'!', 4);

/// The call is made after all.
const FLAG_CONTINUE: u32 = 1;
/// `newfd` says where; answer the call with the descriptor.
const ADDFD_SETFD: u32 = 1;
const ADDFD_SEND: u32 = 2;
/// A hint about CPUs.
const SYNC_WAKE_UP: u64 = 1;

/// The open file that receives notifications.
#[derive(Debug)]
pub(super) struct Listener {
    notifier: Arc<Notifier>,
    ns: Arc<PidNamespace>,
}

impl Listener {
    pub(super) fn new(killable: bool, ns: Arc<PidNamespace>) -> (Arc<Notifier>, Arc<File>) {
        let notifier = Arc::new(Notifier {
            list: Mutex::default(),
            next: AtomicU64::new(1),
            open: AtomicBool::new(true),
            killable,
            queue: WaitQueue::new(),
        });
        let listener = Self { notifier: Arc::clone(&notifier), ns };
        let file = File::new_anonymous(Arc::new(listener), "anon_inode:seccomp notify", OpenFlags::O_RDWR);
        (notifier, file)
    }

    fn receive(&self, task: &CurrentTask, at: UserPtr<SeccompNotif>) -> Result<()> {
        let zero: SeccompNotif = task.mm().read(at)?;
        if zero != SeccompNotif::default() {
            return err(Errno::EINVAL);
        }
        let notifier = &self.notifier;
        let found = task.wait_on(&notifier.queue, POLLIN | POLLHUP, None, || {
            let mut list = notifier.list.lock();
            match list.iter_mut().find(|n| n.stage == Stage::Waiting) {
                Some(found) => {
                    found.stage = Stage::Received;
                    let pid = u32::try_from(found.task.tid_in(&self.ns)).unwrap_or(0);
                    Ok(SeccompNotif { id: found.id, pid, flags: 0, data: found.data })
                }
                None if self.is_orphaned() => err(Errno::ENOENT),
                None => err(Errno::EAGAIN),
            }
        })?;
        notifier.queue.notify(POLLOUT | POLLWRNORM);
        let written = task.mm().write(at, &found);
        if written.is_err()
            && let Some(n) = notifier.list.lock().iter_mut().find(|n| n.id == found.id)
        {
            n.stage = Stage::Waiting;
        }
        written
    }

    fn answer(&self, answer: SeccompNotifResp) -> Result<()> {
        let proceeds = answer.flags & FLAG_CONTINUE != 0;
        if answer.flags & !FLAG_CONTINUE != 0 || proceeds && (answer.error != 0 || answer.val != 0) {
            return err(Errno::EINVAL);
        }
        self.with(answer.id, |n| match n.stage {
            Stage::Received => {
                n.stage = Stage::Answered(answer);
                n.task.parker().wake();
                Ok(())
            }
            _ => err(Errno::EINPROGRESS),
        })
    }

    fn with<R>(&self, id: u64, f: impl FnOnce(&mut Notification) -> Result<R>) -> Result<R> {
        match self.notifier.list.lock().iter_mut().find(|n| n.id == id) {
            Some(n) => f(n),
            None => err(Errno::ENOENT),
        }
    }

    /// Gives the caller of a notified call a descriptor of the listener's.
    fn add_fd(&self, task: &CurrentTask, add: AddFd) -> SysResult {
        let fixed = add.flags & ADDFD_SETFD != 0;
        let cloexec = OpenFlags::O_CLOEXEC.bits();
        if add.flags & !(ADDFD_SETFD | ADDFD_SEND) != 0 || add.newfd_flags & !cloexec != 0 || !fixed && add.newfd != 0 {
            return err(Errno::EINVAL);
        }
        let file = task.files().get_raw(i32::try_from(add.srcfd).map_err(|_| Errno::EBADF)?)?;
        let target = self.with(add.id, |n| match n.stage {
            Stage::Received => Ok(Arc::clone(&n.task)),
            _ => err(Errno::EINPROGRESS),
        })?;
        let files = target.files().ok_or(Errno::ESRCH)?;
        let limit = target.group().limits().soft(Resource::RLIMIT_NOFILE);
        let closes = add.newfd_flags & cloexec != 0;
        let fd = match fixed {
            true => {
                let fd = i32::try_from(add.newfd).map_err(|_| Errno::EBADF)?;
                if let Some(old) = files.replace(fd, file, closes, limit)? {
                    let _ = old.close(&files);
                }
                fd
            }
            false => files.add(file, closes, limit)?,
        };
        if add.flags & ADDFD_SEND != 0 {
            self.answer(SeccompNotifResp { id: add.id, val: fd.into(), error: 0, flags: 0 })?;
        }
        Ok(u64::try_from(fd).unwrap_or(0))
    }

    /// Whether no task has the filter any more.
    fn is_orphaned(&self) -> bool {
        // This file has one reference, and the filter has the other.
        Arc::strong_count(&self.notifier) == 1
    }
}

impl FileOps for Listener {
    fn ioctl(&self, _: &File, task: &CurrentTask, cmd: u32, arg: u64) -> SysResult {
        let at = UserAddr(arg);
        match cmd {
            RECV => self.receive(task, UserPtr::new(at)).map(|()| 0),
            SEND => self.answer(task.mm().read(UserPtr::new(at))?).map(|()| 0),
            ID_VALID | ID_VALID_OLD => {
                let id = task.mm().read(UserPtr::new(at))?;
                self.with(id, |n| if n.stage == Stage::Received { Ok(0) } else { err(Errno::ENOENT) })
            }
            ADDFD => self.add_fd(task, task.mm().read(UserPtr::new(at))?),
            SET_FLAGS => {
                if arg & !SYNC_WAKE_UP == 0 {
                    Ok(0)
                } else {
                    err(Errno::EINVAL)
                }
            }
            _ => err(Errno::EINVAL),
        }
    }

    fn poll(&self, _: &File) -> u32 {
        let mut events = 0;
        for n in self.notifier.list.lock().iter() {
            match n.stage {
                Stage::Waiting => events |= POLLIN | POLLRDNORM,
                Stage::Received => events |= POLLOUT | POLLWRNORM,
                Stage::Answered(_) => {}
            }
        }
        if self.is_orphaned() { events | POLLHUP } else { events }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.notifier.queue)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.notifier.open.store(false, Ordering::SeqCst);
        for n in self.notifier.list.lock().iter() {
            n.task.parker().wake();
        }
    }
}

impl super::Filter {
    /// The filter goes: its listener hears that nothing will come any more.
    pub(super) fn tell_end(&mut self) {
        if let Some(notifier) = self.notifier.take() {
            let queue = Arc::downgrade(&notifier);
            drop(notifier);
            if let Some(left) = queue.upgrade() {
                left.queue.notify(POLLHUP | POLLIN);
            }
        }
    }
}

impl Notifier {
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    fn take(&self, id: u64) -> Option<Notification> {
        let mut list = self.list.lock();
        let at = list.iter().position(|n| n.id == id)?;
        list.remove(at)
    }
}

impl CurrentTask {
    /// Waits for what the listener says about a call.
    pub(super) fn ask_listener(&mut self, args: &SyscallArgs, notifier: &Notifier) -> Verdict {
        if !notifier.is_open() {
            return Verdict::Answer(Err(Errno::ENOSYS.into()));
        }
        let id = notifier.next.fetch_add(1, Ordering::Relaxed);
        let own = Notification { id, task: Arc::clone(&self.task), data: data(args), stage: Stage::Waiting };
        notifier.list.lock().push_back(own);
        notifier.queue.notify(POLLIN | POLLRDNORM);
        let result = loop {
            self.reset_wake();
            let stage = notifier.list.lock().iter().find(|n| n.id == id).map(|n| n.stage);
            match stage {
                Some(Stage::Answered(answer)) => break Ok(answer),
                Some(_) if notifier.is_open() => {}
                _ => break err(Errno::ENOSYS),
            }
            let slept = match notifier.killable && stage == Some(Stage::Received) {
                true => self.park_killable(),
                false => self.park(None),
            };
            if let Err(e) = slept {
                break Err(e);
            }
        };
        notifier.take(id);
        match result {
            Ok(answer) if answer.flags & FLAG_CONTINUE != 0 => Verdict::Allow,
            Ok(answer) if answer.error != 0 => {
                let errno = answer.error.checked_neg().filter(|e| (1..4096).contains(e));
                Verdict::Answer(match errno {
                    Some(errno) => Err(Errno::from_raw(errno).into()),
                    None => Ok(i64::from(answer.error).cast_unsigned()),
                })
            }
            Ok(answer) => Verdict::Answer(Ok(answer.val.cast_unsigned())),
            Err(e) => Verdict::Answer(Err(e)),
        }
    }
}
