//! access(2): what the real user may do.

use abi::Errno;
use abi::capability::{CapSet, Securebits};
use abi::fcntl::{AT_FDCWD, AccessBits, AtFlags};
use abi::stat::FileType;
use sentry::error::{Result, err};
use sentry::task::{Credentials, CurrentTask};
use sentry::user::UserCStr;
use sentry::vfs::perm::Want;
use sentry::vfs::walk::{WalkFlags, resolve};
use sentry::vfs::{Caller, MountFlags, Path};

use crate::arg::{Fd, flag_args};
use crate::path::{descriptor, read_path, start};

flag_args! { AccessBits: u32 }

/// access(2).
pub(crate) fn access(task: &mut CurrentTask, path: UserCStr, mode: AccessBits) -> Result<()> {
    faccessat2(task, Fd(AT_FDCWD), path, mode, AtFlags::empty())
}

/// faccessat(2), which has no flags.
pub(crate) fn faccessat(task: &mut CurrentTask, dir: Fd, path: UserCStr, mode: AccessBits) -> Result<()> {
    faccessat2(task, dir, path, mode, AtFlags::empty())
}

/// faccessat2(2): with AT_EACCESS what the effective user may do.
pub(crate) fn faccessat2(
    task: &mut CurrentTask,
    dir: Fd,
    path: UserCStr,
    mode: AccessBits,
    flags: AtFlags,
) -> Result<()> {
    let known = AtFlags::AT_EACCESS | AtFlags::AT_SYMLINK_NOFOLLOW | AtFlags::AT_EMPTY_PATH;
    if !AccessBits::all().contains(mode) || !known.contains(flags) {
        return err(Errno::EINVAL);
    }
    let creds = if flags.contains(AtFlags::AT_EACCESS) { (**task.creds()).clone() } else { real(task.creds()) };
    let text = match task.mm().read_cstr(path, abi::limits::PATH_MAX)? {
        text if text.is_empty() && flags.contains(AtFlags::AT_EMPTY_PATH) => None,
        _ => Some(read_path(task, path)?),
    };
    let path = match text {
        None => descriptor(task, dir)?,
        Some(text) => {
            let start = start(task, dir, &text)?;
            let nofollow = flags.contains(AtFlags::AT_SYMLINK_NOFOLLOW);
            let how = if nofollow { WalkFlags::empty() } else { WalkFlags::FOLLOW };
            resolve(Caller { creds: &creds, ..Caller::of(task) }, start.as_ref(), &text, how)?
        }
    };
    check(&creds, &path, mode)
}

fn check(creds: &Credentials, path: &Path, mode: AccessBits) -> Result<()> {
    if mode.is_empty() {
        return Ok(());
    }
    let regular = path.kind() == FileType::Regular;
    if mode.contains(AccessBits::X_OK) && regular && path.mount.flags().contains(MountFlags::NO_EXEC) {
        return err(Errno::EACCES);
    }
    path.check(creds, Want::from_bits_truncate(mode.bits()))?;
    // Devices can be written on a read-only mount.
    let on_disk = matches!(path.kind(), FileType::Regular | FileType::Directory | FileType::Symlink);
    if mode.contains(AccessBits::W_OK) && on_disk { path.want_write() } else { Ok(()) }
}

/// The credentials that a program without set-id bits would have.
fn real(creds: &Credentials) -> Credentials {
    let mut real = Credentials { fsuid: creds.uid, fsgid: creds.gid, ..creds.clone() };
    if !creds.securebits.contains(Securebits::SECBIT_NO_SETUID_FIXUP) {
        real.effective = if creds.uid == creds.user_ns.uid(0).unwrap_or(0) { creds.permitted } else { CapSet::EMPTY };
    }
    real
}
