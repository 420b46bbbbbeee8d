//! open(2): from a path to a [`File`].

use std::sync::Arc;

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::stat::{FileType, S_IALLUGO, S_ISVTX, S_IWGRP, S_IWOTH};

use super::dir::DirFile;
use super::namei::{create_in, may_create, new_node_owner};
use super::perm::Want;
use super::walk::{Last, Walk, WalkFlags, resolve};
use super::write_access::{DenyWrite, WriteAccess};
use super::{Caller, Dentry, File, FileOps, MountFlags, NewKind, Path, SetAttr, setattr, sysctl};
use crate::error::{Result, err};
use crate::fs::{device, pipe};
use crate::landlock;
use crate::task::CurrentTask;

/// Opens `path`, making it if O_CREAT says so. `flags` are consistent (`OpenFlags` of open(2) as the system call layer
/// checked them); `how` holds the resolve flags of openat2(2).
pub fn open(
    task: &CurrentTask,
    start: Option<&Path>,
    path: &[u8],
    flags: OpenFlags,
    mode: u32,
    how: WalkFlags,
) -> Result<Arc<File>> {
    let mut how = how - (WalkFlags::FOLLOW | WalkFlags::DIRECTORY);
    if !flags.contains(OpenFlags::O_NOFOLLOW) && !flags.contains(OpenFlags::O_CREAT | OpenFlags::O_EXCL) {
        how |= WalkFlags::FOLLOW;
    }
    if flags.contains(OpenFlags::O_DIRECTORY) {
        how |= WalkFlags::DIRECTORY;
    }
    let caller = Caller::of(task);
    if flags.contains(OpenFlags::O_PATH) {
        return Ok(File::new_path(resolve(caller, start, path, how)?, flags));
    }
    if flags.contains(OpenFlags::__O_TMPFILE) {
        return open_tmpfile(task, &resolve(caller, start, path, how | WalkFlags::DIRECTORY)?, flags, mode);
    }
    if flags.contains(OpenFlags::O_CREAT) {
        let (path, created) = find_or_create(caller, start, path, flags, mode, how)?;
        return open_found(task, path, flags, created);
    }
    open_found(task, resolve(caller, start, path, how)?, flags, false)
}

/// Opens what is at a place, as open(2) of a magic link does.
pub fn open_path(task: &CurrentTask, path: Path, flags: OpenFlags) -> Result<Arc<File>> {
    open_found(task, path, flags, false)
}

/// Opens a program for execve(2): a regular file that the task may execute, on a mount that allows it (EACCES). It cannot
/// be opened for writing while the second result lives; ETXTBSY if it is.
pub fn open_exec(
    task: &CurrentTask,
    start: Option<&Path>,
    path: &[u8],
    flags: WalkFlags,
) -> Result<(Arc<File>, DenyWrite)> {
    open_exec_path(task, resolve(Caller::of(task), start, path, flags)?)
}

/// As [`open_exec`], for a place already found (fexecve).
pub fn open_exec_path(task: &CurrentTask, path: Path) -> Result<(Arc<File>, DenyWrite)> {
    match path.kind() {
        FileType::Regular => {}
        FileType::Symlink => return err(Errno::ELOOP),
        _ => return err(Errno::EACCES),
    }
    if path.mount.flags().contains(MountFlags::NO_EXEC) {
        return err(Errno::EACCES);
    }
    path.check(task.creds(), Want::EXEC)?;
    landlock::may_execute(task.creds(), &path)?;
    let deny = DenyWrite::claim(&**path.inode())?;
    let ops = Arc::clone(path.inode()).open(task, OpenFlags::O_RDONLY)?;
    Ok((File::opened(ops, path, OpenFlags::O_RDONLY, None), deny))
}

/// What open(2) with O_CREAT finds under the path, or makes there.
fn find_or_create(
    caller: Caller<'_>,
    start: Option<&Path>,
    path: &[u8],
    flags: OpenFlags,
    mode: u32,
    how: WalkFlags,
) -> Result<(Path, bool)> {
    let mut walk = Walk::new(caller, start, path, how)?;
    loop {
        let name = match walk.go_to_last()? {
            Last::Name(name) => name,
            Last::DotDot => {
                walk.up()?;
                return Ok((walk.finish()?, false));
            }
            Last::Root | Last::Dot => return Ok((walk.finish()?, false)),
        };
        if walk.slashes() {
            return err(Errno::EISDIR);
        }
        let name = name.as_bytes();
        let (child, created) = match walk.lookup(name) {
            Ok(child) => (child, false),
            Err(e) if e.is(Errno::ENOENT) => create(caller, walk.at(), name, mode)?,
            Err(e) => return Err(e),
        };
        if child.kind() == FileType::Symlink && walk.follows_last() {
            if walk.follow(&child, true)? {
                continue;
            }
            return Ok((walk.finish()?, false));
        }
        let dir = walk.at().clone();
        walk.enter(child)?;
        let path = walk.finish()?;
        if !created && !flags.contains(OpenFlags::O_EXCL) {
            check_sticky(caller, &dir, &path)?;
        }
        return Ok((path, created));
    }
}

/// Makes a regular file, unless somebody was quicker.
fn create(caller: Caller<'_>, dir: &Path, name: &[u8], mode: u32) -> Result<(Arc<Dentry>, bool)> {
    let _dir = dir.dentry.dir.write();
    match dir.dentry.lookup_locked(name) {
        Ok(child) => return Ok((child, false)),
        Err(e) if e.is(Errno::ENOENT) => {}
        Err(e) => return Err(e),
    }
    dir.want_write()?;
    landlock::may_make(caller.creds, dir, NewKind::Regular)?;
    may_create(dir, caller.creds)?;
    let mode = mode & S_IALLUGO & !caller.fs.umask();
    Ok((create_in(dir, name, NewKind::Regular, mode, caller.creds)?, true))
}

