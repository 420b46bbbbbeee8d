//! `/proc/PID/fd` and `/proc/PID/fdinfo`.

use std::sync::Arc;

use abi::Errno;
use abi::dirent::{DT_LNK, DT_REG};
use abi::fcntl::OpenFlags;
use abi::stat::{S_IFDIR, S_IFLNK, S_IFREG};

use super::ids;
use super::links::may_inspect;
use super::process::Subject;
use crate::error::{Result, err};
use crate::fs::pseudo::text::TextFile;
use crate::fs::pseudo::{Meta, Tree, meta_inode};
use crate::task::CurrentTask;
use crate::vfs::{DirEntry, FdTable, File, Inode, Path};

/// Which of the two directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// `fd`: links to the open files.
    Links,
    /// `fdinfo`: texts about them.
    Info,
}

/// The directory.
#[derive(Debug)]
pub(super) struct FdDir {
    meta: Meta,
    subject: Subject,
    number: i32,
    what: What,
}

impl FdDir {
    pub(super) fn new(tree: &Tree, subject: &Subject, number: i32, what: What) -> Arc<dyn Inode> {
        let creds = subject.task.creds();
        let (mode, index) = if what == What::Links { (0o500, 513) } else { (0o555, 514) };
        let meta = tree.meta_with_ino(ids::process(number, index), S_IFDIR | mode, 2).owned_by(creds.euid, creds.egid);
        Arc::new(Self { meta, subject: subject.clone(), number, what })
    }

    fn table(&self) -> Result<Arc<FdTable>> {
        self.subject.task.files().ok_or_else(|| Errno::ENOENT.into())
    }
}

impl Inode for FdDir {
    meta_inode!();

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let fd = ids::parse_number(name).ok_or(Errno::ENOENT)?;
        let table = self.table()?;
        let Ok((file, close_on_exec)) = table.get_with_flags(fd) else { return err(Errno::ENOENT) };
        let creds = self.subject.task.creds();
        let tree = self.meta.tree();
        let number = u32::try_from(fd).map_err(|_| Errno::ENOENT)?;
        if self.what == What::Info {
            let meta = tree
                .meta_with_ino(ids::descriptor(self.number, number, 1), S_IFREG | 0o444, 1)
                .owned_by(creds.euid, creds.egid);
            return Ok(TextFile::with(meta, Arc::new(move |_| Ok(info(&file, close_on_exec))), None));
        }
        let flags = file.flags();
        let mode = S_IFLNK | if flags.readable() { 0o500 } else { 0 } | if flags.writable() { 0o300 } else { 0 };
        let meta =
            tree.meta_with_ino(ids::descriptor(self.number, number, 0), mode, 1).owned_by(creds.euid, creds.egid);
        Ok(Arc::new(FdLink { meta, subject: self.subject.clone(), fd }))
    }

    fn readdir(&self, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        let table = self.table()?;
        let kind = if self.what == What::Links { DT_LNK } else { DT_REG };
        let mut at = u32::try_from(from).unwrap_or(u32::MAX);
        while let Some(fd) = table.next_used(at) {
            let ino = ids::descriptor(self.number, fd, u64::from(self.what == What::Info));
            if !emit(DirEntry { name: fd.to_string().as_bytes(), ino, kind, next: u64::from(fd) + 1 }) {
                break;
            }
            at = fd + 1;
        }
        Ok(())
    }
}

/// One descriptor as a magic link: following it leads to the open file's place, whatever its name is now.
#[derive(Debug)]
struct FdLink {
    meta: Meta,
    subject: Subject,
    fd: i32,
}

impl FdLink {
    fn path(&self, task: &CurrentTask) -> Result<Path> {
        may_inspect(task, &self.subject.task)?;
        let table = self.subject.task.files().ok_or(Errno::ENOENT)?;
        let file = table.get_raw(self.fd).map_err(|_| Errno::ENOENT)?;
        Ok(file.path().clone())
    }
}

impl Inode for FdLink {
    meta_inode!();

    fn readlink_for(&self, task: &CurrentTask) -> Result<Vec<u8>> {
        Ok(self.path(task)?.shown(&task.fs().root()))
    }

    fn follow(&self, task: &CurrentTask) -> Result<Option<Path>> {
        self.path(task).map(Some)
    }

    fn mountable(&self) -> bool {
        false
    }
}

fn info(file: &File, close_on_exec: bool) -> Vec<u8> {
    let flags = file.flags().bits() | if close_on_exec { OpenFlags::O_CLOEXEC.bits() } else { 0 };
    let ino = file.attr().map_or(0, |attr| attr.ino);
    let mount = file.path().mount.id();
    format!("pos:\t{}\nflags:\t0{flags:o}\nmnt_id:\t{mount}\nino:\t{ino}\n{}", file.pos(), file.ops().fdinfo())
        .into_bytes()
}
