//! `/proc/PID/mounts` and `mountinfo`: the mounts of a process. Whoever polls such a file hears of changes with POLLPRI.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::poll::{POLLERR, POLLIN, POLLPRI, POLLRDNORM};
use abi::stat::S_IFREG;
use sync::WaitQueue;

use super::ids;
use super::process::ProcessDir;
use crate::error::Result;
use crate::fs::pseudo::text::OpenText;
use crate::fs::pseudo::{Meta, meta_inode};
use crate::io::IoDst;
use crate::task::{CurrentTask, Task};
use crate::vfs::{File, FileOps, Inode, MountNamespace, Path};

/// Makes the text for the mounts below a root.
type Show = fn(&MountNamespace, &Path) -> Vec<u8>;

/// The inode.
#[derive(Debug)]
struct MountsInode {
    meta: Meta,
    task: Arc<Task>,
    show: Show,
}

pub(super) fn new(dir: &ProcessDir, index: u64, show: Show) -> Arc<dyn Inode> {
    let task = Arc::clone(&dir.subject.task);
    let creds = task.creds();
    let ino = ids::process(dir.number, index);
    let meta = dir.meta.tree().meta_with_ino(ino, S_IFREG | 0o444, 1).owned_by(creds.euid, creds.egid);
    Arc::new(MountsInode { meta, task, show })
}

impl Inode for MountsInode {
    meta_inode!();

    fn open(self: Arc<Self>, _: &CurrentTask, _: OpenFlags) -> Result<Arc<dyn FileOps>> {
        let fs = self.task.fs().ok_or(Errno::EINVAL)?;
        let (namespace, root, show) = (fs.namespace(), fs.root(), self.show);
        let shown = Arc::clone(&namespace);
        let text = OpenText::new(Arc::new(move |_| Ok(show(&shown, &root))));
        let seen = AtomicU64::new(namespace.changes());
        Ok(Arc::new(Mounts { text, namespace, seen }))
    }
}

/// An open file: it stays with the mounts that the process had when it was opened.
#[derive(Debug)]
struct Mounts {
    text: Arc<OpenText>,
    namespace: Arc<MountNamespace>,
    /// The changes that a poll has told of.
    seen: AtomicU64,
}

impl FileOps for Mounts {
    fn read(&self, file: &File, task: &CurrentTask, pos: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        self.text.read(file, task, pos, dst)
    }

    fn poll(&self, _: &File) -> u32 {
        let changes = self.namespace.changes();
        let news = self.seen.swap(changes, Ordering::AcqRel) != changes;
        POLLIN | POLLRDNORM | if news { POLLPRI | POLLERR } else { 0 }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(self.namespace.changed())
    }

    fn seekable(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
