//! mkdir(2), mknod(2), symlink(2), and the creating half of open(2).

use std::sync::Arc;

use abi::Errno;
use abi::capability::Cap;
use abi::stat::{S_IALLUGO, S_ISGID, S_ISVTX, S_IXGRP};

use super::may_create;
use crate::error::{Result, err};
use crate::landlock;
use crate::task::Credentials;
use crate::vfs::walk::{Last, Parent, WalkFlags, parent};
use crate::vfs::{Access, Caller, Dentry, NewKind, NewNode, Path, notify};

/// mkdir(2).
pub fn mkdir(caller: Caller<'_>, start: Option<&Path>, path: &[u8], mode: u32) -> Result<Path> {
    let mode = mode & (0o777 | S_ISVTX) & !caller.fs.umask();
    make(caller, start, path, NewKind::Directory, mode)
}

/// mknod(2); also what bind(2) makes for a unix socket. Devices need CAP_MKNOD (EPERM), checked here.
pub fn mknod(caller: Caller<'_>, start: Option<&Path>, path: &[u8], kind: NewKind<'_>, mode: u32) -> Result<Path> {
    make(caller, start, path, kind, mode & S_IALLUGO & !caller.fs.umask())
}

/// symlink(2). `target` is not empty.
pub fn symlink(caller: Caller<'_>, target: &[u8], start: Option<&Path>, path: &[u8]) -> Result<Path> {
    make(caller, start, path, NewKind::Symlink(target), 0o777)
}

fn make(caller: Caller<'_>, start: Option<&Path>, path: &[u8], kind: NewKind<'_>, mode: u32) -> Result<Path> {
    let Parent { dir, last, slashes } = parent(caller, start, path, WalkFlags::empty())?;
    let Last::Name(name) = last else { return err(Errno::EEXIST) };
    let name = name.as_bytes();
    let dentry = {
        let _dir = dir.dentry.dir.write();
        check_absent(&dir, name, slashes && !matches!(kind, NewKind::Directory))?;
        dir.want_write()?;
        landlock::may_make(caller.creds, &dir, kind)?;
        may_create(&dir, caller.creds)?;
        // The whiteout device is nobody's secret.
        let is_device = match kind {
            NewKind::CharDevice(rdev) => rdev != 0,
            NewKind::BlockDevice(_) => true,
            _ => false,
        };
        if is_device && !caller.creds.has_in_root(Cap::CAP_MKNOD) {
            return err(Errno::EPERM);
        }
        create_in(&dir, name, kind, mode, caller.creds)?
    };
    Ok(dir.with(dentry))
}

/// EEXIST if the name exists, ENOENT if it does not but slashes follow it.
pub(super) fn check_absent(dir: &Path, name: &[u8], slashes: bool) -> Result<()> {
    match dir.dentry.lookup_locked(name) {
        Ok(_) => err(Errno::EEXIST),
        Err(e) if !e.is(Errno::ENOENT) => Err(e),
        Err(e) if slashes => Err(e),
        Err(_) => Ok(()),
    }
}

/// Makes the node, whose name does not exist. With the directory's lock held exclusively, permission checked.
pub(in crate::vfs) fn create_in(
    dir: &Path,
    name: &[u8],
    kind: NewKind<'_>,
    mode: u32,
    creds: &Credentials,
) -> Result<Arc<Dentry>> {
    let is_dir = matches!(kind, NewKind::Directory);
    let node = new_node_owner(&dir.inode().access()?, kind, mode, creds);
    let inode = dir.inode().create(name, &node)?;
    let dentry = dir.dentry.added(name, inode)?;
    notify::entry_event(&dir.dentry, name, notify::Event::CREATE, is_dir, 0);
    Ok(dentry)
}

/// Who owns a new node: a set-group-ID directory passes its group on, and itself to directories.
pub(in crate::vfs) fn new_node_owner<'a>(
    dir: &Access,
    kind: NewKind<'a>,
    mode: u32,
    creds: &Credentials,
) -> NewNode<'a> {
    let (mut mode, mut gid) = (mode, creds.fsgid);
    if dir.mode & S_ISGID != 0 {
        gid = dir.gid;
        if matches!(kind, NewKind::Directory) {
            mode |= S_ISGID;
        } else if mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP && !dir.in_group_or_capable(creds) {
            mode &= !S_ISGID;
        }
    }
    NewNode { kind, mode, uid: creds.fsuid, gid }
}
