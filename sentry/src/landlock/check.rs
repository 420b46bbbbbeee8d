//! The questions that the VFS asks. Each is about the place of a file or a directory, and what is to be done there.

use std::sync::Arc;

use abi::Errno;
use abi::landlock::LandlockFsAccess as Access;

use super::{Domain, FILE, key};
use crate::error::{Result, err};
use crate::task::Credentials;
use crate::vfs::{Dentry, NewKind, Path};

/// EACCES unless a file may be opened so. Returns whether it may be truncated later on.
pub fn may_open(creds: &Credentials, path: &Path, (read, write, truncate): (bool, bool, bool)) -> Result<bool> {
    let Some(domain) = &creds.landlock else { return Ok(true) };
    let mut want = Access::empty();
    want.set(Access::LANDLOCK_ACCESS_FS_READ_DIR, read && path.is_dir());
    want.set(Access::LANDLOCK_ACCESS_FS_READ_FILE, read && !path.is_dir());
    want.set(Access::LANDLOCK_ACCESS_FS_WRITE_FILE, write);
    want.set(Access::LANDLOCK_ACCESS_FS_TRUNCATE, truncate);
    check(domain, path, want)?;
    Ok(check(domain, path, Access::LANDLOCK_ACCESS_FS_TRUNCATE).is_ok())
}

/// EACCES unless a program may be executed.
pub(crate) fn may_execute(creds: &Credentials, path: &Path) -> Result<()> {
    let Some(domain) = &creds.landlock else { return Ok(()) };
    check(domain, path, Access::LANDLOCK_ACCESS_FS_EXECUTE | Access::LANDLOCK_ACCESS_FS_READ_FILE)
}

/// EACCES unless a file may be truncated by its path.
pub fn may_truncate(creds: &Credentials, path: &Path) -> Result<()> {
    let Some(domain) = &creds.landlock else { return Ok(()) };
    check(domain, path, Access::LANDLOCK_ACCESS_FS_TRUNCATE)
}

/// EACCES unless such a thing may be made in a directory.
pub fn may_make(creds: &Credentials, dir: &Path, kind: NewKind<'_>) -> Result<()> {
    let Some(domain) = &creds.landlock else { return Ok(()) };
    check(
        domain,
        dir,
        match kind {
            NewKind::Regular => Access::LANDLOCK_ACCESS_FS_MAKE_REG,
            NewKind::Directory => Access::LANDLOCK_ACCESS_FS_MAKE_DIR,
            NewKind::Symlink(_) => Access::LANDLOCK_ACCESS_FS_MAKE_SYM,
            NewKind::Fifo => Access::LANDLOCK_ACCESS_FS_MAKE_FIFO,
            NewKind::Socket => Access::LANDLOCK_ACCESS_FS_MAKE_SOCK,
            NewKind::CharDevice(_) => Access::LANDLOCK_ACCESS_FS_MAKE_CHAR,
            NewKind::BlockDevice(_) => Access::LANDLOCK_ACCESS_FS_MAKE_BLOCK,
        },
    )
}

/// EACCES unless a name may be removed from a directory.
pub fn may_remove(creds: &Credentials, dir: &Path, is_dir: bool) -> Result<()> {
    let Some(domain) = &creds.landlock else { return Ok(()) };
    check(domain, dir, remove(is_dir))
}

/// EPERM: who is bound to places may not move them about.
pub fn may_mount(creds: &Credentials) -> Result<()> {
    if creds.landlock.is_some() { err(Errno::EPERM) } else { Ok(()) }
}

/// Whether `target` may get another name in `dir`. EACCES without the right to make such a thing there; EXDEV if it lies
/// elsewhere and may not be taken out of there, or would be granted more in its new place.
pub fn may_link(creds: &Credentials, target: &Path, dir: &Path) -> Result<()> {
    let Some(domain) = &creds.landlock else { return Ok(()) };
    check(domain, dir, made(&target.dentry))?;
    let (parent, _) = target.dentry.place();
    let from = parent.map_or_else(|| target.clone(), |parent| target.with(parent));
    check_move(domain, &from, &target.dentry, dir)
}

