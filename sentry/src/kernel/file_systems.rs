//! File systems by name: what mount(2) and a container's mounts can ask for.

use std::sync::Arc;

use abi::Errno;

use super::Kernel;
use crate::error::{Result, err};
use crate::fs::{devpts, proc, sysfs, tmpfs};
use crate::task::PidNamespace;
use crate::task::namespaces::IpcNamespace;
use crate::vfs::Dentry;
use crate::vfs::fs_types::{self, FsType};

/// On whose behalf a file system is made.
#[derive(Clone, Copy, Debug)]
pub struct MountContext<'a> {
    /// Whose processes a procfs shows.
    pub pid_ns: &'a Arc<PidNamespace>,
    /// Whose message queues an mqueue shows.
    pub ipc: &'a Arc<IpcNamespace>,
}

/// Makes the types known to mount(2).
pub(super) fn register() {
    macro_rules! types {
        ($($name:literal),*) => {$(
            fs_types::register(FsType {
                name: $name,
                in_user_ns: true,
                mount: |task, _, data| {
                    task.kernel().make_file_system($name, data, MountContext { pid_ns: task.pid_ns(), ipc: &task.namespaces().ipc })
                },
                remount: fs_types::keep_options,
            });
        )*};
    }
    types!("proc", "sysfs", "devpts", "mqueue");
}

impl Kernel {
    /// A new instance of a file system, or the one there is, ready to be mounted. ENODEV for a type we do not have.
    pub fn make_file_system(
        self: &Arc<Self>,
        kind: &str,
        data: &[u8],
        context: MountContext<'_>,
    ) -> Result<Arc<Dentry>> {
        match kind {
            "tmpfs" | "ramfs" => {
                let options =
                    tmpfs::Options::for_memory(self.memory_total).parse(data, self.memory_total, &self.root_user_ns)?;
                tmpfs::TmpFs::mount(&self.memfile, options)
            }
            "devpts" => {
                let data = std::str::from_utf8(data).map_err(|_| Errno::EINVAL)?;
                Dentry::new_root(devpts::mount(data)?)
            }
            "sysfs" => Dentry::new_root(sysfs::new(self)),
            "mqueue" => Dentry::new_root(context.ipc.space().mqueue_fs()),
            "proc" => Dentry::new_root(proc::new(self, context.pid_ns)),
            _ => err(Errno::ENODEV),
        }
    }
}