fn open_tmpfile(task: &CurrentTask, dir: &Path, flags: OpenFlags, mode: u32) -> Result<Arc<File>> {
    dir.want_write()?;
    may_create(dir, task.creds())?;
    let mode = mode & S_IALLUGO & !task.fs().umask();
    let node = new_node_owner(&dir.inode().access()?, NewKind::Regular, mode, task.creds());
    let inode = dir.inode().create_tmpfile(&node)?;
    let name = format!("#{}", inode.attr()?.ino);
    let linkable = !flags.contains(OpenFlags::O_EXCL);
    let path = dir.with(dir.dentry.new_tmpfile(inode, name.as_bytes(), linkable)?);
    open_found(task, path, flags - OpenFlags::O_TMPFILE, true)
}

/// The second half of open(2): permission, and the file.
fn open_found(task: &CurrentTask, path: Path, flags: OpenFlags, created: bool) -> Result<Arc<File>> {
    let kind = path.kind();
    if flags.contains(OpenFlags::O_CREAT) && !created {
        if flags.contains(OpenFlags::O_EXCL) {
            return err(Errno::EEXIST);
        }
        if kind == FileType::Directory {
            return err(Errno::EISDIR);
        }
    }
    let truncate = flags.contains(OpenFlags::O_TRUNC) && kind == FileType::Regular && !created;
    if truncate {
        path.want_write()?;
    }
    if !created {
        may_open(task, &path, flags)?;
    }
    let may_truncate = landlock::may_open(task.creds(), &path, (flags.readable(), flags.writable(), truncate))?;
    let writes = flags.writable() || truncate;
    if !created {
        super::leases::break_for(task, &path, writes, !flags.contains(OpenFlags::O_NONBLOCK))?;
    }
    let writing = if kind == FileType::Regular && writes {
        let claim = WriteAccess::claim(&**path.inode())?;
        path.want_write()?;
        Some(claim)
    } else {
        None
    };
    let ops = open_inode(task, &path, flags)?;
    if truncate {
        setattr::remove_privileges(task.creds(), &path)?;
        setattr::drop_program_capabilities(&path)?;
        path.inode().set_attr(&SetAttr { size: Some(0), ..SetAttr::default() })?;
        super::notify::dentry_event(&path.dentry, super::notify::Event::MODIFY);
    }
    let file = File::opened(ops, path, flags, writing);
    if !may_truncate {
        file.forbid_truncation();
    }
    if created {
        file.note_created();
    }
    Ok(file)
}

/// May an existing inode be opened so?
fn may_open(task: &CurrentTask, path: &Path, flags: OpenFlags) -> Result<()> {
    let mut want = match flags.bits() & 3 {
        0 => Want::READ,
        1 => Want::WRITE,
        _ => Want::READ | Want::WRITE,
    };
    if flags.contains(OpenFlags::O_TRUNC) {
        want |= Want::WRITE;
    }
    match path.kind() {
        FileType::Symlink => return err(Errno::ELOOP),
        FileType::Directory if want.contains(Want::WRITE) => return err(Errno::EISDIR),
        FileType::CharDevice | FileType::BlockDevice if path.mount.flags().contains(MountFlags::NO_DEV) => {
            return err(Errno::EACCES);
        }
        _ => {}
    }
    path.check(task.creds(), want)?;
    if flags.contains(OpenFlags::O_NOATIME) && !path.inode().access()?.owned(task.creds()) {
        return err(Errno::EPERM);
    }
    Ok(())
}

fn open_inode(task: &CurrentTask, path: &Path, flags: OpenFlags) -> Result<Arc<dyn FileOps>> {
    let inode = path.inode();
    if matches!(path.kind(), FileType::Fifo | FileType::CharDevice)
        && let Some(ops) = inode.open_special(task, flags)?
    {
        return Ok(ops);
    }
    match path.kind() {
        FileType::Fifo => Ok(pipe::fifo::open(inode.attachments(), task, flags)?),
        FileType::CharDevice => device::open(task, inode.attr()?.rdev, flags),
        FileType::BlockDevice | FileType::Socket => err(Errno::ENXIO),
        FileType::Directory => match Arc::clone(inode).open(task, flags) {
            Err(e) if e.is(Errno::ENXIO) => Ok(Arc::new(DirFile)),
            other => other,
        },
        FileType::Regular | FileType::Symlink => Arc::clone(inode).open(task, flags),
    }
}

/// protected_fifos and protected_regular: O_CREAT does not open what somebody else left in a sticky directory.
fn check_sticky(caller: Caller<'_>, dir: &Path, path: &Path) -> Result<()> {
    let setting = match path.kind() {
        FileType::Fifo => sysctl::PROTECTED_FIFOS.get(),
        FileType::Regular => sysctl::PROTECTED_REGULAR.get(),
        _ => 0,
    };
    if setting == 0 {
        return Ok(());
    }
    let (dir, owner) = (dir.inode().access()?, path.inode().access()?.uid);
    let exposed = dir.mode & S_IWOTH != 0 || (setting >= 2 && dir.mode & S_IWGRP != 0);
    if dir.mode & S_ISVTX == 0 || owner == dir.uid || owner == caller.creds.fsuid || !exposed {
        Ok(())
    } else {
        err(Errno::EACCES)
    }
}
