//! statfs(2), ustat(2).

use abi::Errno;
use abi::fcntl::AT_FDCWD;
use abi::statfs::{Statfs, StatfsFlags, Ustat};
use sentry::error::Result;
use sentry::task::CurrentTask;
use sentry::user::{UserCStr, UserPtr};
use sentry::vfs::{MountFlags, Path};

use crate::arg::Fd;
use crate::path::lookup;

/// statfs(2).
pub(crate) fn statfs(task: &mut CurrentTask, path: UserCStr, buf: UserPtr<Statfs>) -> Result<()> {
    let path = lookup(task, Fd(AT_FDCWD), path, true)?;
    tell(task, &path, buf)
}

/// fstatfs(2).
pub(crate) fn fstatfs(task: &mut CurrentTask, fd: Fd, buf: UserPtr<Statfs>) -> Result<()> {
    let path = task.files().get_raw(fd.0)?.path().clone();
    tell(task, &path, buf)
}

/// ustat(2): what is free on the file system of a device; EINVAL if none that is mounted here has that number.
pub(crate) fn ustat(task: &mut CurrentTask, dev: u32, buf: UserPtr<Ustat>) -> Result<()> {
    let mounts = task.fs().namespace().mounts();
    let mount = mounts.iter().find(|mount| mount.fs().dev() == u64::from(dev)).ok_or(Errno::EINVAL)?;
    let stat = mount.fs().statfs()?;
    let free = u32::try_from(stat.f_bfree & 0xffff_ffff).unwrap_or(0).cast_signed();
    task.mm().write(buf, &Ustat { f_tfree: free, f_tinode: stat.f_ffree, ..Ustat::default() })
}

fn tell(task: &CurrentTask, path: &Path, buf: UserPtr<Statfs>) -> Result<()> {
    let mut stat = path.mount.fs().statfs()?;
    let mount = path.mount.flags();
    let mut flags = StatfsFlags::ST_VALID;
    flags.set(StatfsFlags::ST_RDONLY, path.mount.read_only());
    for (has, shows) in [
        (MountFlags::NO_SUID, StatfsFlags::ST_NOSUID),
        (MountFlags::NO_DEV, StatfsFlags::ST_NODEV),
        (MountFlags::NO_EXEC, StatfsFlags::ST_NOEXEC),
        (MountFlags::NO_ATIME, StatfsFlags::ST_NOATIME),
        (MountFlags::NO_DIR_ATIME, StatfsFlags::ST_NODIRATIME),
        (MountFlags::REL_ATIME, StatfsFlags::ST_RELATIME),
        (MountFlags::NO_SYM_FOLLOW, StatfsFlags::ST_NOSYMFOLLOW),
    ] {
        flags.set(shows, mount.contains(has));
    }
    stat.f_flags = i64::try_from(flags.bits()).unwrap_or(0);
    if stat.f_fsid == [0, 0] {
        let dev = path.mount.fs().dev();
        let half = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap_or(0).cast_signed();
        stat.f_fsid = [half(dev), half(dev >> 32)];
    }
    task.mm().write(buf, &stat)
}
