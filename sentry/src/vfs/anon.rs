//! Files outside of any directory: pipes, sockets, and the anonymous inodes of eventfd, epoll and such.
//!
//! They have a path all the same, on a mount that is in no namespace: fstat(2), /proc/PID/fd and locks work on them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use abi::Errno;
use abi::stat::{FileType, S_IFIFO, S_IFSOCK};
use abi::statfs::{ANON_INODE_FS_MAGIC, PIPEFS_MAGIC, SOCKFS_MAGIC, Statfs};
use sync::Mutex;

use super::attachments::Attachments;
use super::attr::now;
use super::super_block::SuperBlock;
use super::{Attr, Dentry, File, FileSystem, Inode, Mount, MountFlags, Path, SetAttr};
use crate::error::{Result, err};
use crate::lock_order;

/// A new inode number (and a name for namespaces), unlike all others of pseudo file systems.
#[must_use]
pub fn next_ino() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(4_026_532_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A new device number for a file system without a device: major 0.
#[must_use]
pub fn next_dev() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(20);
    let minor = u32::try_from(NEXT.fetch_add(1, Ordering::Relaxed)).unwrap_or(u32::MAX);
    abi::stat::makedev(0, minor)
}

/// The path of a new pipe, `pipe:[ino]`: both ends of it are opened there.
#[must_use]
pub fn pipe_path(uid: u32, gid: u32) -> Path {
    PIPES.make("pipe", S_IFIFO | 0o600, uid, gid)
}

/// The path of a new socket, `socket:[ino]`.
#[must_use]
pub fn socket_path(uid: u32, gid: u32) -> Path {
    SOCKETS.make("socket", S_IFSOCK | 0o777, uid, gid)
}

/// The path of an anonymous inode, shown as `name` (`anon_inode:[eventfd]`). They all share one inode.
#[must_use]
pub fn inode_path(name: &str) -> Path {
    ANON_INODES.name_inode(Arc::clone(&ANON_INODE) as Arc<dyn Inode>, name.as_bytes())
}

/// Whether a file is of the anonymous inode: it is neither a regular file nor anything that splice(2) takes.
#[must_use]
pub fn is_inode(file: &File) -> bool {
    let any: &dyn std::any::Any = &**file.inode();
    any.downcast_ref::<PseudoInode>().is_some_and(|inode| std::ptr::eq(inode, &raw const **ANON_INODE))
}

/// A path for an inode of any file system that is shown as `name` and found nowhere.
pub fn pseudo_path(inode: Arc<dyn Inode>, name: &[u8]) -> Path {
    ANON_INODES.name_inode(inode, name)
}

/// The file system that files given by the host are shown on.
#[must_use]
pub fn host_fs() -> Arc<dyn FileSystem> {
    Arc::clone(&HOST_FILES.fs) as Arc<dyn FileSystem>
}

static HOST_FILES: LazyLock<PseudoMount> = LazyLock::new(|| PseudoMount::new("hostfs", ANON_INODE_FS_MAGIC));
static PIPES: LazyLock<PseudoMount> = LazyLock::new(|| PseudoMount::new("pipefs", PIPEFS_MAGIC));
static SOCKETS: LazyLock<PseudoMount> = LazyLock::new(|| PseudoMount::new("sockfs", SOCKFS_MAGIC));
static ANON_INODES: LazyLock<PseudoMount> = LazyLock::new(|| PseudoMount::new("anon_inodefs", ANON_INODE_FS_MAGIC));
// Its mode has no type bits, as on Linux.
static ANON_INODE: LazyLock<Arc<PseudoInode>> =
    LazyLock::new(|| PseudoInode::new(Arc::clone(&ANON_INODES.fs), 0o600, 0, 0));

#[derive(Debug)]
struct PseudoMount {
    fs: Arc<PseudoFs>,
    sb: Arc<SuperBlock>,
    mount: Arc<Mount>,
}

impl PseudoMount {
    fn new(name: &'static str, magic: i64) -> Self {
        let fs = Arc::new(PseudoFs { name, magic, dev: next_dev() });
        let root =
            Dentry::new_root(Arc::clone(&fs) as Arc<dyn FileSystem>).expect("a pseudo inode always has attributes");
        let sb = Arc::clone(root.sb());
        Self { fs, sb, mount: Mount::new(root, name.as_bytes(), MountFlags::empty()) }
    }

    fn make(&self, prefix: &str, mode: u32, uid: u32, gid: u32) -> Path {
        let inode = PseudoInode::new(Arc::clone(&self.fs), mode, uid, gid);
        let name = format!("{prefix}:[{}]", inode.ino);
        self.name_inode(inode, name.as_bytes())
    }

    fn name_inode(&self, inode: Arc<dyn Inode>, name: &[u8]) -> Path {
        let dentry = Dentry::new_pseudo(&self.sb, inode, name);
        Path { mount: Arc::clone(&self.mount), dentry }
    }
}

/// A file system that has inodes and no names.
#[derive(Debug)]
struct PseudoFs {
    name: &'static str,
    magic: i64,
    dev: u64,
}

impl FileSystem for PseudoFs {
    fn name(&self) -> &'static str {
        self.name
    }

    fn root(&self) -> Arc<dyn Inode> {
        let fs = Self { name: self.name, magic: self.magic, dev: self.dev };
        PseudoInode::new(Arc::new(fs), abi::stat::S_IFDIR | 0o555, 0, 0)
    }

    fn dev(&self) -> u64 {
        self.dev
    }

    fn statfs(&self) -> Result<Statfs> {
        Ok(Statfs { f_type: self.magic, f_bsize: 4096, f_frsize: 4096, f_namelen: 255, ..Statfs::default() })
    }
}

/// An inode without data of its own.
#[derive(Debug)]
pub struct PseudoInode {
    fs: Arc<PseudoFs>,
    ino: u64,
    attr: Mutex<Attr, lock_order::Inode>,
    attachments: Attachments,
}

impl PseudoInode {
    fn new(fs: Arc<PseudoFs>, mode: u32, uid: u32, gid: u32) -> Arc<Self> {
        let (time, ino) = (now(), next_ino());
        let attr = Attr {
            dev: fs.dev,
            ino,
            mode,
            nlink: 1,
            uid,
            gid,
            blksize: 4096,
            atime: time,
            mtime: time,
            ctime: time,
            ..Attr::default()
        };
        Arc::new(Self { fs, ino, attr: Mutex::new(attr), attachments: Attachments::default() })
    }
}

impl Inode for PseudoInode {
    fn fs(&self) -> Arc<dyn FileSystem> {
        Arc::clone(&self.fs) as Arc<dyn FileSystem>
    }

    fn attr(&self) -> Result<Attr> {
        Ok(*self.attr.lock())
    }

    fn file_type(&self) -> Result<FileType> {
        FileType::from_mode(self.attr.lock().mode).ok_or_else(|| Errno::EIO.into())
    }

    fn set_attr(&self, change: &SetAttr) -> Result<()> {
        if change.size.is_some() {
            return err(Errno::EINVAL);
        }
        let mut attr = self.attr.lock();
        change.apply(&mut attr);
        Ok(())
    }

    fn attachments(&self) -> &Attachments {
        &self.attachments
    }
}
