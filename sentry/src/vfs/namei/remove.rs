//! unlink(2), rmdir(2).

use std::sync::Arc;

use abi::Errno;

use super::may_delete;
use crate::error::{Result, err};
use crate::landlock;
use crate::vfs::walk::{Last, Parent, WalkFlags, parent};
use crate::vfs::{Caller, Dentry, Path, notify};

/// unlink(2).
pub fn unlink(caller: Caller<'_>, start: Option<&Path>, path: &[u8]) -> Result<()> {
    let Parent { dir, last, slashes } = parent(caller, start, path, WalkFlags::empty())?;
    let Last::Name(name) = last else { return err(Errno::EISDIR) };
    dir.want_write()?;
    let victim = {
        let _dir = dir.dentry.dir.write();
        let victim = dir.dentry.lookup_locked(name.as_bytes())?;
        if slashes {
            return err(if victim.is_dir() { Errno::EISDIR } else { Errno::ENOTDIR });
        }
        landlock::may_remove(caller.creds, &dir, false)?;
        may_delete(&dir, &victim, false, caller.creds)?;
        if victim.is_mountpoint() {
            return err(Errno::EBUSY);
        }
        dir.inode().unlink(name.as_bytes(), victim.inode())?;
        dir.dentry.removed(&victim);
        victim
    };
    tell_removed(&dir, &victim);
    Ok(())
}

/// rmdir(2).
pub fn rmdir(caller: Caller<'_>, start: Option<&Path>, path: &[u8]) -> Result<()> {
    let Parent { dir, last, .. } = parent(caller, start, path, WalkFlags::empty())?;
    let name = match last {
        Last::Name(name) => name,
        Last::Dot => return err(Errno::EINVAL),
        Last::DotDot => return err(Errno::ENOTEMPTY),
        Last::Root => return err(Errno::EBUSY),
    };
    dir.want_write()?;
    let victim = {
        let _dir = dir.dentry.dir.write();
        let victim = dir.dentry.lookup_locked(name.as_bytes())?;
        landlock::may_remove(caller.creds, &dir, true)?;
        may_delete(&dir, &victim, true, caller.creds)?;
        if victim.is_mountpoint() {
            return err(Errno::EBUSY);
        }
        // Nothing is made in it from here on.
        let _victim = victim.dir.write_nested();
        dir.inode().rmdir(name.as_bytes(), victim.inode())?;
        dir.dentry.removed(&victim);
        victim.drop_names();
        victim.clone()
    };
    tell_removed(&dir, &victim);
    Ok(())
}

/// Tells those who watch that a name is gone.
pub(super) fn tell_removed(dir: &Path, victim: &Arc<Dentry>) {
    notify::unlinked(victim);
    notify::entry_event(&dir.dentry, &victim.name(), notify::Event::DELETE, victim.is_dir(), 0);
}
