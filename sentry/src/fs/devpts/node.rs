//! Inodes of devpts: the root directory, `ptmx`, and one for each terminal.

use std::sync::{Arc, Weak};

use abi::Errno;
use abi::dirent::DT_CHR;
use abi::fcntl::OpenFlags;
use abi::stat::{S_IFCHR, S_IFDIR, makedev};
use sync::Mutex;

use super::Devpts;
use crate::error::{Result, err};
use crate::fs::tty::{PTS_MAJOR, Tty, slave};
use crate::lock_order;
use crate::task::CurrentTask;
use crate::vfs::attachments::Attachments;
use crate::vfs::{Attr, DirEntry, FileOps, FileSystem, Inode, SetAttr};

/// Inode numbers, as on Linux.
const ROOT_INO: u64 = 1;
const PTMX_INO: u64 = 2;
const FIRST_INO: u64 = 3;

/// `ptmx` or a terminal.
#[derive(Debug)]
pub(super) struct Node {
    fs: Weak<Devpts>,
    /// `None` is `ptmx`.
    tty: Option<Arc<Tty>>,
    attr: Mutex<Attr, lock_order::Inode>,
    attachments: Attachments,
}

impl Node {
    pub(super) fn slave(fs: &Arc<Devpts>, tty: &Arc<Tty>, mode: u32, (uid, gid): (u32, u32)) -> Arc<Self> {
        let number = tty.number().unwrap_or(0);
        let now = crate::vfs::attr::now();
        let attr = Attr {
            dev: fs.dev,
            ino: FIRST_INO + u64::from(number),
            mode: S_IFCHR | mode,
            nlink: 1,
            uid,
            gid,
            rdev: makedev(PTS_MAJOR, number),
            blksize: 1024,
            atime: now,
            mtime: now,
            ctime: now,
            ..Attr::default()
        };
        Arc::new(Self {
            fs: Arc::downgrade(fs),
            tty: Some(Arc::clone(tty)),
            attr: Mutex::new(attr),
            attachments: Attachments::default(),
        })
    }

    fn ptmx(fs: &Arc<Devpts>) -> Arc<Self> {
        let attr = Attr {
            dev: fs.dev,
            ino: PTMX_INO,
            mode: S_IFCHR | fs.options.ptmx_mode,
            nlink: 1,
            rdev: makedev(5, 2),
            blksize: 1024,
            atime: fs.born,
            mtime: fs.born,
            ctime: fs.born,
            ..Attr::default()
        };
        Arc::new(Self {
            fs: Arc::downgrade(fs),
            tty: None,
            attr: Mutex::new(attr),
            attachments: Attachments::default(),
        })
    }
}

impl Inode for Node {
    fn fs(&self) -> Arc<dyn FileSystem> {
        self.fs.upgrade().expect("a mount keeps the instance of its inodes alive")
    }

    fn attr(&self) -> Result<Attr> {
        Ok(*self.attr.lock())
    }

    fn set_attr(&self, change: &SetAttr) -> Result<()> {
        change.apply(&mut self.attr.lock());
        Ok(())
    }

    fn attachments(&self) -> &Attachments {
        &self.attachments
    }

    fn open_special(&self, task: &CurrentTask, flags: OpenFlags) -> Result<Option<Arc<dyn FileOps>>> {
        match &self.tty {
            Some(tty) => slave::open(tty, task, flags).map(Some),
            None => self.fs.upgrade().ok_or(Errno::EIO)?.open_master(task).map(Some),
        }
    }
}

/// The root directory.
#[derive(Debug)]
pub(super) struct Root {
    fs: Weak<Devpts>,
    ptmx: Arc<Node>,
    attr: Mutex<Attr, lock_order::Inode>,
    attachments: Attachments,
}

impl Root {
    pub(super) fn new(fs: &Arc<Devpts>) -> Arc<Self> {
        let attr = Attr {
            dev: fs.dev,
            ino: ROOT_INO,
            mode: S_IFDIR | 0o755,
            nlink: 2,
            blksize: 1024,
            atime: fs.born,
            mtime: fs.born,
            ctime: fs.born,
            ..Attr::default()
        };
        Arc::new(Self {
            fs: Arc::downgrade(fs),
            ptmx: Node::ptmx(fs),
            attr: Mutex::new(attr),
            attachments: Attachments::default(),
        })
    }

    fn instance(&self) -> Result<Arc<Devpts>> {
        self.fs.upgrade().ok_or_else(|| Errno::EIO.into())
    }

    /// Opening `ptmx` of this instance, for a /dev/ptmx that is a node of its own.
    pub(super) fn open_master(&self, task: &CurrentTask) -> Result<Arc<dyn FileOps>> {
        self.instance()?.open_master(task)
    }
}

/// The devpts whose root directory this is, if it is one.
pub(crate) fn instance_at(dir: &Arc<dyn Inode>) -> Option<Arc<Devpts>> {
    let root = (&**dir as &dyn std::any::Any).downcast_ref::<Root>()?;
    root.instance().ok()
}

/// Opens a new terminal of the devpts whose root directory this is; `None` if it is not one.
pub(crate) fn open_ptmx(dir: &Arc<dyn Inode>, task: &CurrentTask) -> Option<Result<Arc<dyn FileOps>>> {
    let root = (&**dir as &dyn std::any::Any).downcast_ref::<Root>()?;
    Some(root.open_master(task))
}

impl Inode for Root {
    fn fs(&self) -> Arc<dyn FileSystem> {
        self.fs.upgrade().expect("a mount keeps the instance of its inodes alive")
    }

    fn attr(&self) -> Result<Attr> {
        Ok(*self.attr.lock())
    }

    fn set_attr(&self, change: &SetAttr) -> Result<()> {
        change.apply(&mut self.attr.lock());
        Ok(())
    }

    fn attachments(&self) -> &Attachments {
        &self.attachments
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        if name == b"ptmx" {
            return Ok(Arc::clone(&self.ptmx) as Arc<dyn Inode>);
        }
        let number = std::str::from_utf8(name)
            .ok()
            .filter(|text| *text == "0" || !text.starts_with('0'))
            .and_then(|text| text.parse().ok());
        match number.and_then(|number| self.fs.upgrade()?.terminal(number)) {
            Some(node) => Ok(node),
            None => err(Errno::ENOENT),
        }
    }

    fn readdir(&self, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        if from < 1 && !emit(DirEntry { name: b"ptmx", ino: PTMX_INO, kind: DT_CHR, next: 1 }) {
            return Ok(());
        }
        for number in self.instance()?.numbers() {
            let next = u64::from(number) + 2;
            if next > from
                && !emit(DirEntry {
                    name: number.to_string().as_bytes(),
                    ino: FIRST_INO + u64::from(number),
                    kind: DT_CHR,
                    next,
                })
            {
                break;
            }
        }
        Ok(())
    }
}
