//! What a file system implements: [`FileSystem`] and [`Inode`].
//!
//! The VFS (`vfs::walk`, `vfs::dentry`, `vfs::mount`) does path walking, caching of names, permission checks, read-only
//! mounts, sticky bits, set-id clearing and the serialisation of changes in one directory: while it calls a method that
//! changes a directory (or looks up a name that is not cached) it holds that dentry's lock, and the file system's rename lock over `rename`.
//! An inode therefore only protects its own data. Locks of the VFS rank below `Inode`, `InodeData` and `Leaf`.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::stat::FileType;
use abi::statfs::Statfs;
use host::mem::HostSlice;

use super::attr::{Access, Attr, SetAttr};
use super::file::FileOps;
use crate::error::{Result, err};
use crate::mm::Mappable;
use crate::task::CurrentTask;

/// A file system instance (a super block).
pub trait FileSystem: Any + Debug + Send + Sync {
    /// The type's name, as in /proc/filesystems and mountinfo.
    fn name(&self) -> &'static str;

    /// The root directory (or file, for a bind mount of one).
    fn root(&self) -> Arc<dyn Inode>;

    /// The device number of its inodes.
    fn dev(&self) -> u64;

    /// statfs(2).
    fn statfs(&self) -> Result<Statfs>;

    /// How the VFS may cache its names.
    fn caching(&self) -> Caching {
        Caching::Always
    }

    /// Options shown in mountinfo after the generic ones, such as `size=65536k,mode=755`.
    fn show_options(&self) -> String {
        String::new()
    }

    /// The last mount of it is gone: what its inodes and it hold of each other is let go.
    fn unmounted(&self) {}

    /// Writes back what a sync(2) would.
    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

/// Whether names may be cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// Only we change the tree: positive and negative entries stay.
    Always,
    /// Others change it too: [`Inode::revalidate`] is asked before an entry is used.
    Revalidate,
    /// Names are computed (procfs): look up every time.
    Never,
}

/// A new node for [`Inode::create`].
#[derive(Clone, Copy, Debug)]
pub struct NewNode<'a> {
    /// What to make.
    pub kind: NewKind<'a>,
    /// Permission bits, the umask already applied.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group (that of the directory if it has the set-group-ID bit; decided by the VFS).
    pub gid: u32,
}

/// What kind of node.
#[derive(Clone, Copy, Debug)]
pub enum NewKind<'a> {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link to this target.
    Symlink(&'a [u8]),
    /// A FIFO.
    Fifo,
    /// A unix socket; the endpoint is attached by `bind` through [`Inode::socket`].
    Socket,
    /// A character device (`makedev` form).
    CharDevice(u64),
    /// A block device.
    BlockDevice(u64),
}

/// An entry that [`Inode::readdir`] reports.
#[derive(Clone, Copy, Debug)]
pub struct DirEntry<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Inode number.
    pub ino: u64,
    /// DT_* value.
    pub kind: u8,
    /// `d_off`: where the next readdir starts to continue after this entry. Opaque, never 0.
    pub next: u64,
}

/// How setxattr(2) treats an existing name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XattrMode {
    /// Create or replace.
    Any,
    /// XATTR_CREATE.
    Create,
    /// XATTR_REPLACE.
    Replace,
}

/// A file, directory, link or special node.
///
/// Names given to it are single components, never empty, `.` or `..`, without `/`, at most 255 bytes.
pub trait Inode: Any + Debug + Send + Sync {
    /// The file system it belongs to.
    fn fs(&self) -> Arc<dyn FileSystem>;

    /// Its attributes.
    fn attr(&self) -> Result<Attr>;

    /// What permission checks need. Asked for every component of a path that an unprivileged task walks: keep it cheap.
    fn access(&self) -> Result<Access> {
        Ok(Access::from(&self.attr()?))
    }

    /// What it is; asked once when a dentry is made, never changes.
    fn file_type(&self) -> Result<FileType> {
        FileType::from_mode(self.access()?.mode).ok_or_else(|| Errno::EIO.into())
    }

    /// Changes attributes; updates ctime.
    fn set_attr(&self, change: &SetAttr) -> Result<()>;

