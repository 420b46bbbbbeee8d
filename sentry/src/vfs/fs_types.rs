//! The types of file systems that mount(2) knows. Each file system registers its own at boot.

use std::sync::{Arc, LazyLock};

use abi::Errno;
use sync::RwLock;

use super::Dentry;
use crate::error::{Result, err};
use crate::fs::tmpfs::{Options, TmpFs};
use crate::lock_order::Leaf;
use crate::task::CurrentTask;

/// A type of file system.
#[derive(Clone, Copy, Debug)]
pub struct FsType {
    /// What mount(2) and /proc/filesystems call it.
    pub name: &'static str,
    /// Whether a task that is privileged only in its own user namespace may mount it.
    pub in_user_ns: bool,
    /// Makes (or finds) what is mounted, from the source and the data of mount(2).
    pub mount: MountFn,
    /// Changes the options of what is mounted (MS_REMOUNT), from the data of mount(2).
    pub remount: RemountFn,
}

/// See [`FsType::mount`].
pub type MountFn = fn(&CurrentTask, source: &[u8], data: &[u8]) -> Result<Arc<Dentry>>;
/// See [`FsType::remount`].
pub type RemountFn = fn(&CurrentTask, root: &Arc<Dentry>, data: &[u8]) -> Result<()>;

static TYPES: LazyLock<RwLock<Vec<FsType>, Leaf>> = LazyLock::new(|| {
    let tmpfs = FsType { name: "tmpfs", in_user_ns: true, mount: mount_tmpfs, remount: remount_tmpfs };
    RwLock::new(vec![tmpfs, FsType { name: "ramfs", in_user_ns: false, ..tmpfs }])
});

/// Makes a type known.
pub fn register(fs_type: FsType) {
    let mut types = TYPES.write();
    if types.iter().all(|known| known.name != fs_type.name) {
        types.push(fs_type);
    }
}

/// The type of this name; ENODEV if there is none.
pub fn find(name: &[u8]) -> Result<FsType> {
    TYPES.read().iter().find(|known| known.name.as_bytes() == name).copied().ok_or_else(|| Errno::ENODEV.into())
}

/// All names, for /proc/filesystems.
#[must_use]
pub fn names() -> Vec<&'static str> {
    TYPES.read().iter().map(|known| known.name).collect()
}

/// For types whose options never change: any are accepted, as Linux does where it knows none.
pub fn keep_options(_: &CurrentTask, _: &Arc<Dentry>, _: &[u8]) -> Result<()> {
    Ok(())
}

fn mount_tmpfs(task: &CurrentTask, _: &[u8], data: &[u8]) -> Result<Arc<Dentry>> {
    let memory = task.kernel().memory_total;
    let creds = task.creds();
    let options = Options::for_memory(memory).owned_by(creds.fsuid, creds.fsgid);
    TmpFs::mount(&task.kernel().memfile, options.parse(data, memory, &creds.user_ns)?)
}

fn remount_tmpfs(task: &CurrentTask, root: &Arc<Dentry>, data: &[u8]) -> Result<()> {
    let fs: &dyn std::any::Any = &**root.fs();
    let Some(fs) = fs.downcast_ref::<TmpFs>() else { return err(Errno::EINVAL) };
    fs.remount(fs.options().parse(data, task.kernel().memory_total, &task.creds().user_ns)?)
}
