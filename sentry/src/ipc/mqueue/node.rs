//! A queue as an inode and as an open file, and the directory of all queues.

use std::any::Any;
use std::sync::{Arc, Weak};
use std::time::Instant;

use abi::Errno;
use abi::dirent::DT_REG;
use abi::fcntl::OpenFlags;
use abi::ipc::MqAttr;
use abi::stat::S_IFREG;
use sync::{Mutex, WaitQueue};

use super::charge::Charge;
use super::notify::Registration;
use super::queue::Queue;
use super::{MqFs, Notice};
use crate::error::{Result, err};
use crate::io::IoDst;
use crate::lock_order;
use crate::task::{CurrentTask, here};
use crate::vfs::attachments::Attachments;
use crate::vfs::{Attr, DirEntry, File, FileOps, FileSystem, Inode, NewKind, NewNode, SetAttr, anon, attr};

/// Bytes of a queue's file, as stat(2) shows it.
const FILE_SIZE: u64 = 80;

/// A queue.
#[derive(Debug)]
pub(super) struct MqNode {
    fs: Weak<MqFs>,
    queue: Queue,
    attr: Mutex<Attr, lock_order::Inode>,
    attachments: Attachments,
    _charge: Charge,
}

impl MqNode {
    pub(super) fn new(
        fs: &Weak<MqFs>,
        dev: u64,
        mode: u32,
        (uid, gid): (u32, u32),
        limits: (u64, u64),
        charge: Charge,
    ) -> Arc<Self> {
        let now = attr::now();
        let attr = Attr {
            dev,
            ino: anon::next_ino(),
            mode: S_IFREG | mode,
            nlink: 1,
            uid,
            gid,
            size: FILE_SIZE,
            blksize: 4096,
            atime: now,
            mtime: now,
            ctime: now,
            ..Attr::default()
        };
        Arc::new(Self {
            fs: fs.clone(),
            queue: Queue::new(limits),
            attr: Mutex::new(attr),
            attachments: Attachments::default(),
            _charge: charge,
        })
    }

    pub(super) fn unlinked(&self) {
        let mut attr = self.attr.lock();
        attr.nlink = 0;
        attr.ctime = attr::now();
    }
}

impl Inode for MqNode {
    fn fs(&self) -> Arc<dyn FileSystem> {
        // A queue may be open for longer than its namespace lives.
        self.fs.upgrade().unwrap_or_else(|| MqFs::new(Arc::default()))
    }

    fn attr(&self) -> Result<Attr> {
        Ok(*self.attr.lock())
    }

    fn set_attr(&self, change: &SetAttr) -> Result<()> {
        change.apply(&mut self.attr.lock());
        Ok(())
    }

    fn open(self: Arc<Self>, _: &CurrentTask, _: OpenFlags) -> Result<Arc<dyn FileOps>> {
        Ok(Arc::new(MqFile(self)))
    }

    fn attachments(&self) -> &Attachments {
        &self.attachments
    }
}

/// An open queue.
#[derive(Debug)]
pub(crate) struct MqFile(Arc<MqNode>);

impl MqFile {
    pub(super) fn new(node: Arc<MqNode>) -> Self {
        Self(node)
    }

    /// The queue of a descriptor; EBADF for any other file, and without leave to use it so.
    fn of(file: &File, write: Option<bool>) -> Result<&Queue> {
        let allowed = match write {
            Some(true) => file.flags().writable(),
            Some(false) => file.flags().readable(),
            None => true,
        };
        match file.ops_as::<Self>() {
            Some(open) if allowed => Ok(&open.0.queue),
            _ => err(Errno::EBADF),
        }
    }
}

/// mq_timedsend(2). A deadline of `None` is never.
pub(super) fn send(
    task: &CurrentTask,
    file: &File,
    len: usize,
    priority: u32,
    deadline: Option<Instant>,
    read: impl FnOnce(usize) -> Result<Vec<u8>>,
) -> Result<()> {
    let queue = MqFile::of(file, Some(true))?;
    if len as u64 > queue.largest() {
        return err(Errno::EMSGSIZE);
    }
    let bytes = read(len)?;
    queue.send(task, bytes, priority, (!file.nonblocking()).then_some(deadline))
}

/// mq_timedreceive(2): priority and text.
pub(super) fn receive(
    task: &CurrentTask,
    file: &File,
    room: usize,
    deadline: Option<Instant>,
) -> Result<(u32, Vec<u8>)> {
    let queue = MqFile::of(file, Some(false))?;
    if (room as u64) < queue.largest() {
        return err(Errno::EMSGSIZE);
    }
    queue.receive(task, (!file.nonblocking()).then_some(deadline))
}

