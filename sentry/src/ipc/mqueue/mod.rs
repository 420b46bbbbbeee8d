//! POSIX message queues (mq_overview(7)): the file system that holds the queues of an IPC namespace, and the calls on them.
//!
//! [`MqFs`] is the one instance of a namespace: mq_open(2) finds queues in it by name, and it can be mounted, as often as one
//! likes. `node` is a queue as an inode and an open file, `queue` its messages, `notify` who hears of the first message.
//!
//! Locks: `Ipc` over the names, `IpcObject` over one queue, `Inode` over attributes.

mod charge;
mod node;
mod notify;
mod queue;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use abi::Errno;
use abi::capability::Cap;
use abi::fcntl::OpenFlags;
use abi::ipc::MqAttr;
use abi::limits::NAME_MAX;
use abi::stat::{S_IFDIR, S_ISVTX};
use abi::statfs::{MQUEUE_MAGIC, Statfs};
use sync::Mutex;

use super::IpcSpace;
use super::settings::{HARD_MSGMAX, HARD_MSGSIZEMAX, Settings};
use crate::error::{Result, err};
use crate::lock_order::{self, Ipc};
use crate::task::{CurrentTask, Task};
use crate::vfs::perm::Want;
use crate::vfs::{Access, Attr, Caching, File, FileSystem, Inode, anon, attr};

pub(crate) use node::MqFile;
use node::{MqNode, Root};
pub use notify::{Cookie, Notice};

/// The queues of an IPC namespace.
#[derive(Debug)]
pub struct MqSpace(Arc<MqFs>);

/// The file system of a namespace's queues.
#[derive(Debug)]
pub struct MqFs {
    this: Weak<Self>,
    dev: u64,
    settings: Arc<Settings>,
    names: Mutex<BTreeMap<Vec<u8>, Arc<MqNode>>, Ipc>,
    /// Of the root directory.
    attr: Mutex<Attr, lock_order::Inode>,
}

impl MqSpace {
    pub(super) fn new(settings: &Arc<Settings>) -> Self {
        Self(MqFs::new(Arc::clone(settings)))
    }
}

impl IpcSpace {
    /// The file system, to be mounted.
    #[must_use]
    pub fn mqueue_fs(&self) -> Arc<MqFs> {
        Arc::clone(&self.mq.0)
    }

    /// mq_open(2). `attr` counts only if the queue is made now.
    pub fn mq_open(
        &self,
        task: &CurrentTask,
        name: &[u8],
        flags: OpenFlags,
        mode: u32,
        attr: Option<MqAttr>,
    ) -> Result<Arc<File>> {
        let fs = &self.mq.0;
        check_name(name)?;
        let found = fs.names.lock().get(name).cloned();
        let node = match found {
            Some(_) if flags.contains(OpenFlags::O_CREAT | OpenFlags::O_EXCL) => return err(Errno::EEXIST),
            Some(node) => {
                let mut want = Want::empty();
                want.set(Want::READ, flags.readable());
                want.set(Want::WRITE, flags.writable());
                node.access()?.check(task.creds(), want)?;
                node
            }
            None if !flags.contains(OpenFlags::O_CREAT) => return err(Errno::ENOENT),
            None => {
                fs.root_access().check(task.creds(), Want::WRITE | Want::EXEC)?;
                let owner = (task.creds().fsuid, task.creds().fsgid);
                fs.make(task, name, mode & 0o777 & !task.fs().umask(), owner, attr)?
            }
        };
        let mut shown = b"/".to_vec();
        shown.extend_from_slice(name);
        let path = anon::pseudo_path(Arc::clone(&node) as Arc<dyn Inode>, &shown);
        let kept = flags & (OpenFlags::O_ACCMODE | OpenFlags::O_NONBLOCK);
        Ok(File::new(Arc::new(MqFile::new(node)), path, kept))
    }

    /// mq_unlink(2).
    pub fn mq_unlink(&self, task: &CurrentTask, name: &[u8]) -> Result<()> {
        let fs = &self.mq.0;
        check_name(name)?;
        let node = fs.names.lock().get(name).cloned().ok_or(Errno::ENOENT)?;
        let root = fs.root_access();
        root.check(task.creds(), Want::WRITE | Want::EXEC)?;
        if root.sticky_forbids(task.creds(), &node.access()?) {
            return err(Errno::EPERM);
        }
        fs.remove(name)
    }
}

