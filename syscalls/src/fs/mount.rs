//! mount(2), umount2(2), pivot_root(2).

use std::sync::Arc;

use abi::capability::Cap;
use abi::fcntl::AT_FDCWD;
use abi::limits::PATH_MAX;
use abi::mount::{MountFlags as Ms, UmountFlags};
use abi::{Errno, PAGE_SIZE};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserCStr;
use sentry::vfs::{MountFlags, Path, PropagationChange, fs_types};

use crate::arg::{Fd, flag_args};
use crate::path::lookup;

flag_args! {
    Ms: u64,
    UmountFlags: u32,
}

/// mount(2): a new mount, a bind mount, a move, or a change of what is mounted.
pub(crate) fn mount(
    task: &mut CurrentTask,
    source: UserCStr,
    target: UserCStr,
    fs_type: UserCStr,
    flags: Ms,
    data: UserCStr,
) -> Result<()> {
    let fs_type = optional(task, fs_type, PATH_MAX)?;
    let source = optional(task, source, PATH_MAX)?;
    let data = read_data(task, data)?;
    let at = lookup(task, Fd(AT_FDCWD), target, true)?;
    let mut flags = flags;
    if flags.bits() & Ms::MS_MGC_MSK == Ms::MS_MGC_VAL {
        flags = Ms::from_bits_retain(flags.bits() & !Ms::MS_MGC_MSK);
    }
    check_admin(task)?;
    let namespace = task.fs().namespace();
    if flags.contains(Ms::MS_REMOUNT | Ms::MS_BIND) {
        return remount_mount(&at, flags);
    }
    if flags.contains(Ms::MS_REMOUNT) {
        return remount(task, &at, flags, &data);
    }
    let from = || -> Result<Path> {
        let text = source.as_deref().filter(|text| !text.is_empty()).ok_or(Errno::EINVAL)?;
        let start = crate::path::start(task, Fd(AT_FDCWD), text)?;
        let caller = sentry::vfs::Caller::of(task);
        sentry::vfs::walk::resolve(caller, start.as_ref(), text, sentry::vfs::walk::WalkFlags::FOLLOW)
    };
    if flags.contains(Ms::MS_BIND) {
        namespace.bind(&from()?, at, flags.contains(Ms::MS_REC))?;
        return Ok(());
    }
    if flags.intersects(Ms::PROPAGATION) {
        return change_propagation(task, &at, flags);
    }
    if flags.contains(Ms::MS_MOVE) {
        return namespace.move_mount(&from()?, at);
    }
    let fs_type = fs_types::find(&fs_type.ok_or(Errno::EINVAL)?)?;
    if task.creds().user_ns.parent.is_some() && !fs_type.in_user_ns {
        return err(Errno::EPERM);
    }
    let source = source.unwrap_or_else(|| b"none".to_vec());
    let root = (fs_type.mount)(task, &source, &data)?;
    namespace.mount(root, &source, mount_flags(flags), at)?;
    Ok(())
}

/// umount2(2). MNT_EXPIRE marks and never expires (EAGAIN); MNT_FORCE is of no use here.
pub(crate) fn umount2(task: &mut CurrentTask, target: UserCStr, flags: UmountFlags) -> Result<()> {
    let (detach, expire) = (flags.contains(UmountFlags::MNT_DETACH), flags.contains(UmountFlags::MNT_EXPIRE));
    if !UmountFlags::all().contains(flags)
        || (expire && flags.intersects(UmountFlags::MNT_FORCE | UmountFlags::MNT_DETACH))
    {
        return err(Errno::EINVAL);
    }
    let at = lookup(task, Fd(AT_FDCWD), target, !flags.contains(UmountFlags::UMOUNT_NOFOLLOW))?;
    check_admin(task)?;
    check_root(&at)?;
    if expire {
        return err(Errno::EAGAIN);
    }
    // The reference in `at` is ours.
    task.fs().namespace().unmount(&at.mount, detach, 1)
}

/// pivot_root(2): `new_root` becomes the root of the mount namespace, the old one moves to `put_old`.
pub(crate) fn pivot_root(task: &mut CurrentTask, new_root: UserCStr, put_old: UserCStr) -> Result<()> {
    check_admin(task)?;
    let new_root = lookup(task, Fd(AT_FDCWD), new_root, true)?;
    let put_old = lookup(task, Fd(AT_FDCWD), put_old, true)?;
    if !new_root.is_dir() || !put_old.is_dir() {
        return err(Errno::ENOTDIR);
    }
    let root = task.fs().root();
    task.fs().namespace().pivot_root(&root, &new_root, &put_old)?;
    for group in task.pid_ns().groups() {
        for thread in group.threads() {
            if let Some(fs) = thread.fs() {
                fs.replace(&root, &new_root);
            }
        }
    }
    task.fs().replace(&root, &new_root);
    Ok(())
}