impl CurrentTask {
    /// mq_timedsend(2): `read` gets the text from application memory. A deadline of `None` is never.
    pub fn mq_send(
        &self,
        file: &File,
        len: usize,
        priority: u32,
        deadline: Option<Instant>,
        read: impl FnOnce(usize) -> Result<Vec<u8>>,
    ) -> Result<()> {
        send(self, file, len, priority, deadline, read)
    }

    /// mq_timedreceive(2): priority and text of a message.
    pub fn mq_receive(&self, file: &File, room: usize, deadline: Option<Instant>) -> Result<(u32, Vec<u8>)> {
        receive(self, file, room, deadline)
    }

    /// mq_notify(2).
    pub fn mq_notify(&self, file: &File, notice: Option<Notice>) -> Result<()> {
        let new = notice.map(|how| Registration::new(self.group(), how));
        MqFile::of(file, None)?.set_notice(self, new)
    }

    /// mq_getsetattr(2): the attributes as they were.
    pub fn mq_attr(&self, file: &Arc<File>, new: Option<MqAttr>) -> Result<MqAttr> {
        let nonblock = i64::from(OpenFlags::O_NONBLOCK.bits());
        let mut old = MqFile::of(file, None)?.attr();
        if file.nonblocking() {
            old.mq_flags = nonblock;
        }
        if let Some(new) = new {
            if new.mq_flags & !nonblock != 0 {
                return err(Errno::EINVAL);
            }
            let flag = if new.mq_flags != 0 { OpenFlags::O_NONBLOCK } else { OpenFlags::empty() };
            file.change_flags(OpenFlags::O_NONBLOCK, flag)?;
        }
        Ok(old)
    }
}

impl FileOps for MqFile {
    fn read(&self, _: &File, task: &CurrentTask, pos: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        let text = self.0.queue.text(task).into_bytes();
        let from = usize::try_from(pos).unwrap_or(usize::MAX).min(text.len());
        dst.put(text.get(from..).unwrap_or_default())
    }

    fn seekable(&self) -> bool {
        true
    }

    fn seek_end(&self, _: &File) -> Result<u64> {
        Ok(FILE_SIZE)
    }

    fn poll(&self, _: &File) -> u32 {
        self.0.queue.poll()
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.0.queue.changed)
    }

    fn flush(&self, _: &File) -> Result<()> {
        if let Some(task) = here::task() {
            self.0.queue.forget(task.group());
        }
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The directory.
#[derive(Debug)]
pub(super) struct Root {
    fs: Weak<MqFs>,
    attachments: Attachments,
}

impl Root {
    pub(super) fn new(fs: &Weak<MqFs>) -> Arc<Self> {
        Arc::new(Self { fs: fs.clone(), attachments: Attachments::default() })
    }

    fn instance(&self) -> Result<Arc<MqFs>> {
        self.fs.upgrade().ok_or_else(|| Errno::EIO.into())
    }
}

impl Inode for Root {
    fn fs(&self) -> Arc<dyn FileSystem> {
        self.fs.upgrade().expect("a mount keeps the instance of its root alive")
    }

    fn attr(&self) -> Result<Attr> {
        Ok(*self.instance()?.attr.lock())
    }

    fn set_attr(&self, change: &SetAttr) -> Result<()> {
        change.apply(&mut self.instance()?.attr.lock());
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        match self.instance()?.find(name) {
            Some(node) => Ok(node),
            None => err(Errno::ENOENT),
        }
    }

    fn revalidate(&self, name: &[u8], child: Option<&Arc<dyn Inode>>) -> bool {
        let now = self.fs.upgrade().and_then(|fs| fs.find(name));
        match (now, child) {
            (Some(now), Some(child)) => std::ptr::addr_eq(Arc::as_ptr(&now), Arc::as_ptr(child)),
            (now, child) => now.is_none() && child.is_none(),
        }
    }

    fn create(&self, name: &[u8], node: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        if !matches!(node.kind, NewKind::Regular) {
            return err(Errno::EPERM);
        }
        let task = here::task().ok_or(Errno::EPERM)?;
        Ok(self.instance()?.make(&task, name, node.mode & 0o777, (node.uid, node.gid), None)?)
    }

    fn unlink(&self, name: &[u8], _: &Arc<dyn Inode>) -> Result<()> {
        self.instance()?.remove(name)
    }

    fn readdir(&self, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        let fs = self.instance()?;
        let all: Vec<_> = fs.names.lock().iter().map(|(name, node)| (name.clone(), node.attr.lock().ino)).collect();
        // The number of an inode is where to go on: they only grow.
        let mut all = all;
        all.sort_by_key(|(_, ino)| *ino);
        for (name, ino) in all.iter().filter(|(_, ino)| *ino > from) {
            if !emit(DirEntry { name, ino: *ino, kind: DT_REG, next: *ino }) {
                break;
            }
        }
        Ok(())
    }

    fn attachments(&self) -> &Attachments {
        &self.attachments
    }
}