/// One name, that of no directory.
fn check_name(name: &[u8]) -> Result<()> {
    match name {
        b"" => err(Errno::ENOENT),
        b"." | b".." => err(Errno::EACCES),
        _ if name.contains(&b'/') => err(Errno::EACCES),
        _ if name.len() > NAME_MAX => err(Errno::ENAMETOOLONG),
        _ => Ok(()),
    }
}

impl MqFs {
    fn new(settings: Arc<Settings>) -> Arc<Self> {
        let now = attr::now();
        let dev = anon::next_dev();
        let attr = Attr {
            dev,
            ino: 1,
            mode: S_IFDIR | S_ISVTX | 0o777,
            nlink: 2,
            blksize: 4096,
            atime: now,
            mtime: now,
            ctime: now,
            ..Attr::default()
        };
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            dev,
            settings,
            names: Mutex::default(),
            attr: Mutex::new(attr),
        })
    }

    fn root_access(&self) -> Access {
        Access::from(&*self.attr.lock())
    }

    /// Makes a queue. EINVAL for attributes beyond the limits, ENOSPC for too many queues, EMFILE beyond RLIMIT_MSGQUEUE.
    fn make(
        &self,
        task: &Task,
        name: &[u8],
        mode: u32,
        owner: (u32, u32),
        attr: Option<MqAttr>,
    ) -> Result<Arc<MqNode>> {
        let privileged = task.creds().has(Cap::CAP_SYS_RESOURCE);
        let limits = &self.settings;
        let (messages, size) = match attr {
            None => {
                let least = |a: &super::settings::Limit, b: &super::settings::Limit| a.get().min(b.get());
                (least(&limits.msg_max, &limits.msg_default), least(&limits.msgsize_max, &limits.msgsize_default))
            }
            Some(attr) => {
                let (most, largest) = match privileged {
                    true => (HARD_MSGMAX, HARD_MSGSIZEMAX),
                    false => (limits.msg_max.get(), limits.msgsize_max.get()),
                };
                let within = |value: i64, most: u64| u64::try_from(value).ok().filter(|v| (1..=most).contains(v));
                let messages = within(attr.mq_maxmsg, most).ok_or(Errno::EINVAL)?;
                (messages, within(attr.mq_msgsize, largest).ok_or(Errno::EINVAL)?)
            }
        };
        let mut names = self.names.lock();
        if names.contains_key(name) {
            return err(Errno::EEXIST);
        }
        if names.len() as u64 >= limits.queues_max.get() && !privileged {
            return err(Errno::ENOSPC);
        }
        let charge = charge::Charge::take(task, messages, size)?;
        let node = MqNode::new(&self.this, self.dev, mode, owner, (messages, size), charge);
        names.insert(name.to_vec(), Arc::clone(&node));
        drop(names);
        self.touch();
        Ok(node)
    }

    fn remove(&self, name: &[u8]) -> Result<()> {
        let gone = self.names.lock().remove(name);
        match gone {
            Some(node) => {
                node.unlinked();
                self.touch();
                Ok(())
            }
            None => err(Errno::ENOENT),
        }
    }

    fn find(&self, name: &[u8]) -> Option<Arc<MqNode>> {
        self.names.lock().get(name).cloned()
    }

    /// The directory has changed.
    fn touch(&self) {
        let mut attr = self.attr.lock();
        attr.mtime = attr::now();
        attr.ctime = attr.mtime;
    }
}

impl FileSystem for MqFs {
    fn name(&self) -> &'static str {
        "mqueue"
    }

    fn root(&self) -> Arc<dyn Inode> {
        Root::new(&self.this)
    }

    fn dev(&self) -> u64 {
        self.dev
    }

    fn statfs(&self) -> Result<Statfs> {
        Ok(Statfs { f_type: MQUEUE_MAGIC, f_bsize: 4096, f_frsize: 4096, f_namelen: 255, ..Statfs::default() })
    }

    /// mq_open(2) and other mounts make names too.
    fn caching(&self) -> Caching {
        Caching::Revalidate
    }
}
