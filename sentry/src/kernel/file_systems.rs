//! File systems by name: what mount(2) and a container's mounts can ask for.

use std::sync::Arc;

use abi::Errno;

use super::Kernel;
use crate::error::{Result, err};
use crate::fs::{devpts, proc, sysfs, tmpfs};
use crate::task::PidNamespace;
use crate::vfs::Dentry;

/// On whose behalf a file system is made.
#[derive(Clone, Copy, Debug)]
pub struct MountContext<'a> {
    /// Whose processes a procfs shows.
    pub pid_ns: &'a Arc<PidNamespace>,
}

/// The types, as /proc/filesystems lists them; all without a device.
pub const FILE_SYSTEMS: &[&str] = &["devpts", "proc", "sysfs", "tmpfs"];

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
                let options = tmpfs::Options::for_memory(self.memory_total).parse(data, self.memory_total)?;
                tmpfs::TmpFs::mount(&self.memfile, options)
            }
            "devpts" => {
                let data = std::str::from_utf8(data).map_err(|_| Errno::EINVAL)?;
                Dentry::new_root(devpts::mount(data)?)
            }
            "sysfs" => Dentry::new_root(sysfs::new(self)),
            "proc" => Dentry::new_root(proc::new(self, context.pid_ns)),
            _ => err(Errno::ENODEV),
        }
    }
}
