//! `/proc/PID/mem`: the memory of a process as a file. Protections are ignored, as ptrace(2) ignores them.

use std::any::Any;
use std::sync::Arc;

use abi::fcntl::OpenFlags;
use abi::stat::S_IFREG;
use abi::{Errno, UserAddr};

use super::ids;
use super::links::may_inspect;
use super::process::Subject;
use crate::error::{Result, err};
use crate::fs::pseudo::{Meta, Tree, meta_inode};
use crate::io::{IoDst, IoSrc};
use crate::mm::{MemoryManager, RemoteAccess};
use crate::task::CurrentTask;
use crate::vfs::{File, FileOps, Inode};

/// How much is copied at a time.
const PIECE: usize = 65536;

/// The inode.
#[derive(Debug)]
struct MemInode {
    meta: Meta,
    subject: Subject,
}

pub(super) fn new(tree: &Tree, subject: &Subject, number: i32, index: u64) -> Arc<dyn Inode> {
    let creds = subject.task.creds();
    let meta = tree.meta_with_ino(ids::process(number, index), S_IFREG | 0o600, 1).owned_by(creds.euid, creds.egid);
    Arc::new(MemInode { meta, subject: subject.clone() })
}

impl Inode for MemInode {
    meta_inode!();

    fn open(self: Arc<Self>, task: &CurrentTask, _: OpenFlags) -> Result<Arc<dyn FileOps>> {
        may_inspect(task, &self.subject.task)?;
        Ok(Arc::new(Mem(self.subject.task.mm().ok_or(Errno::ESRCH)?)))
    }
}

/// The memory that the process had when the file was opened; execve gives it another.
#[derive(Debug)]
struct Mem(Arc<MemoryManager>);

impl FileOps for Mem {
    fn read(&self, _: &File, _: &CurrentTask, pos: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        let mut bytes = vec![0; dst.remaining().min(PIECE)];
        match self.0.read_remote(UserAddr(pos), &mut bytes, RemoteAccess::Forced) {
            Ok(n) => dst.put(&bytes[..n]),
            Err(_) => err(Errno::EIO),
        }
    }

    fn write(&self, _: &File, _: &CurrentTask, pos: &mut u64, src: &mut IoSrc<'_>) -> Result<usize> {
        let mut bytes = vec![0; src.remaining().min(PIECE)];
        let mut look = src.clone();
        let n = look.take(&mut bytes)?;
        match self.0.write_remote(UserAddr(*pos), &bytes[..n], RemoteAccess::Forced) {
            Ok(n) => {
                src.take_exact(&mut bytes[..n])?;
                Ok(n)
            }
            Err(_) => err(Errno::EIO),
        }
    }

    fn seekable(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
