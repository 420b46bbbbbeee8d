//! Open directories: reading their entries (getdents(2)).
//!
//! The position is 0 at `.`, 1 at `..`, and two more than the file system's own position after that.

use std::any::Any;
use std::sync::Arc;

use abi::Errno;
use abi::dirent::DT_DIR;
use abi::fcntl::OpenFlags;
use abi::stat::FileType;

use super::{DirEntry, File, FileOps};
use crate::error::{Result, err};
use crate::io::IoDst;
use crate::task::CurrentTask;

/// The open directory of a file system that has nothing to say about it.
#[derive(Debug, Default)]
pub(super) struct DirFile;

impl FileOps for DirFile {
    fn read(&self, _: &File, _: &CurrentTask, _: u64, _: &mut IoDst<'_>) -> Result<usize> {
        err(Errno::EISDIR)
    }

    fn seekable(&self) -> bool {
        true
    }

    fn sync(&self, _: &File, _: bool) -> Result<()> {
        Ok(())
    }

    fn set_flags(&self, _: &File, _: OpenFlags) -> Result<()> {
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl File {
    /// getdents(2): reports entries from the file's position on, `.` and `..` first, until `emit` returns false, and moves
    /// the position behind the last that was taken. ENOTDIR if it is no directory, ENOENT if it was removed. `done` runs
    /// before the position moves; if it fails the position stays.
    pub fn read_dir<T>(
        &self,
        emit: &mut dyn FnMut(DirEntry<'_>) -> bool,
        done: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if self.kind() != FileType::Directory {
            return err(Errno::ENOTDIR);
        }
        let mut pos = self.pos.lock();
        let dentry = &self.path().dentry;
        let mut at = *pos;
        let dir = dentry.dir.read();
        if dentry.is_unlinked() {
            return err(Errno::ENOENT);
        }
        let mut more = true;
        if at == 0 {
            let ino = dentry.inode().attr()?.ino;
            more = emit(DirEntry { name: b".", ino, kind: DT_DIR, next: 1 });
            at += u64::from(more);
        }
        if more && at == 1 {
            let parent = self.dotdot();
            let ino = parent.inode().attr()?.ino;
            more = emit(DirEntry { name: b"..", ino, kind: DT_DIR, next: 2 });
            at += u64::from(more);
        }
        if more && at >= 2 {
            dentry.inode().readdir(at - 2, &mut |entry| {
                let next = entry.next.wrapping_add(2);
                let taken = emit(DirEntry { next, ..entry });
                if taken {
                    at = next;
                }
                taken
            })?;
        }
        drop(dir);
        let result = done()?;
        *pos = at;
        Ok(result)
    }

    /// The directory above, across mounts.
    fn dotdot(&self) -> Arc<super::Dentry> {
        let mut at = self.path().clone();
        while Arc::ptr_eq(&at.dentry, at.mount.root()) {
            match at.mount.mountpoint() {
                Some(place) => at = place,
                None => return at.dentry,
            }
        }
        at.dentry.parent().unwrap_or(at.dentry)
    }
}