    /// Finds a name in this directory. ENOENT if there is none (the VFS caches that too).
    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let _ = name;
        err(Errno::ENOTDIR)
    }

    /// With [`Caching::Revalidate`]: whether `child`, found earlier under `name`, still is what the name means.
    fn revalidate(&self, name: &[u8], child: Option<&Arc<dyn Inode>>) -> bool {
        let _ = (name, child);
        true
    }

    /// Makes a new node in this directory. EEXIST if the name exists.
    fn create(&self, name: &[u8], node: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        let _ = (name, node);
        err(Errno::EPERM)
    }

    /// Makes a regular file without a name, for O_TMPFILE.
    fn create_tmpfile(&self, node: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        let _ = node;
        err(Errno::EOPNOTSUPP)
    }

    /// Makes `name` another link to `target`, an inode of this file system.
    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let _ = (name, target);
        err(Errno::EPERM)
    }

    /// Removes a name that is not a directory. `child` is what the VFS knows under it.
    fn unlink(&self, name: &[u8], child: &Arc<dyn Inode>) -> Result<()> {
        let _ = (name, child);
        err(Errno::EPERM)
    }

    /// Removes an empty directory; ENOTEMPTY otherwise.
    fn rmdir(&self, name: &[u8], child: &Arc<dyn Inode>) -> Result<()> {
        let _ = (name, child);
        err(Errno::EPERM)
    }

    /// Renames `name` (which is `child`) to `new_name` in `new_dir`, replacing `replaced` if there is one; with `exchange`
    /// the two swap places. The VFS has checked types, ancestry and NOREPLACE; ENOTEMPTY is checked here.
    fn rename(
        &self,
        name: &[u8],
        child: &Arc<dyn Inode>,
        new_dir: &Arc<dyn Inode>,
        new_name: &[u8],
        replaced: Option<&Arc<dyn Inode>>,
        exchange: bool,
    ) -> Result<()> {
        let _ = (name, child, new_dir, new_name, replaced, exchange);
        err(Errno::EPERM)
    }

    /// The target of a symbolic link.
    fn readlink(&self) -> Result<Vec<u8>> {
        err(Errno::EINVAL)
    }

    /// The target as `task` sees it: what readlink(2) and path walking ask. Differs from [`Self::readlink`] only where the
    /// target depends on the reader, as that of /proc/self does.
    fn readlink_for(&self, task: &CurrentTask) -> Result<Vec<u8>> {
        let _ = task;
        self.readlink()
    }

    /// Whether something may be mounted on it: not on what comes and goes by itself.
    fn mountable(&self) -> bool {
        true
    }

    /// A magic link (/proc/PID/fd/N, exe, cwd, root, ns): following it jumps to this place without walking a path.
    fn follow(&self, task: &CurrentTask) -> Result<Option<super::Path>> {
        let _ = task;
        Ok(None)
    }

    /// Reports entries from position `from` on (0 is the start), without `.` and `..`, which the VFS adds, until `emit`
    /// returns false.
    fn readdir(&self, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        let _ = (from, emit);
        err(Errno::ENOTDIR)
    }

    /// Opens it. Permission was checked; O_TRUNC is done by the VFS with [`Self::set_attr`]. Directories need not
    /// implement it: the VFS makes a directory file out of [`Self::readdir`]. FIFOs, sockets and device nodes are opened by
    /// the VFS through [`Self::fifo`] and the device table.
    fn open(self: Arc<Self>, task: &CurrentTask, flags: OpenFlags) -> Result<Arc<dyn FileOps>> {
        let _ = (task, flags);
        err(Errno::ENXIO)
    }

    /// Opens a device node or FIFO that means something else than its number or its name alone says (the nodes of a devpts,
    /// a pipe through /proc/self/fd, a file given by the host); `None`: the VFS goes on by its type.
    fn open_special(&self, task: &CurrentTask, flags: OpenFlags) -> Result<Option<Arc<dyn FileOps>>> {
        let _ = (task, flags);
        Ok(None)
    }

    /// Where a FIFO's pipe, a bound socket's endpoint, advisory locks, inotify watches and such are attached to the inode.
    fn attachments(&self) -> &super::attachments::Attachments;

    /// Reads data at `pos` without an open file, for a file system that lies over this one: a short count only at the end.
    fn read_into(&self, pos: u64, dst: &HostSlice<'_>) -> Result<usize> {
        let _ = (pos, dst);
        err(Errno::EINVAL)
    }

    /// The data as something that can be mapped (also what execve loads from).
    fn mappable(self: Arc<Self>) -> Option<Arc<dyn Mappable>> {
        None
    }

    /// Reads an extended attribute; ENODATA if there is none.
    fn getxattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        let _ = name;
        err(Errno::EOPNOTSUPP)
    }

    /// Sets an extended attribute. The VFS has checked the namespace's rules.
    fn setxattr(&self, name: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
        let _ = (name, value, mode);
        err(Errno::EOPNOTSUPP)
    }

    /// All names of extended attributes.
    fn listxattr(&self) -> Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }

    /// Removes an extended attribute; ENODATA if there is none.
    fn removexattr(&self, name: &[u8]) -> Result<()> {
        let _ = name;
        err(Errno::EOPNOTSUPP)
    }
}
