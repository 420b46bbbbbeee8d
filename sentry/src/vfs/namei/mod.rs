//! Changes of names: making, removing, linking and renaming, with Linux's order of checks.
//!
//! Every change runs under the `dir` locks of its directories; a rename between two directories also under the file
//! system's rename lock.

mod create;
mod link;
mod remove;
mod rename;

pub use create::{mkdir, mknod, symlink};
pub use link::link;
pub use remove::{rmdir, unlink};
pub use rename::rename;

pub(super) use create::{create_in, new_node_owner};

use std::sync::Arc;

use abi::Errno;

use super::perm::Want;
use super::{Access, Caching, Dentry, Path};
use crate::error::{Result, err};
use crate::task::Credentials;

/// May a name be made in this directory?
pub(super) fn may_create(dir: &Path, creds: &Credentials) -> Result<()> {
    // Where names are computed there is nothing between those that are there.
    if dir.dentry.is_unlinked() || dir.dentry.sb().caching() == Caching::Never {
        return err(Errno::ENOENT);
    }
    dir.check(creds, Want::WRITE | Want::EXEC)
}

/// May this name be removed from its directory, as a directory or as something else?
fn may_delete(dir: &Path, victim: &Arc<Dentry>, as_dir: bool, creds: &Credentials) -> Result<()> {
    dir.check(creds, Want::WRITE | Want::EXEC)?;
    let access: Access = dir.inode().access()?;
    if access.sticky_forbids(creds, &victim.inode().access()?) {
        return err(Errno::EPERM);
    }
    match (as_dir, victim.is_dir()) {
        (true, false) => err(Errno::ENOTDIR),
        (false, true) => err(Errno::EISDIR),
        _ if dir.dentry.is_unlinked() => err(Errno::ENOENT),
        _ => Ok(()),
    }
}
