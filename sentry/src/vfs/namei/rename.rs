//! rename(2), renameat2(2).

use std::sync::Arc;

use abi::Errno;
use abi::fcntl::RenameFlags;

use super::{may_create, may_delete};
use crate::error::{Result, err};
use crate::landlock;
use crate::vfs::perm::Want;
use crate::vfs::walk::{Last, Name, Parent, WalkFlags, parent};
use crate::vfs::{Caller, Dentry, Path, notify};

/// renameat2(2). RENAME_WHITEOUT is EINVAL: no file system here makes whiteouts that an application may see.
pub fn rename(
    caller: Caller<'_>,
    (old_start, old_path): (Option<&Path>, &[u8]),
    (new_start, new_path): (Option<&Path>, &[u8]),
    flags: RenameFlags,
) -> Result<()> {
    let (exchange, no_replace) =
        (flags.contains(RenameFlags::RENAME_EXCHANGE), flags.contains(RenameFlags::RENAME_NOREPLACE));
    if !(RenameFlags::RENAME_EXCHANGE | RenameFlags::RENAME_NOREPLACE).contains(flags) || (exchange && no_replace) {
        return err(Errno::EINVAL);
    }
    let old = parent(caller, old_start, old_path, WalkFlags::empty())?;
    let new = parent(caller, new_start, new_path, WalkFlags::empty())?;
    if !Arc::ptr_eq(&old.dir.mount, &new.dir.mount) {
        return err(Errno::EXDEV);
    }
    let Last::Name(old_name) = old.last else { return err(Errno::EBUSY) };
    let Last::Name(new_name) = new.last else {
        return err(if no_replace { Errno::EEXIST } else { Errno::EBUSY });
    };
    old.dir.want_write()?;
    let moved = if Arc::ptr_eq(&old.dir.dentry, &new.dir.dentry) {
        let _dir = old.dir.dentry.dir.write();
        locked(caller, &old, &old_name, &new, &new_name, exchange, no_replace)?
    } else {
        let _rename = old.dir.dentry.sb().rename.lock();
        let (first, second) = lock_order(&old.dir.dentry, &new.dir.dentry);
        let _first = first.dir.write();
        let _second = second.dir.write_nested();
        locked(caller, &old, &old_name, &new, &new_name, exchange, no_replace)?
    };
    let Some((child, replaced)) = moved else { return Ok(()) };
    tell(&old.dir, &old_name, &new.dir, &new_name, &child, replaced.as_ref(), exchange);
    Ok(())
}

/// What moved, and what it replaced or changed places with.
type Moved = (Arc<Dentry>, Option<Arc<Dentry>>);

/// The rename itself, with its locks held. `None` if both names are the same file, which is nothing to do.
fn locked(
    caller: Caller<'_>,
    old: &Parent,
    old_name: &Name,
    new: &Parent,
    new_name: &Name,
    exchange: bool,
    no_replace: bool,
) -> Result<Option<Moved>> {
    let (from, to) = (&old.dir, &new.dir);
    let child = from.dentry.lookup_locked(old_name.as_bytes())?;
    let target = match to.dentry.lookup_locked(new_name.as_bytes()) {
        Ok(_) if no_replace => return err(Errno::EEXIST),
        Ok(target) => Some(target),
        Err(e) if e.is(Errno::ENOENT) && !exchange => None,
        Err(e) => return Err(e),
    };
    if exchange && new.slashes && target.as_ref().is_some_and(|t| !t.is_dir()) {
        return err(Errno::ENOTDIR);
    }
    if !child.is_dir() && (old.slashes || (!exchange && new.slashes)) {
        return err(Errno::ENOTDIR);
    }
    // Neither may contain the other.
    if child.is_dir() && child.is_ancestor_of(&to.dentry) {
        return err(Errno::EINVAL);
    }
    if let Some(target) = &target
        && target.is_dir()
        && target.is_ancestor_of(&from.dentry)
    {
        return err(if exchange { Errno::EINVAL } else { Errno::ENOTEMPTY });
    }
    if let Some(target) = &target
        && Arc::ptr_eq(target.inode(), child.inode())
    {
        return Ok(None);
    }
    landlock::may_rename(caller.creds, (from, &child), (to, target.as_ref()), exchange)?;
    may_delete(from, &child, child.is_dir(), caller.creds)?;
    match &target {
        None => may_create(to, caller.creds)?,
        Some(target) => {
            let as_dir = if exchange { target.is_dir() } else { child.is_dir() };
            may_delete(to, target, as_dir, caller.creds)?;
        }
    }
    // A directory that changes its parent is written to: its `..` changes.
    if !Arc::ptr_eq(&from.dentry, &to.dentry) {
        let moves = |d: &Arc<Dentry>| {
            if d.is_dir() { from.with(Arc::clone(d)).check(caller.creds, Want::WRITE) } else { Ok(()) }
        };
        moves(&child)?;
        if exchange && let Some(target) = &target {
            moves(target)?;
        }
    }
    if child.is_mountpoint() || target.as_ref().is_some_and(|t| t.is_mountpoint()) {
        return err(Errno::EBUSY);
    }
    // Nothing is made any more in a directory that is replaced.
    let replaced_dir = target.as_ref().filter(|t| t.is_dir() && !exchange);
    let replaced_lock = replaced_dir.map(|t| t.dir.write_nested());
    from.inode().rename(
        old_name.as_bytes(),
        child.inode(),
        to.inode(),
        new_name.as_bytes(),
        target.as_ref().map(|t| t.inode()),
        exchange,
    )?;
    match &target {
        Some(target) if exchange => Dentry::exchanged(&child, target),
        _ => {
            if let Some(target) = &target {
                to.dentry.removed(target);
                target.drop_names();
            }
            from.dentry.moved(&child, &to.dentry, new_name.as_bytes());
        }
    }
    drop(replaced_lock);
    Ok(Some((child, target)))
}

/// The directory that is locked first: the one above, or the one at the lower address.
fn lock_order<'a>(a: &'a Arc<Dentry>, b: &'a Arc<Dentry>) -> (&'a Arc<Dentry>, &'a Arc<Dentry>) {
    let a_first = if a.is_ancestor_of(b) {
        true
    } else if b.is_ancestor_of(a) {
        false
    } else {
        Arc::as_ptr(a) < Arc::as_ptr(b)
    };
    if a_first { (a, b) } else { (b, a) }
}

fn tell(
    from: &Path,
    old_name: &Name,
    to: &Path,
    new_name: &Name,
    child: &Arc<Dentry>,
    replaced: Option<&Arc<Dentry>>,
    exchange: bool,
) {
    use notify::Event;
    let moved = |from: &Path, old: &Name, to: &Path, new: &Name, what: &Arc<Dentry>| {
        let cookie = notify::next_cookie();
        notify::entry_event(&from.dentry, old.as_bytes(), Event::MOVED_FROM, what.is_dir(), cookie);
        notify::entry_event(&to.dentry, new.as_bytes(), Event::MOVED_TO, what.is_dir(), cookie);
        notify::self_event(&**what.inode(), Event::MOVE_SELF);
    };
    moved(from, old_name, to, new_name, child);
    if let Some(replaced) = replaced {
        if exchange {
            moved(to, new_name, from, old_name, replaced);
        } else {
            notify::unlinked(replaced);
        }
    }
}
