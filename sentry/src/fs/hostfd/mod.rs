//! Files of the host that were given into the sandbox: stdin, stdout, stderr, what `--preserve-fds` keeps.
//!
//! The descriptor's flags and position belong to whoever shares it with us: neither is changed, reads and writes happen at
//! its own position, and waiting is done by [`poller`], one thread for all.

pub(crate) mod poller;

use std::any::Any;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Weak};

use abi::fcntl::OpenFlags;
use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDHUP, POLLRDNORM, POLLWRNORM};
use abi::stat::FileType;
use abi::{Errno, UserAddr};
use host::readiness::{self, nowait};
use sync::WaitQueue;

use self::poller::Watched;
use crate::error::{Result, SysResult, err};
use crate::io::{IoDst, IoSrc};
use crate::task::CurrentTask;
use crate::user::UserPtr;
use crate::vfs::attachments::Attachments;
use crate::vfs::{Attr, File, FileOps, FileSystem, Inode, SetAttr, anon};

/// A file of the host.
#[derive(Debug)]
pub struct HostFd {
    this: Weak<Self>,
    fd: OwnedFd,
    kind: FileType,
    token: u64,
    queue: WaitQueue,
}

/// An open file on a descriptor of the host, with the access mode it has there.
pub fn open(fd: OwnedFd) -> Result<Arc<File>> {
    let (stat, flags) = (host::file::stat(fd.as_fd())?, host::file::flags(fd.as_fd())?);
    let kind = FileType::from_mode(stat.st_mode).ok_or(Errno::EINVAL)?;
    let name = match kind {
        FileType::Fifo => format!("pipe:[{}]", stat.st_ino),
        FileType::Socket => format!("socket:[{}]", stat.st_ino),
        _ => format!("host:[{}]", stat.st_ino),
    };
    let ops = Arc::new_cyclic(|this| HostFd {
        this: this.clone(),
        fd,
        kind,
        token: poller::token(),
        queue: WaitQueue::new(),
    });
    let keep = OpenFlags::O_ACCMODE | OpenFlags::O_APPEND;
    let path = anon::pseudo_path(HostInode::new(&ops, stat), name.as_bytes());
    Ok(File::new(ops, path, OpenFlags::from_bits_retain(flags) & keep))
}

impl HostFd {
    /// Whether reads and writes may have to wait.
    const fn may_wait(&self) -> bool {
        !matches!(self.kind, FileType::Regular | FileType::BlockDevice | FileType::Directory)
    }

    /// Asks to be told when one of `events` holds.
    fn arm(&self, events: u32) {
        if let Some(this) = self.this.upgrade() {
            poller::arm(&(this as Arc<dyn Watched>), self.token, events);
        }
    }
}

impl Watched for HostFd {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn queue(&self) -> &WaitQueue {
        &self.queue
    }
}

impl FileOps for HostFd {
    fn read(&self, _: &File, _: &CurrentTask, _: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        let limit = dst.remaining();
        // One host call a read: what came together is handed over together.
        let mut called = false;
        let result = dst.fill(limit, |slice| {
            if std::mem::replace(&mut called, true) && self.may_wait() {
                return Ok(0);
            }
            Ok(if self.may_wait() {
                nowait::read(self.fd.as_fd(), &slice)?
            } else {
                slice.read_fd(self.fd.as_fd(), None)?
            })
        });
        if matches!(&result, Err(e) if e.is(Errno::EAGAIN)) {
            self.arm(POLLIN);
        }
        result
    }

    fn write(&self, _: &File, task: &CurrentTask, _: &mut u64, src: &mut IoSrc<'_>) -> Result<usize> {
        let limit = src.remaining();
        let result = src.drain(limit, |slice| {
            if !self.may_wait() {
                return Ok(slice.write_fd(self.fd.as_fd(), None)?);
            }
            let mut done = 0;
            while done < slice.len() {
                match nowait::write(self.fd.as_fd(), slice.skip(done)) {
                    Ok(n) => done += n,
                    Err(e) if done == 0 => return Err(e.into()),
                    Err(_) => break,
                }
            }
            Ok(done)
        });
        match &result {
            Err(e) if e.is(Errno::EAGAIN) => self.arm(POLLOUT),
            Err(e) if e.is(Errno::EPIPE) => task.raise_sigpipe(),
            _ => {}
        }
        result
    }

    fn poll(&self, _: &File) -> u32 {
        const ALL: u32 = POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM;
        let found = readiness::now(self.fd.as_fd(), ALL);
        // Whatever does not hold now may be waited for next.
        let missing = (POLLIN | POLLOUT) & !found;
        if missing != 0 && self.may_wait() && found & (POLLERR | POLLHUP) == 0 {
            self.arm(missing);
        }
        found
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        self.may_wait().then_some(&self.queue)
    }

    fn seekable(&self) -> bool {
        false
    }

    fn ioctl(&self, _: &File, task: &CurrentTask, cmd: u32, arg: u64) -> SysResult {
        if cmd != abi::ioctl::FIONREAD {
            return err(Errno::ENOTTY);
        }
        let n = host::file::readable_bytes(self.fd.as_fd())?;
        task.mm().write(UserPtr::new(UserAddr(arg)), &n)?;
        Ok(0)
    }

    fn sync(&self, _: &File, data_only: bool) -> Result<()> {
        Ok(host::file::sync(self.fd.as_fd(), data_only)?)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for HostFd {
    fn drop(&mut self) {
        poller::forget(self.token, self.fd.as_fd());
    }
}

/// The inode of such a file: attributes of the host's file, which nobody inside may change.
#[derive(Debug)]
struct HostInode {
    file: Weak<HostFd>,
    first: abi::stat::Stat,
    dev: u64,
    attachments: Attachments,
}

impl HostInode {
    fn new(file: &Arc<HostFd>, first: abi::stat::Stat) -> Arc<Self> {
        Arc::new(Self { file: Arc::downgrade(file), first, dev: anon::next_dev(), attachments: Attachments::default() })
    }
}

impl Inode for HostInode {
    fn fs(&self) -> Arc<dyn FileSystem> {
        anon::host_fs()
    }

    fn attr(&self) -> Result<Attr> {
        let now = self.file.upgrade().and_then(|file| host::file::stat(file.fd.as_fd()).ok()).unwrap_or(self.first);
        Ok(Attr {
            dev: self.dev,
            ino: now.st_ino,
            mode: now.st_mode,
            nlink: 1,
            size: now.st_size.cast_unsigned(),
            blksize: 4096,
            blocks: now.st_blocks.cast_unsigned(),
            ..Attr::default()
        })
    }

    fn set_attr(&self, _: &SetAttr) -> Result<()> {
        err(Errno::EPERM)
    }

    fn attachments(&self) -> &Attachments {
        &self.attachments
    }

    fn open(self: Arc<Self>, _: &CurrentTask, _: OpenFlags) -> Result<Arc<dyn FileOps>> {
        // Through /proc/self/fd: the same description, since the host's file cannot be opened anew from here.
        let file = self.file.upgrade().ok_or(Errno::ENXIO)?;
        Ok(file)
    }

    fn open_special(&self, _: &CurrentTask, _: OpenFlags) -> Result<Option<Arc<dyn FileOps>>> {
        let file = self.file.upgrade().ok_or(Errno::ENXIO)?;
        Ok(Some(file))
    }
}