/// Whether `child` of `from` may move to `to`, where it replaces `target` or, with `exchange`, changes places with it.
pub fn may_rename(
    creds: &Credentials,
    (from, child): (&Path, &Arc<Dentry>),
    (to, target): (&Path, Option<&Arc<Dentry>>),
    exchange: bool,
) -> Result<()> {
    let Some(domain) = &creds.landlock else { return Ok(()) };
    let mut at_source = remove(child.is_dir());
    let mut at_target = made(child);
    if let Some(target) = target {
        at_target |= remove(target.is_dir());
        if exchange {
            at_source |= made(target);
        }
    }
    check(domain, from, at_source)?;
    check(domain, to, at_target)?;
    check_move(domain, from, child, to)?;
    match target {
        Some(target) if exchange => check_move(domain, to, target, from),
        _ => Ok(()),
    }
}

fn remove(is_dir: bool) -> Access {
    if is_dir { Access::LANDLOCK_ACCESS_FS_REMOVE_DIR } else { Access::LANDLOCK_ACCESS_FS_REMOVE_FILE }
}

/// The right to make what a dentry is.
fn made(what: &Dentry) -> Access {
    use abi::stat::FileType;
    match what.kind() {
        FileType::Regular => Access::LANDLOCK_ACCESS_FS_MAKE_REG,
        FileType::Directory => Access::LANDLOCK_ACCESS_FS_MAKE_DIR,
        FileType::Symlink => Access::LANDLOCK_ACCESS_FS_MAKE_SYM,
        FileType::Fifo => Access::LANDLOCK_ACCESS_FS_MAKE_FIFO,
        FileType::Socket => Access::LANDLOCK_ACCESS_FS_MAKE_SOCK,
        FileType::CharDevice => Access::LANDLOCK_ACCESS_FS_MAKE_CHAR,
        FileType::BlockDevice => Access::LANDLOCK_ACCESS_FS_MAKE_BLOCK,
    }
}

/// Between two directories a thing moves only where both allow that, and where it gains nothing.
fn check_move(domain: &Domain, from: &Path, child: &Arc<Dentry>, to: &Path) -> Result<()> {
    if Arc::ptr_eq(&from.dentry, &to.dentry) {
        return Ok(());
    }
    for layer in domain.layers() {
        // Handled or not: it is never granted by silence.
        let refer = Access::LANDLOCK_ACCESS_FS_REFER;
        let own = layer.rules.get(&key(child.inode())).map_or(Access::empty(), |(access, _)| *access);
        let (before, after) = (granted(layer, from), granted(layer, to));
        if !before.contains(refer) || !after.contains(refer) {
            return err(Errno::EXDEV);
        }
        let mut counts = layer.handled;
        if !child.is_dir() {
            counts &= FILE;
        }
        if !(before | own).contains(after & counts) {
            return err(Errno::EXDEV);
        }
    }
    Ok(())
}

/// EACCES unless every layer grants what it handles of `want`.
fn check(domain: &Domain, path: &Path, want: Access) -> Result<()> {
    let fine = path.dentry.is_pseudo()
        || domain.layers().all(|layer| {
            let asked = want & layer.handled;
            asked.is_empty() || granted(layer, path).contains(asked)
        });
    if fine { Ok(()) } else { err(Errno::EACCES) }
}

/// What the rules of a layer grant at a place: those for it and for everything above it, up to the root of all mounts.
fn granted(layer: &Domain, path: &Path) -> Access {
    let mut granted = Access::empty();
    let mut at = path.clone();
    loop {
        if let Some((access, _)) = layer.rules.get(&key(at.inode())) {
            granted |= *access;
        }
        if Arc::ptr_eq(&at.dentry, at.mount.root()) {
            // What a mount covers grants nothing: its place does, from the directory above on.
            match at.mount.mountpoint() {
                Some(place) => match place.dentry.place().0 {
                    Some(parent) if !Arc::ptr_eq(&place.dentry, place.mount.root()) => at = place.with(parent),
                    _ => at = place,
                },
                None => return granted,
            }
            continue;
        }
        match at.dentry.place().0 {
            Some(parent) => at.dentry = parent,
            // Taken out of its tree: what is granted for all of the mount still is.
            None => at.dentry = Arc::clone(at.mount.root()),
        }
    }
}
