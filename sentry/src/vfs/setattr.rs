//! Changes of attributes: chmod(2), chown(2), utimensat(2), truncate(2), and what they take away (set-id bits, file
//! capabilities).

use abi::Errno;
use abi::capability::Cap;
use abi::stat::{FileType, S_IALLUGO, S_ISGID, S_ISUID};
use abi::xattr::XATTR_NAME_CAPS;

use super::perm::Want;
use super::{Access, Path, SetAttr, SetTime, notify};
use crate::error::{Result, err};
use crate::task::Credentials;

/// chmod(2).
pub fn chmod(creds: &Credentials, path: &Path, mode: u32) -> Result<()> {
    path.want_write()?;
    if path.kind() == FileType::Symlink {
        return err(Errno::EOPNOTSUPP);
    }
    let access = path.inode().access()?;
    if !access.owned(creds) {
        return err(Errno::EPERM);
    }
    let mut mode = mode & S_IALLUGO;
    if !access.in_group_or_capable(creds) {
        mode &= !S_ISGID;
    }
    change(path, &SetAttr { mode: Some(mode), ..SetAttr::default() })
}

/// chown(2); `None` leaves an id as it is. The ids are kernel ids.
pub fn chown(creds: &Credentials, path: &Path, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    path.want_write()?;
    let access = path.inode().access()?;
    let owner = creds.fsuid == access.uid;
    let privileged = access.capable(creds, Cap::CAP_CHOWN);
    if let Some(uid) = uid
        && !(privileged || (owner && uid == access.uid))
    {
        return err(Errno::EPERM);
    }
    if let Some(gid) = gid
        && !(privileged || (owner && (gid == access.gid || creds.in_group(gid))))
    {
        return err(Errno::EPERM);
    }
    let mode = if access.is_dir() { None } else { without_set_id(&access, creds) };
    if !access.is_dir() {
        drop_capabilities(path);
    }
    change(path, &SetAttr { mode, uid, gid, ..SetAttr::default() })
}

/// utimensat(2). `None` leaves a time as it is; both `Now` needs only permission to write.
pub fn utimes(creds: &Credentials, path: &Path, atime: Option<SetTime>, mtime: Option<SetTime>) -> Result<()> {
    path.want_write()?;
    if atime.is_none() && mtime.is_none() {
        return Ok(());
    }
    let access = path.inode().access()?;
    if !access.owned(creds) {
        if (atime, mtime) != (Some(SetTime::Now), Some(SetTime::Now)) {
            return err(Errno::EPERM);
        }
        path.check(creds, Want::WRITE)?;
    }
    change(path, &SetAttr { atime, mtime, ..SetAttr::default() })
}

/// truncate(2), by path. RLIMIT_FSIZE is checked by the caller.
pub fn truncate(creds: &Credentials, path: &Path, size: u64) -> Result<()> {
    match path.kind() {
        FileType::Regular => {}
        FileType::Directory => return err(Errno::EISDIR),
        _ => return err(Errno::EINVAL),
    }
    path.want_write()?;
    path.check(creds, Want::WRITE)?;
    crate::landlock::may_truncate(creds, path)?;
    let _writing = super::write_access::WriteAccess::claim(&**path.inode())?;
    truncate_unchecked(creds, path, size)
}

/// ftruncate(2), of a file that is open for writing.
pub fn truncate_unchecked(creds: &Credentials, path: &Path, size: u64) -> Result<()> {
    remove_privileges(creds, path)?;
    path.inode().set_attr(&SetAttr { size: Some(size), ..SetAttr::default() })?;
    notify::dentry_event(&path.dentry, notify::Event::MODIFY);
    Ok(())
}

/// Takes set-id bits and file capabilities away from a regular file that is being written or truncated, unless the task
/// has CAP_FSETID.
pub fn remove_privileges(creds: &Credentials, path: &Path) -> Result<()> {
    if creds.has_in_root(Cap::CAP_FSETID) {
        return Ok(());
    }
    let access = path.inode().access()?;
    if access.mode & (S_ISUID | S_ISGID) == 0 || access.capable(creds, Cap::CAP_FSETID) {
        return Ok(());
    }
    match without_set_id(&access, creds) {
        Some(mode) => path.inode().set_attr(&SetAttr { mode: Some(mode), ..SetAttr::default() }),
        None => Ok(()),
    }
}

/// The mode without the set-id bits that a change by somebody takes away; `None` if it has none of them.
fn without_set_id(access: &Access, creds: &Credentials) -> Option<u32> {
    let mut mode = access.mode & S_IALLUGO;
    mode &= !S_ISUID;
    if access.drops_setgid(creds) {
        mode &= !S_ISGID;
    }
    (mode != access.mode & S_IALLUGO).then_some(mode)
}

/// Takes file capabilities away from what is being written, whoever writes. Only what can be executed has any.
pub(super) fn drop_program_capabilities(path: &Path) -> Result<()> {
    if path.inode().access()?.mode & 0o111 != 0 {
        drop_capabilities(path);
    }
    Ok(())
}

fn drop_capabilities(path: &Path) {
    // Most files have none, and some file systems no attributes at all: either is fine.
    let _ = path.inode().removexattr(XATTR_NAME_CAPS);
}

fn change(path: &Path, change: &SetAttr) -> Result<()> {
    path.inode().set_attr(change)?;
    notify::dentry_event(&path.dentry, notify::Event::ATTRIB);
    Ok(())
}