/// MS_REMOUNT with MS_BIND: the flags of this mount alone.
fn remount_mount(at: &Path, flags: Ms) -> Result<()> {
    check_root(at)?;
    at.mount.set_flags(with_old_atime(at, flags));
    Ok(())
}

/// MS_REMOUNT: the flags of this mount and the options of the file system.
fn remount(task: &CurrentTask, at: &Path, flags: Ms, data: &[u8]) -> Result<()> {
    check_root(at)?;
    let root = at.mount.root();
    if let Ok(fs_type) = fs_types::find(at.mount.fs().name().as_bytes()) {
        (fs_type.remount)(task, root, data)?;
    }
    root.sb().set_read_only(flags.contains(Ms::MS_RDONLY));
    at.mount.set_flags(with_old_atime(at, flags));
    Ok(())
}

/// Flags of a remount, which keeps the old atime mode unless it names one.
fn with_old_atime(at: &Path, flags: Ms) -> MountFlags {
    let names_atime = flags.intersects(Ms::MS_NOATIME | Ms::MS_NODIRATIME | Ms::MS_RELATIME | Ms::MS_STRICTATIME);
    let atime = MountFlags::NO_ATIME | MountFlags::NO_DIR_ATIME | MountFlags::REL_ATIME;
    let new = mount_flags(flags);
    if names_atime { new } else { new - atime | at.mount.flags() & atime }
}

/// What mount(2)'s flags mean for a mount: relatime unless something else is said.
fn mount_flags(flags: Ms) -> MountFlags {
    let mut new = MountFlags::REL_ATIME;
    for (ms, flag) in [
        (Ms::MS_RDONLY, MountFlags::READ_ONLY),
        (Ms::MS_NOSUID, MountFlags::NO_SUID),
        (Ms::MS_NODEV, MountFlags::NO_DEV),
        (Ms::MS_NOEXEC, MountFlags::NO_EXEC),
        (Ms::MS_NOATIME, MountFlags::NO_ATIME),
        (Ms::MS_NODIRATIME, MountFlags::NO_DIR_ATIME),
        (Ms::MS_NOSYMFOLLOW, MountFlags::NO_SYM_FOLLOW),
    ] {
        new.set(flag, flags.contains(ms));
    }
    if flags.contains(Ms::MS_NOATIME) || flags.contains(Ms::MS_STRICTATIME) {
        new -= MountFlags::REL_ATIME;
    }
    if flags.contains(Ms::MS_STRICTATIME) {
        new -= MountFlags::NO_ATIME;
    }
    new
}

pub(super) fn change_propagation(task: &CurrentTask, at: &Path, flags: Ms) -> Result<()> {
    let recursive = flags.contains(Ms::MS_REC);
    let to = match flags - Ms::MS_REC - Ms::MS_SILENT {
        Ms::MS_SHARED => PropagationChange::Shared,
        Ms::MS_PRIVATE => PropagationChange::Private,
        Ms::MS_SLAVE => PropagationChange::Slave,
        Ms::MS_UNBINDABLE => PropagationChange::Unbindable,
        _ => return err(Errno::EINVAL),
    };
    check_root(at)?;
    task.fs().namespace().set_propagation(&at.mount, to, recursive)
}

/// EINVAL unless the place is where a mount begins.
pub(super) fn check_root(at: &Path) -> Result<()> {
    if Arc::ptr_eq(&at.dentry, at.mount.root()) { Ok(()) } else { err(Errno::EINVAL) }
}

/// EPERM unless the task may change its mount namespace.
pub(super) fn check_admin(task: &CurrentTask) -> Result<()> {
    sentry::landlock::may_mount(task.creds())?;
    if task.creds().has_in(Cap::CAP_SYS_ADMIN, task.fs().namespace().owner()) { Ok(()) } else { err(Errno::EPERM) }
}

fn optional(task: &CurrentTask, text: UserCStr, max: usize) -> Result<Option<Vec<u8>>> {
    if text.0.is_null() { Ok(None) } else { task.mm().read_cstr(text, max).map(Some) }
}

/// The options: a string of at most a page.
fn read_data(task: &CurrentTask, data: UserCStr) -> Result<Vec<u8>> {
    let max = usize::try_from(PAGE_SIZE).unwrap_or(4096);
    match optional(task, data, max) {
        Err(e) if e.is(Errno::ENAMETOOLONG) => err(Errno::EINVAL),
        other => Ok(other?.unwrap_or_default()),
    }
}
