//! link(2).

use std::sync::Arc;

use abi::Errno;
use abi::stat::{FileType, S_ISGID, S_ISUID, S_IXGRP};

use super::create::check_absent;
use super::may_create;
use crate::error::{Result, err};
use crate::landlock;
use crate::vfs::perm::Want;
use crate::vfs::walk::{Last, Parent, WalkFlags, parent};
use crate::vfs::{Caller, Path, notify, sysctl};

/// link(2): makes `path` another name of `target`.
pub fn link(caller: Caller<'_>, target: &Path, start: Option<&Path>, path: &[u8]) -> Result<()> {
    let Parent { dir, last, slashes } = parent(caller, start, path, WalkFlags::empty())?;
    let Last::Name(name) = last else { return err(Errno::EEXIST) };
    let name = name.as_bytes();
    {
        let _dir = dir.dentry.dir.write();
        check_absent(&dir, name, slashes)?;
        dir.want_write()?;
        if !Arc::ptr_eq(&target.mount, &dir.mount) {
            return err(Errno::EXDEV);
        }
        check_protected(caller, target)?;
        landlock::may_link(caller.creds, target, &dir)?;
        may_create(&dir, caller.creds)?;
        if target.is_dir() {
            return err(Errno::EPERM);
        }
        // What has lost its last name cannot get one again, unless it never had one (O_TMPFILE).
        let without_name = target.dentry.is_unlinked() && target.attr()?.nlink == 0;
        if without_name && !target.dentry.is_tmpfile() {
            return err(Errno::ENOENT);
        }
        dir.inode().link(name, target.inode())?;
        if without_name {
            dir.dentry.named(&target.dentry, name);
        } else {
            dir.dentry.added(name, Arc::clone(target.inode()))?;
        }
    }
    notify::self_event(&**target.inode(), notify::Event::ATTRIB);
    notify::entry_event(&dir.dentry, name, notify::Event::CREATE, false, 0);
    Ok(())
}

/// EPERM, with protected_hardlinks, for a file of somebody else that the task could not read and write.
fn check_protected(caller: Caller<'_>, target: &Path) -> Result<()> {
    if sysctl::PROTECTED_HARDLINKS.get() == 0 {
        return Ok(());
    }
    let access = target.inode().access()?;
    let safe = target.kind() == FileType::Regular
        && access.mode & S_ISUID == 0
        && access.mode & (S_ISGID | S_IXGRP) != S_ISGID | S_IXGRP
        && target.check(caller.creds, Want::READ | Want::WRITE).is_ok();
    if safe || access.owned(caller.creds) { Ok(()) } else { err(Errno::EPERM) }
}
